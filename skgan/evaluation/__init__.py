"""Evaluation: probes of features and of domains, mode coverage, transfer to a target."""

from .domain_probe import DomainLeak, domain_leak
from .modes import ModeCoverage, mode_coverage
from .probe import probe
from .result import ProbeResult
from .softmax import SoftmaxProbeResult, softmax_probe
from .splits import LabelBudgetSplit
from .transfer import ReverseValidation, proxy_a_distance

__all__ = [
    "DomainLeak",
    "LabelBudgetSplit",
    "ModeCoverage",
    "ProbeResult",
    "ReverseValidation",
    "SoftmaxProbeResult",
    "domain_leak",
    "mode_coverage",
    "probe",
    "proxy_a_distance",
    "softmax_probe",
]
