"""What every discriminator can be given besides its loss: the one place where that is written.

A step adds it as one term, `self._added(D, batch, real, generated)`. It holds

- R1, the zero-centred gradient penalty on real samples (`r1_weight`, `r1_every`);
- the losses of auxiliary heads on real samples (`rotation_weight`, `infomax_weight`);
- what the method itself adds, such as the gradient penalty of its loss (`_own_terms`).

`self._added_to_generator(D, batch, fake)` is the counterpart for G: the losses of the same heads on
generated samples. The heads are parts of the discriminator (`nn.auxiliary`) and move with it.

All that the critics see in training may be augmented, by the wrapper `Seen` around each of them.
"""

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from .engine.losses import Terms
from .engine.runtime import full_precision
from .losses import cross_entropy, local_infomax
from .nn import add_heads, obstacle, turned
from .nn.augment import augmented, check_change, policy_of
from .nn.norms import NORMS
from .penalties import Inputs, zero_centred_penalty
from .utils.checks import check_choice, check_number, check_size
from .utils.parameters import parameter, parameters
from .utils.presets import Presets
from .utils.processes import drawn

Augmentation = Callable[[Tensor], Tensor]


class Seen:
    """A critic that sees augmented samples: called as the critic, and otherwise the critic."""

    def __init__(self, critic: Any, augment: Augmentation):
        self._critic, self._augment = critic, augment

    def __call__(self, x: Tensor, *others: Any) -> Any:
        return self._critic(self._augment(x), *others)

    def features(self, x: Tensor) -> Any:
        return self._critic.features(self._augment(x))

    def auxiliary_output(self, task: str, x: Tensor) -> Any:
        return self._critic.auxiliary_output(task, self._augment(x))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._critic, name)


def rotation_loss(D: Any, x: Tensor) -> Tensor:
    """-E log p(k | x turned by k quarters), by D's head for it."""
    x, k = turned(x)
    return cross_entropy(D.auxiliary_output("rotation", x), k)


def infomax_loss(D: Any, x: Tensor) -> Tensor:
    """The contrastive loss of local and global features of x, by D's head for it."""
    return local_infomax(*D.auxiliary_output("infomax", x))


TASKS = {"rotation": rotation_loss, "infomax": infomax_loss}


