"""What fresh classifiers find of the domain in features that are to be free of it."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_array

from ..utils.checks import check_number, random_state_of
from ..utils.domains import one_for_each

N_NEIGHBORS, N_HIDDEN = 15, 64


@dataclass(frozen=True)
class DomainLeak:
    """The result of `domain_leak`. ``print`` it for a summary.

    Parameters
    ----------
    accuracies : dict of str -> float
        Mean accuracy over the folds of each fresh probe: "linear", "knn" and "mlp".
    majority : float
        Share of the largest domain, which is the accuracy of guessing.
    n_samples, n_domains : int
    """

    accuracies: dict[str, float]
    majority: float
    n_samples: int
    n_domains: int

    @property
    def best(self) -> float:
        """The accuracy of the best probe."""
        return max(self.accuracies.values())

    @property
    def leak(self) -> float:
        """Where the best probe is between guessing (0, or below by chance) and knowing (1)."""
        return (self.best - self.majority) / (1 - self.majority)

    def __str__(self) -> str:
        found = ", ".join(f"{name} {value:.3f}" for name, value in self.accuracies.items())
        return f"domain by fresh probes: {found} (guessing: {self.majority:.3f})"


def domain_leak(Z: Any, sample_domain: Any, *, cv: int = 3, random_state: Any = 0) -> DomainLeak:
    """Judge how well fresh classifiers tell the domain from features, by cross-validation.

    An adversary that features were trained against proves nothing about them: it may be beaten
    while another classifier reads the domain with ease. So three are trained anew, on standardised
    features: logistic regression, the 15 nearest neighbours, and a network with one hidden layer of
    64 units. What none of them finds may still be there; what one of them finds is.

    Parameters
    ----------
    Z : array-like of shape (n, d)
        Features of samples that were kept out of the training of what computes them.
    sample_domain : array-like of shape (n,)
        The domain of each, at least two in all.
    cv : int, default=3
        Number of folds, stratified by domain.
    random_state : None, int or RandomState, default=0
        Seed of the folds and of the network's weights.

    Returns
    -------
    result : DomainLeak
        ``print(result)`` shows a summary.

    Raises
    ------
    ValueError
        If there is one domain only, or a domain has fewer samples than there are folds.

    Examples
    --------
    >>> import numpy as np
    >>> from skgan.evaluation import domain_leak
    >>> domain = np.arange(300) % 2
    >>> Z = np.random.default_rng(0).normal(size=(300, 2))
    >>> bool(domain_leak(Z, domain).leak < 0.3)
    True
    >>> Z[:, 1] *= 1 + 9 * domain  # the same means: nothing for a linear probe
    >>> result = domain_leak(Z, domain)
    >>> bool(result.accuracies["linear"] < 0.65), bool(result.best > 0.8)
    (True, True)
    """
    Z = check_array(Z)
    domain = np.array(one_for_each(Z, sample_domain).tolist())  # of the type of its entries
    check_number("cv", cv, low=2, integer=True)
    values, counts = np.unique(domain, return_counts=True)
    if len(values) < 2:
        raise ValueError(
            f"sample_domain is {values[0]} throughout: at least two domains are needed, or there "
            "is nothing to tell."
        )
    if counts.min() < cv:
        raise ValueError(
            f"sample_domain is {values[counts.argmin()]} for {counts.min()} samples, too few for "
            f"cv={cv} folds: pass more of them, or use cv={max(2, counts.min())}."
        )
    seed = int(random_state_of(random_state).randint(2**31 - 1))
    neighbors = min(N_NEIGHBORS, len(Z) - -(-len(Z) // cv))
    probes = {
        "linear": LogisticRegression(max_iter=1000),
        "knn": KNeighborsClassifier(neighbors),
        "mlp": MLPClassifier(
            (N_HIDDEN,), solver="lbfgs", alpha=0.01, max_iter=200, random_state=seed
        ),
    }
    folds = StratifiedKFold(cv, shuffle=True, random_state=seed)
    accuracies = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # enough iterations to find a leak
        for name, probe in probes.items():
            scores = cross_val_score(make_pipeline(StandardScaler(), probe), Z, domain, cv=folds)
            accuracies[name] = float(scores.mean())
    return DomainLeak(accuracies, float(counts.max() / len(Z)), len(Z), len(values))
