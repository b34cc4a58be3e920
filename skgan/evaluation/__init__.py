"""How good are the features? Label budgets and probes, with the baselines that keep them honest.

And how good are the samples: which classes a generator makes.
"""

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
