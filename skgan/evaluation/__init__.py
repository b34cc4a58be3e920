"""Evaluation: probes of features, for few labels and for domains, and mode coverage."""

from .domain_probe import DomainLeak, domain_leak
from .modes import ModeCoverage, mode_coverage
from .probe import probe
from .result import ProbeResult
from .softmax import SoftmaxProbeResult, softmax_probe
from .splits import LabelBudgetSplit

__all__ = [
    "DomainLeak",
    "LabelBudgetSplit",
    "ModeCoverage",
    "ProbeResult",
    "SoftmaxProbeResult",
    "domain_leak",
    "mode_coverage",
    "probe",
    "softmax_probe",
]
