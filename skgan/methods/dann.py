"""Domain-adversarial training of neural networks (DANN; Ganin et al. 2016, arXiv 1505.07818).

    E(f, y, d) = E_source L_y - lambda sum_k E_(domain k) L_d
    f and y minimise E, d maximises it

Features f are to tell the class of a sample, and not which domain it is from: what a classifier y
learns from them on sources, where labels are known, then holds on targets, where they are not. d
names the domain of f. The paper moves all three in one step, with a layer that reverses the
gradient of L_d on its way to f; here each network has a loss of its own. That of f is L_y + lambda
L_h, L_h being how badly the domain is hidden: -L_d in the paper, or with `adversary`

    "flip"     sum_k E_(domain k) -log d(k' | f), k' another domain, as in ADDA (Tzeng et al. 2017,
               arXiv 1702.05464) and VADA: with two domains the labels are inverted
    "uniform"  sum_k E_(domain k) -1/K sum_j log d(j | f) (Tzeng et al. 2015, arXiv 1510.02192)

| paper | here |
|---|---|
| G_f, G_y, G_d | trunk, classifier, domain |
| L_y, L_d | `l_y`, `l_d`: cross-entropies |
| -L_d, for f | `l_h` |
| lambda, lambda_p, p | `domain_weight`, `_lambda`, `batch.progress` |
| x_i, y_i, d_i | `batch.x`, `batch.y` (-1 where it is not known), `batch.domain` |

The terms of VADA (Shu et al. 2018, arXiv 1802.08735) are added to L_y: on targets the entropy of
the classes, and in all domains how much the classes change from a sample to its neighbours.
"""

import math
from typing import Any

import torch

from ..base import BaseGAN, WholeNetwork
from ..classification import ClassWeights
from ..domains import OF_USE, DomainClassificationMixin
from ..losses import (
    HIDING_LOSSES,
    conditional_entropy,
    cross_entropy,
    hiding_loss,
    labelled_cross_entropy,
)
from ..nn import Head, build_heads
from ..nn.norms import NORMS
from ..parameters import TrunkFeatures, TrunkParameters
from ..penalties import virtual_adversarial
from ..utils.checks import check_choice, check_flag, check_number, check_size
from ..utils.docs import A_SCORE_EACH, completed_by
from ..utils.parameters import parameter, parameters
from ..utils.presets import Presets

# What has been measured on MNIST and digits in another domain (docs/methods/dann.md): other
# normalisation and another optimizer than the paper's, with its layers.
MNIST = {
    "trunk": "ganin28", "classifier_hidden": (100, 100), "norm": "batch", "norm_per_domain": True,
    "input_norm": "instance", "dropout": 0.25, "optimizer": "adam", "lr": 1e-3,
    "betas": (0.5, 0.999), "lr_decay": None, "n_epochs": 28,
}  # fmt: skip
# The weights are those of Shu et al. 2018. Paper: in its code the domain loss has the weight 0.01
# and not 1, the radius is 3.5, and the domain head is trained against inverted labels.
VADA = MNIST | {
    "entropy_weight": 0.01, "vat_weight": 0.01, "vat_source_weight": 1.0, "vat_radius": 3.0,
    "ema_decay": 0.998,
}  # fmt: skip


