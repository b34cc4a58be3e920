"""Evaluation: probes with few labels and honest baselines, mode coverage, transfer to a target."""

from .modes import ModeCoverage, mode_coverage
from .probe import probe
from .result import ProbeResult
from .softmax import SoftmaxProbeResult, softmax_probe
from .splits import LabelBudgetSplit
from .transfer import ReverseValidation, proxy_a_distance

__all__ = [
    "LabelBudgetSplit",
    "ModeCoverage",
    "ProbeResult",
    "ReverseValidation",
    "SoftmaxProbeResult",
    "mode_coverage",
    "probe",
    "proxy_a_distance",
    "softmax_probe",
]
