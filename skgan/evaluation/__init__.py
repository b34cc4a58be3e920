"""Evaluation: probes of features with few labels and honest baselines, and mode coverage."""

from .modes import ModeCoverage, mode_coverage
from .probe import probe
from .result import ProbeResult
from .softmax import SoftmaxProbeResult, softmax_probe
from .splits import LabelBudgetSplit

__all__ = [
    "LabelBudgetSplit",
    "ModeCoverage",
    "ProbeResult",
    "SoftmaxProbeResult",
    "mode_coverage",
    "probe",
    "softmax_probe",
]