@parameters
class DomainAdversarialFeatures(
    DomainClassificationMixin, ClassWeights, TrunkParameters, TrunkFeatures, Presets, BaseGAN
):
    """Features that tell classes but not domains, and a classifier on them (DANN).

    `fit(X, y, sample_domain)` takes samples with labels of one or several sources (domains above 0)
    and samples of targets (below 0), whose labels are never read (Ganin et al. 2016). A
    trunk is trained so that a classifier can name the classes of sources, and a second head, its
    adversary, cannot name the domain. `transform` returns the trunk's last layer; `predict`,
    `predict_proba` and `score` are by the classifier.

    Parameters
    ----------
    trunk : str, spec, callable or Module
        The network from samples to the features that both heads read. "auto" is "dcgan" for images
        and "mlp" for tables; "ganin28" has the convolutions of DANN's network for MNIST. Other
        names and specs are those of discriminators. A module, or what a callable
        `f(input_shape=, norm=)` returns, maps samples to features.
    classifier_hidden, domain_hidden : tuple of int
        Units of the hidden layers, with ReLU, of the classifier and of the domain head. With () a
        head is linear.
    domain_weight : float
        Largest weight lambda of the domain head's loss in that of the trunk. The domain head itself
        goes down its whole loss, whatever the weight is.
    schedule : {"sigmoid", "constant"}
        Weight when the part p of the training is done: `domain_weight` times
        2 / (1 + exp(-10 p)) - 1, which rises from 0 (sec. 5.2.2 of Ganin et al.), or
        `domain_weight` throughout.
    play : {"simultaneous", "alternating"}
        Whether all networks move at once, from the same point, as in DANN; or the domain head
        first, and then the others against the head that has just moved, in the order of ADDA (which
        also has adversary="flip").
    adversary : {"neg_ce", "flip", "uniform"}
        What the trunk wants of the domain head's scores: a large cross-entropy with the true
        domain, as in DANN, whose gradient vanishes where the head is sure; a small one with another
        domain, drawn at random where there are several, as in ADDA and VADA, whose gradient is then
        largest; or a small one with all domains equally likely (Tzeng et al. 2015). The domain
        head's own loss is the same.
    n_domain_steps : int
        Steps of the domain head for one of the others, in alternating play.
    norm : {"none", "batch", "spectral", "weight"}
        Normalisation of the trunk and the heads; batch norm also in the trunk's first layer.
    norm_per_domain : bool
        Whether batch norm of the trunk and the classifier has statistics of its own for each
        domain, as if samples of each passed through the networks by themselves. Gains and shifts
        are shared. `transform` and `predict` then take `sample_domain`.
    input_norm : {"none", "instance"}
        "instance" takes from each channel of each image its mean over the pixels, and divides by
        its standard deviation over the pixels (1e-5 is added to the variance).
    dropout : float
        Probability, in [0, 1), with which an output of the trunk's layers, and of the classifier's
        hidden layers, is set to 0 in training. The domain head has none, which would weaken it.
    entropy_weight : float
        Weight of the entropy of targets' class probabilities in the loss of trunk and classifier
        (VADA).
    vat_weight, vat_source_weight : float
        Weights of virtual adversarial training on targets and on sources: how far the class
        probabilities of a sample are from those of the neighbour that changes them most (VADA).
    vat_radius : float
        Distance of that neighbour, in the units that networks see: pixels in [-1, 1], standardised
        columns.
    classifier_lr : float or None
        Learning rate of the classifier's own layers. None: `lr`.
    domain_lr : float or None
        Learning rate of the domain head. None: `lr`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels of sources, in order.
    domains_ : ndarray of shape (n_domains,)
        Sources, then targets, in the order of the domain head's scores.
    classifier_, domain_ : Module
        The trunk with either head, in eval mode: samples to scores (n, n_classes) and
        (n, n_domains). There is no `domain_` where there is one domain only.
    history_ : list of dict
        As for other games. "label_loss" is L_y alone. "domain_loss" is n_domains log(n_domains)
        where the head knows nothing; "domain_accuracy_<domain>" is the share of each domain's
        samples that it names rightly. "proxy_a_distance" is 2 (1 - 2 e), e being the error of a
        new linear classifier of sources and targets on the features of up to 1,000 training
        samples, fitted to one half of them and tested on the other: about 0 where it cannot tell
        them, 2 where it always can. Terms that are used are "target_entropy", "vat_target" and
        "vat_source".

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import make_moons
    >>> from skgan import DomainAdversarialFeatures
    >>> X, y = make_moons(300, noise=0.05, random_state=0)
    >>> turned = X @ [[0.8, 0.6], [-0.6, 0.8]]
    >>> both, domain = np.concatenate([X, turned]), np.repeat([1, -1], 300)
    >>> labels = np.concatenate([y, np.full(300, -1)])
    >>> dann = DomainAdversarialFeatures(n_epochs=5, random_state=0)
    >>> dann.fit(both, labels, sample_domain=domain).transform(turned).shape
    (300, 32)
    """

    trunk: Any = parameter(default="auto", network=True)
    classifier_hidden: tuple[int, ...] = parameter(default=(), shapes=True)
    domain_hidden: tuple[int, ...] = parameter(default=(100,), shapes=True)
    domain_weight: float = 1.0
    schedule: str = "sigmoid"
    play: str = "simultaneous"
    adversary: str = "neg_ce"
    n_domain_steps: int = 1
    norm: str = "none"
    norm_per_domain: bool = parameter(default=False, shapes=True)
    input_norm: str = parameter(default="none", shapes=True)
    dropout: float = 0.0
    entropy_weight: float = 0.0
    vat_weight: float = 0.0
    vat_source_weight: float = 0.0
    vat_radius: float = 1.0
    classifier_lr: float | None = None
    domain_lr: float | None = None
    optimizer: str = "sgd"
    lr: float = 0.01
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    lr_decay: Any = "inverse"
    layers: Any = -1
    pool_grid: int | None = None

    classifier_ = WholeNetwork("The trunk with the classifier: samples -> (n, n_classes).")
    domain_ = WholeNetwork("The trunk with the domain head: samples -> (n, n_domains).")

    _networks = ("trunk", "classifier", "domain")
    _presets = {"mnist": MNIST, "vada": VADA}
    _one_per_output = {"domains_": "domain"}
    _features_of = "classifier"
    _n_looked_at = 1000

    def _check(self):
        for name in ("classifier_hidden", "domain_hidden"):
            widths = getattr(self, name)
            if not isinstance(widths, (tuple, list)):
                raise ValueError(f"{name}={widths!r} must be a tuple of sizes, such as (100,).")
            for width in widths:
                check_size(name, width)
        for name in ("domain_weight", "entropy_weight", "vat_weight", "vat_source_weight"):
            check_number(name, getattr(self, name), low=0)
        check_number("vat_radius", self.vat_radius, low=0, open_low=True)
        check_number("dropout", self.dropout, low=0, high=1, open_high=True)
        check_number("n_domain_steps", self.n_domain_steps, low=1, integer=True)
        check_choice("schedule", self.schedule, ("sigmoid", "constant"))
        check_choice("play", self.play, ("simultaneous", "alternating"))
        check_choice("adversary", self.adversary, HIDING_LOSSES)
        check_choice("input_norm", self.input_norm, ("none", "instance"))
        check_choice("norm", self.norm, NORMS)
        check_flag("norm_per_domain", self.norm_per_domain)
        if self.norm_per_domain and self.norm != "batch":
            raise ValueError(
                f"norm_per_domain=True with norm={self.norm!r}: what domains have of their own is "
                "batch norm. Use norm='batch', or norm_per_domain=False."
            )
        super()._check()

    # ---------------------------------------------------------------- the game

    def _build(self, shape, rng):
        if self.input_norm == "instance" and len(shape) != 3:
            raise ValueError(
                "input_norm='instance' normalises images, but X is a table: use 'none', or set "
                "image_shape."
            )
        k = len(self.domains_)
        batch_norm, per_domain = self.norm == "batch", k if self.norm_per_domain else None
        hidden: Any = {"relu": True, "batch_norm": batch_norm}
        # The domain head has no batch norm by domain, from which it would know the domain, and no
        # dropout, with which it would be a weaker adversary.
        heads = {
            "classifier": Head(
                "code", len(self.classes_), self.classifier_hidden, n_domains=per_domain,
                dropout=self.dropout, **hidden,
            )
        }  # fmt: skip
        if k > 1:
            heads["domain"] = Head("code", k, self.domain_hidden, **hidden)
        more = {
            "norm_first": batch_norm, "n_domains": per_domain, "dropout": self.dropout,
            "instance_norm": self.input_norm == "instance",
        }  # fmt: skip
        nets = build_heads(
            self.trunk, rng, heads, input_shape=shape, norm=self.norm, called="trunk", more=more,
            he_weights=True,
        )  # fmt: skip
        if not hasattr(nets["trunk"], "recipe"):
            for name, none in (("input_norm", "none"), ("norm_per_domain", False)):
                if (value := getattr(self, name)) != none:
                    raise ValueError(
                        f"{name}={value!r} with a trunk that is a module: it stays as it is. Use "
                        f"a name or a spec as the trunk, or {name}={none!r}."
                    )
        return nets

    def _step(self, nets, batch, update):
        C, x = nets.classifier, batch.x
        if len(self.domains_) == 1:
            l_y = self._class_loss(C, batch, C(x))
            update(trunk=l_y, classifier=l_y)
            return
        D, lam = nets.domain, self._lambda(batch.progress)
        alternating = self.play == "alternating"
        for _ in range(self.n_domain_steps if alternating else 0):
            update(domain=self._domain_loss(D(x), batch))

        scores, named = C(x, D)
        l_y, l_h = self._class_loss(C, batch, scores), self._hiding_loss(named, batch)
        if alternating:
            update(trunk=l_y + lam * l_h, classifier=l_y)
        else:
            l_d = self._domain_loss(named, batch)
            update(trunk=l_y + lam * l_h, classifier=l_y, domain=l_d)
        right = (named.argmax(1) == batch.domain).float()
        for i, k in enumerate(self.domains_):
            batch.log(**{f"domain_accuracy_{k}": _mean(right, batch.domain == i)})

    def _lambda(self, p):
        """The weight of the domain head's loss when the part p of the training is done."""
        rising = 2 / (1 + math.exp(-10 * p)) - 1
        return self.domain_weight * (rising if self.schedule == "sigmoid" else 1)

    def _domain_loss(self, named, batch):
        """Sum over the domains of E L_d; minibatches have as many samples of each."""
        return len(self.domains_) * cross_entropy(named, batch.domain)

    def _hiding_loss(self, named, batch):
        """Sum over the domains of what the trunk is to make small: -E L_d, or by `adversary`."""
        loss = hiding_loss(self.adversary, named, batch.domain, batch.uniform)
        return len(self.domains_) * loss

    def _class_loss(self, C, batch, scores):
        """L_y, and the terms of VADA."""
        w = self._weights_on(scores.device)
        loss = labelled_cross_entropy(self._with_weights(scores), batch.y, w)
        batch.log(label_loss=loss)
        target = torch.as_tensor(self.domains_ < 0, device=batch.domain.device)[batch.domain]
        if self.entropy_weight and target.any():
            h = conditional_entropy(scores[target])
            batch.log(target_entropy=h)
            loss = loss + self.entropy_weight * h
        if self.vat_weight or self.vat_source_weight:
            # Paper: samples of each domain go through the network by themselves, and so they do
            # with `norm_per_domain`; without it, here, batch norm is over all of them.
            d = batch.normal(*batch.x.shape)
            change = virtual_adversarial(C, batch.x, scores, d, radius=self.vat_radius)
            of_target, of_source = _mean(change, target), _mean(change, ~target)
            batch.log(vat_target=of_target, vat_source=of_source)
            loss = loss + self.vat_weight * of_target + self.vat_source_weight * of_source
        return loss

    def _has_schedule(self):
        return super()._has_schedule() or self.schedule == "sigmoid"

    def _refresh(self, nets, x, z):
        if len(self.domains_) > 1:
            nets.domain(x)
        nets.classifier(x)

    def _scores(self, nets, x):
        return self._with_weights(nets.classifier(x))

    @completed_by(A_SCORE_EACH)
    @completed_by(OF_USE)
    def score_samples(self, X, sample_domain=None):
        """The log of the largest class probability: low where the classifier is unsure."""
        with self._used_on(X, sample_domain):
            return self._apply(
                lambda nets: lambda x: self._scores(nets, x).float().log_softmax(1).amax(1), X
            )


def _mean(values, chosen):
    """The mean of the values (n,) that are chosen; 0 if none is."""
    return torch.where(chosen, values, 0).sum() / chosen.sum().clamp(min=1)