@parameters
class CriticParameters(Presets):
    """The network that tells real samples from generated ones.

    Parameters
    ----------
    discriminator : str, spec, callable or Module
        The same choices as for `generator`; a callable is called as `f(input_shape=, norm=)`. It
        maps samples to logits of shape (n,) or (n, 1).
    norm : {"batch", "none", "spectral", "weight"}
        Normalisation of the discriminator and, where it shares layers with other networks, of all
        of them. "weight" is weight norm, g v / |v| x + b, in which g and b are first set so that
        every unit has mean 0 and variance 1 over up to 512 samples of X (Salimans and Kingma 2016,
        arXiv 1602.07868, sec. 3).
    r1_weight : float
        Weight gamma of R1, gamma / 2 times the mean of || grad D(x) ||^2 over real samples
        (Mescheder et al. 2018, arXiv 1801.04406). Batch norm excludes it.
    r1_every : int
        Number of steps between two steps with R1, each of which counts it r1_every times (lazy
        regularisation; Karras et al. 2020, arXiv 1912.04958, sec. 3.1).
    augment : None, str, tuple of str or callable
        Random changes of all samples that the discriminator sees in training, real or generated:
        "shift", "cutout", "flip", "crop", "affine", "colour", "invert" or, also for tables,
        "noise"; several of them as a tuple; "digits" (affine), "signs" (crop, colour and
        invert: characters in colour) or "photographs" (crop, flip and colour); "auto", which takes
        "digits" for images of one channel and "signs" for others; or a callable that maps samples
        (n, c, h, w) in [-1, 1] to the same, by differentiable operations (Zhao et al. 2020, arXiv
        2006.10738); it is tried on two samples of zeros before training.
    rotation_weight : float
        Weight beta of a rotation loss in D's loss: a second head of D tells by which of 0, 90, 180
        and 270 degrees real images were rotated. Every fourth image of a minibatch is used, in all
        four rotations; D's other losses see upright images only (SSGAN; Chen et al. 2019, arXiv
        1811.11212, sec. 3.1: 1). Images have to be square. Some look the same or like another class
        when they are rotated, such as the digits 0, 1 and 8, and 6 and 9. 0: there is no such head.
    generator_rotation_weight : float
        With `rotation_weight`: weight alpha of the same loss, on generated images, in G's loss.
    infomax_weight : float
        Weight beta of a contrastive loss in D's loss: given D's last feature maps of a real image,
        each position of the maps of the layer before is told from all positions of other images
        (InfoMax-GAN; Lee et al. 2021, arXiv 2007.04589, sec. 3: 0.2). It needs a convolutional
        discriminator. 0: there is no such head.
    generator_infomax_weight : float
        With `infomax_weight`: weight alpha of the same loss, on generated images, in G's loss.
    infomax_dim : int
        Dimension of the projections that are compared by `infomax_weight`.
    discriminator_lr : float or None
        Learning rate of the discriminator. None: `lr`.

    Attributes
    ----------
    discriminator_ : Module
        The trained discriminator, in eval mode.
    history_ : list of dict
        One entry per epoch: "epoch" (from 1), "<network>_loss" for each network (the mean over
        the epoch's steps, without penalties), D's mean outputs "discriminator_real" and
        "discriminator_generated", terms that are added to a loss, weights included, such as
        "discriminator_r1" (with `r1_weight`), "discriminator_penalty" (that of "wgan-gp"), and
        "discriminator_rotation" and "generator_rotation" (with `rotation_weight`; and likewise
        "infomax"), "seconds", "images_per_second", and with `validation_fraction` "alpha_mean" and
        "alpha_cv".
    """

    discriminator: Any = parameter(default="auto", network=True)
    norm: str = "batch"
    r1_weight: float = 0.0
    r1_every: int = 1
    augment: Any = None
    rotation_weight: float = 0.0
    generator_rotation_weight: float = 0.2
    infomax_weight: float = 0.0
    generator_infomax_weight: float = 0.2
    infomax_dim: int = 1024
    discriminator_lr: float | None = None

    input_shape_: ClassVar[Any]  # of BaseGAN
    # The networks that see samples on the discriminator's behalf.
    _critics: ClassVar[tuple[str, ...]] = ("discriminator",)

    def _check(self) -> None:
        check_choice("norm", self.norm, NORMS)
        check_number("r1_weight", self.r1_weight, low=0)
        if self.r1_weight and self.norm == "batch":
            raise ValueError(
                f"r1_weight={self.r1_weight!r} does not go with norm='batch': it penalises "
                "the gradient of each sample's logit, and batch norm makes it depend on the other "
                "samples. Use norm='none' or norm='spectral', or r1_weight=0."
            )
        check_number("r1_every", self.r1_every, low=1, integer=True)
        policy_of(self.augment, (1, 1, 1))  # raises for names that it does not know
        for task in TASKS:
            for name in (f"{task}_weight", f"generator_{task}_weight"):
                check_number(name, getattr(self, name), low=0)
        check_size("infomax_dim", self.infomax_dim)
        for task in self._tasks():
            self._refuse_head(task, self._no_heads())
        super()._check()

    def _tasks(self) -> list[str]:
        """The tasks for which D has an auxiliary head."""
        return [task for task in TASKS if getattr(self, f"{task}_weight")]

    def _no_heads(self) -> str:
        """Why this game's critic can have no auxiliary heads, and a fix; "" where it can."""
        return ""

    def _refuse_head(self, task: str, why: str) -> None:
        if why:
            name = f"{task}_weight"
            raise ValueError(f"{name}={getattr(self, name)!r} {why}, or {name}=0.")

    def _completed(self, nets: dict[str, nn.Module], rng: torch.Generator) -> dict[str, nn.Module]:
        """The networks, with the auxiliary heads of the discriminator."""
        tasks, sizes = self._tasks(), {"rotation": True, "infomax": int(self.infomax_dim)}
        for task in tasks:
            self._refuse_head(task, obstacle(nets["discriminator"], task))
        if tasks:
            add_heads(nets["discriminator"], {task: sizes[task] for task in tasks}, rng)
        return nets

    def _own_terms(self, D: Any, batch: Any, real: Inputs, generated: Inputs) -> dict[str, Tensor]:
        """What the method itself adds to its critic's loss, by name."""
        return {}

    def _judged(self, D: Any) -> Callable[..., Tensor]:
        """What R1 takes the gradient of, (n,): the output of D, where that is a logit."""
        return D

    def _augmentation(self, rng: torch.Generator) -> Augmentation | None:
        """What is done to all samples that critics see in training; None for nothing."""
        policy = policy_of(self.augment, self.input_shape_)
        if callable(policy):
            check_change(policy, self.input_shape_)
        if policy is None or callable(policy):
            return policy

        def uniform(*shape: int) -> Tensor:
            n, *rest = shape
            return drawn(lambda n: torch.rand(n, *rest, generator=rng, dtype=torch.float32), n)

        def augment(x: Tensor) -> Tensor:
            return augmented(x, policy, lambda *shape: uniform(*shape).to(x.device))

        return augment

    def _added(self, D: Any, batch: Any, real: Inputs, generated: Inputs) -> Terms:
        """All that is added to the loss of the critic D in this step: `loss + self._added(...)`.

        `real` and `generated` are tuples: the inputs of the critic's two passes. The terms are
        logged as "discriminator_<name>"; "discriminator_loss" is the loss without them.
        """
        with full_precision(batch.x.device):
            terms = self._own_terms(D, batch, real, generated)
            if self.r1_weight and (batch.step - 1) % self.r1_every == 0:
                terms["r1"] = self.r1_every * zero_centred_penalty(
                    self._judged(D), real, weight=self.r1_weight
                )
        terms |= {t: getattr(self, f"{t}_weight") * TASKS[t](D, real[0]) for t in self._tasks()}
        batch.log(**{f"discriminator_{name}": term for name, term in terms.items()})
        return Terms(terms)

    def _added_to_generator(self, D: Any, batch: Any, fake: Tensor) -> Terms:
        """All that is added to G's loss on generated samples: the auxiliary heads' losses.

        Logged as "generator_<name>"; "generator_loss" is the loss without them.
        """
        weights = {task: getattr(self, f"generator_{task}_weight") for task in self._tasks()}
        terms = {task: w * TASKS[task](D, fake) for task, w in weights.items() if w}
        batch.log(**{f"generator_{name}": term for name, term in terms.items()})
        return Terms(terms)

    def _as_trained(self, nets: Mapping[str, Any], rng: torch.Generator) -> SimpleNamespace:
        """The networks as `_step` sees them: critics, and features of critics, see augmented."""
        augment = self._augmentation(rng)
        if augment is None:
            return SimpleNamespace(**nets)
        seeing = {*self._critics, *(["features"] if self._reads_a_critic() else [])}
        return SimpleNamespace(
            **{k: Seen(v, augment) if k in seeing else v for k, v in nets.items()}
        )

    def _reads_a_critic(self) -> bool:
        """Whether the features of `transform` are a critic's."""
        return getattr(self, "_features_of", "") in self._critics
