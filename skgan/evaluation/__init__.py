"""How good are the features? Label budgets and probes, with the baselines that keep them honest."""

from .probe import probe
from .result import ProbeResult
from .splits import LabelBudgetSplit

__all__ = ["LabelBudgetSplit", "ProbeResult", "probe"]
