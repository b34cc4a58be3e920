"""Content apart from domain: an autoencoder whose code an adversary reads (Lample et al. 2017).

    min_C    E -log p_C(k | E(x))
    min_E,G  E || x - G(E(x), s) || + lambda L_C(E)

The classifier C is to tell from the content code E(x) which domain k the sample is from, and E is
to prevent it. What the decoder G lacks then comes from s, the code of the domain, and a sample is
converted by decoding its content with the code of another one. The encoder's loss L_C is

    "flip"     E -log p_C(k' | E(x)), k' another domain (Fader Networks, arXiv 1706.00409)
    "neg_ce"   E log p_C(k | E(x)), which has no lower bound (Chou et al. 2018, arXiv 1804.02812)
    "uniform"  E -1/K sum_j log p_C(j | E(x)): confusion (Tzeng et al. 2015, arXiv 1510.02192)

s is learnt for each domain, or is S(x') of another sample x' of the domain: to decode x, what S
says of the domain of x' is of use, and what it says of the content of x' is not (Mathieu et al.
2016, arXiv 1611.03383).

| paper | here |
|---|---|
| E, G | encoder, generator |
| C, lambda | domain_classifier, `adversary_weight` times its warm-up |
| s of each domain, or S | domain_embedding, domain_encoder |
| x, k, E(x) | `batch.x`, `batch.domain`, `c` |
"""

from typing import Any

import numpy as np
import torch
from torch import nn

from ..base import BaseGAN
from ..domains import DomainsMixin
from ..losses import HIDING_LOSSES, RECONSTRUCTION_LOSSES, cross_entropy, hiding_loss
from ..nn import DomainCodes, build_network
from ..nn.init import build_seeded
from ..parameters import CodeParameters, GeneratorParameters
from ..reconstruction import ReconstructionMixin
from ..utils.callers import warn_caller
from ..utils.checks import check_choice, check_number, check_size
from ..utils.docs import X_AS_IN_FIT, completed_by
from ..utils.domains import domain_of_samples, of_another
from ..utils.kinds import array
from ..utils.parameters import parameter, parameters

SHARES = ("pretrain_autoencoder", "pretrain_adversary", "warmup")


@parameters
class DisentangledEncoder(
    DomainsMixin, CodeParameters, GeneratorParameters, ReconstructionMixin, BaseGAN
):
    """Features of the content of samples, apart from the domain that they are from.

    `fit` takes the domain of every sample, such as the speaker of a recording, and trains an
    autoencoder of two codes: one of the content, from which a classifier cannot tell the domain,
    and one of the domain. `transform` returns the content code, `transform_domain` the domain
    code, and `convert` samples with the same content in another domain. y plays no part, and
    neither do the signs of domains. Without `sample_domain` all samples are of one domain, there
    is no adversary, and a warning says so.

    Whether the content code is free of the domain is not for this adversary to say: it may be
    beaten by a code that other classifiers read with ease. Train a fresh one on held-out samples
    (`skgan.evaluation.domain_leak`).

    Parameters
    ----------
    domain_code : {"embedding", "encoder"}
        Whether the code of a domain is learnt for each known domain (Lample et al. 2017, Chou et
        al. 2018), or made of samples by a domain encoder. In training the domain encoder sees
        another sample of the domain than the one that is decoded, so that what it says of that
        sample's content is of no use (Mathieu et al. 2016, sec. 3).
    domain_dim : int
        Dimension of domain codes. With domain_code="encoder", a small one leaves less room for
        content.
    domain_encoder : str, spec, callable or Module
        The same choices as for `encoder`, of the network from samples to domain codes; only with
        domain_code="encoder".
    domain_classifier : str, spec, callable or Module
        The adversary: the same choices as for `generator`; a callable is called as
        `f(input_shape=, n_outputs=, norm=)`. It maps content codes (n, latent_dim) to scores
        (n, n_domains).
    adversary : {"flip", "neg_ce", "uniform"}
        What the encoder wants of the adversary's scores: a small cross-entropy with another domain,
        drawn at random (Lample et al. 2017, sec. 3); a large one with the true domain (Chou et al.
        2018, sec. 2.1), which has no bound, so that a beaten adversary can be beaten further; or a
        small one with all domains equally likely (Tzeng et al. 2015).
    adversary_weight : float
        Weight lambda of the adversary in the encoder's loss, against 1 for the reconstruction, a
        mean over pixels or columns. More hides the domain better, and in the end content, too. With
        0 the adversary is trained, and looks on.
    warmup : float
        Part of the training, from 0 to 1, over which the weight rises linearly from 0 after any
        pre-training. A part and not a number of steps, so that it goes along with `n_epochs`; in
        `partial_fit`, which has no end, the weight is whole.
    pretrain_autoencoder, pretrain_adversary : float
        Parts of the training in which first the autoencoder alone is trained, and then the
        adversary alone (Chou et al. 2018 have .07 and .19). With the warm-up they come to 1 at
        most. `partial_fit` has none.
    n_adversary_steps : int
        Number of steps of the adversary for each of the autoencoder, on the codes of the same
        minibatch.
    adversary_dropout : float
        Share of the content code's numbers that the adversary does not see in its own steps; the
        others are multiplied by 1 / (1 - adversary_dropout). In narrow codes it is soon too much
        for an adversary to learn.
    reconstruction_loss : {"l2", "l1"}
        Mean squared, or mean absolute error of reconstructions.
    domain_encoder_lr : float or None
        Learning rate of the domain encoder. None: `lr`.
    domain_classifier_lr : float or None
        Learning rate of the adversary, which has to keep up with the encoder. None: `lr`.

    Attributes
    ----------
    domains_ : ndarray of shape (n_domains,), int64
        The domains of `fit`: those above 0 by size, then those below 0.
    domain_codes_ : ndarray of shape (n_domains, domain_dim), float32
        The codes that `convert` uses: the learnt ones, or the domain encoder's mean over the
        training samples of every domain.
    generator_ : Module
        The decoder, in eval mode: (n, latent_dim + domain_dim), content codes and domain codes side
        by side, to samples.
    domain_classifier_ : Module
        The adversary, in eval mode; only where there are several domains.
    domain_embedding_, domain_encoder_ : Module
        From indices of domains, or from samples, to domain codes; one of the two.
    history_ : list of dict
        As for other games; and "reconstruction", the loss of that name, and "adversary_accuracy",
        the share of minibatches' samples whose domain the adversary tells. The adversary's loss is
        "domain_classifier_loss"; log(n_domains) is that of guessing. Neither proves that the domain
        is not in the code.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from skgan import DisentangledEncoder
    >>> X, _ = load_digits(return_X_y=True)
    >>> domain = 1 + np.arange(len(X)) % 2
    >>> X[domain == 2] = 16 - X[domain == 2]  # white on black, and black on white
    >>> encoder = DisentangledEncoder(image_shape=(8, 8), n_epochs=1, random_state=0)
    >>> encoder.fit(X, sample_domain=domain).transform(X).shape
    (1797, 50)
    >>> encoder.convert(X[:5], to_domain=2).shape
    (5, 64)
    """

    domain_code: str = parameter(default="embedding", shapes=True)
    domain_dim: int = parameter(default=4, shapes=True)
    domain_encoder: Any = parameter(default="auto", network=True)
    domain_classifier: Any = parameter(default="auto", network=True)
    adversary: str = "flip"
    adversary_weight: float = 0.1
    warmup: float = 0.3
    pretrain_autoencoder: float = 0.0
    pretrain_adversary: float = 0.0
    n_adversary_steps: int = 5
    adversary_dropout: float = 0.0
    reconstruction_loss: str = "l2"
    domain_encoder_lr: float | None = None
    domain_classifier_lr: float | None = 1e-3
    output: str = "latent"
    clip_grad_norm: float | None = 5.0

    _networks = ("generator", "encoder", "domain_embedding", "domain_encoder", "domain_classifier")
    _holds = {"domain_codes_": array("f", 2)}
    _one_per_output = {"domains_": "domain_classifier", "domain_codes_": "domain_classifier"}

    def _check(self):
        check_choice("domain_code", self.domain_code, ("embedding", "encoder"))
        check_size("domain_dim", self.domain_dim)
        check_choice("adversary", self.adversary, HIDING_LOSSES)
        check_number("adversary_weight", self.adversary_weight, low=0)
        for name in SHARES:
            check_number(name, getattr(self, name), low=0, high=1)
        if sum(getattr(self, name) for name in SHARES) > 1 + 1e-9:
            given = ", ".join(f"{name}={getattr(self, name)!r}" for name in SHARES)
            raise ValueError(
                f"{given} are parts of the training, one after the other: let them come to 1 at "
                "most."
            )
        check_number("n_adversary_steps", self.n_adversary_steps, low=1, integer=True)
        check_number("adversary_dropout", self.adversary_dropout, low=0, high=1, open_high=True)
        check_choice("reconstruction_loss", self.reconstruction_loss, RECONSTRUCTION_LOSSES)
        super()._check()

    def _has_schedule(self):
        return super()._has_schedule() or any(getattr(self, name) for name in SHARES)

    def _domains_without(self, X, y):
        warn_caller(
            "sample_domain is not given: DisentangledEncoder trains on all samples as of one "
            "domain, without an adversary. Pass fit(X, sample_domain=...), a whole number other "
            "than 0 for each sample."
        )
        return np.ones(len(X), np.int64)

    def _pair(self, X, y, *, going_on):
        if going_on and self._given_domains is None and len(self.domains_) > 1:
            raise ValueError(
                "sample_domain=None, but training goes on with the domains "
                f"{self.domains_.tolist()}: pass that of each sample."
            )
        self._read_domains(X, y, going_on=going_on)
        return super()._pair(X, y, going_on=going_on)

    def _build(self, shape, rng):
        c_dim, s_dim, n_domains = self.latent_dim, self.domain_dim, len(self.domains_)
        # Paper: Fader Networks have the label beside the input of every layer of G, Chou et al.
        # embeddings in every layer. Here s is part of G's input, and of every layer of G that a
        # spec with z_injection=True builds.
        nets = {
            "generator": build_network(
                "generator", self.generator, rng, latent_dim=c_dim + s_dim, output_shape=shape
            ),
            "encoder": build_network(
                "encoder", self.encoder, rng, input_shape=shape, n_outputs=c_dim
            ),
        }
        if self.domain_code == "embedding":
            nets["domain_embedding"] = build_seeded(lambda: DomainCodes(n_domains, s_dim), rng)
        else:
            nets["domain_encoder"] = build_network(
                "domain_encoder", self.domain_encoder, rng,
                kind="encoder", input_shape=shape, n_outputs=s_dim,
            )  # fmt: skip
        if n_domains > 1:
            nets["domain_classifier"] = build_network(
                "domain_classifier", self.domain_classifier, rng,
                kind="classifier", input_shape=(c_dim,), n_outputs=n_domains, norm="batch",
            )  # fmt: skip
        return nets

    def _step(self, nets, batch, update):
        x, k = batch.x, batch.domain

        c = nets.encoder(x)
        autoencoder, adversary = self._who_plays(batch.progress)
        if adversary:
            self._train_adversary(nets, batch, update, c)
        if not autoencoder:
            return
        x_rec = nets.generator(joined(c, self._code_in_training(nets, x, k)))
        loss = rec = RECONSTRUCTION_LOSSES[self.reconstruction_loss](x_rec, x)
        if adversary:
            scores = nets.domain_classifier(c)
            loss = rec + self._weight(batch.progress) * self._hiding_loss(scores, batch)
            batch.log(adversary_accuracy=(scores.argmax(1) == k).float())
        codes = "domain_embedding" if self.domain_code == "embedding" else "domain_encoder"
        update(encoder=loss, generator=loss, **{codes: loss})
        batch.log(reconstruction=rec)

    def _train_adversary(self, nets, batch, update, c):
        # Paper: Chou et al. take a new minibatch for each of the adversary's steps; here its steps
        # are on the codes of one. Fader Networks have dropout in the adversary's hidden layers,
        # here the code has it (noise in hidden layers: domain_classifier=MLPSpec(noise=...)).
        p = self.adversary_dropout
        for _ in range(self.n_adversary_steps):
            seen = c * (batch.uniform(*c.shape) >= p) / (1 - p) if p else c
            update(domain_classifier=cross_entropy(nets.domain_classifier(seen), batch.domain))

    def _hiding_loss(self, scores, batch):
        """L_C, for the adversary's scores (n, n_domains) of content codes."""
        return hiding_loss(self.adversary, scores, batch.domain, batch.uniform)

    def _who_plays(self, progress):
        """Whether the autoencoder, and whether the adversary, is trained at this point."""
        if len(self.domains_) == 1 or progress < self.pretrain_autoencoder:
            return True, False
        return progress >= self.pretrain_autoencoder + self.pretrain_adversary, True

    def _weight(self, progress):
        """Lambda."""
        since = progress - self.pretrain_autoencoder - self.pretrain_adversary
        return self.adversary_weight * (min(1, since / self.warmup) if self.warmup else 1)

    def _code_in_training(self, nets, x, k):
        """s for every sample of domains k: learnt, or S of another sample of its domain."""
        if self.domain_code == "embedding":
            return nets.domain_embedding(k)
        # Paper: Mathieu et al. decode with the code of the sample itself as well, and have a
        # critic of samples with the content of one and the factor of another.
        return of_another(nets.domain_encoder(x), k)

    def _refresh(self, nets, x, z):
        k = domain_of_samples()
        if not isinstance(k, torch.Tensor):  # before training, no domains are said
            k = torch.zeros(len(x), dtype=torch.long, device=x.device)
        c = nets.encoder(x)
        nets.generator(joined(c, self._code_in_training(nets, x, k)))
        if len(self.domains_) > 1:
            nets.domain_classifier(c)

    def _measure(self, nets, draw, batches, *, going_on):
        if self.domain_code == "embedding":
            self.domain_codes_ = nets.domain_embedding.table.weight.numpy(force=True)
            return
        pairs = [(nets.domain_encoder(batch.x).float(), batch.domain) for batch in batches]
        s, k = (torch.cat(parts) for parts in zip(*pairs, strict=True))
        # A later partial_fit may lack a domain, which keeps its code.
        earlier: Any = getattr(self, "domain_codes_", None)
        means = [s[k == i].mean(0).numpy(force=True) for i in range(len(self.domains_))]
        self.domain_codes_ = np.stack(
            [m if (k == i).any() else earlier[i] for i, m in enumerate(means)]
        )

    # ---------------------------------------------------------------- use

    def _encode(self, nets, x):
        """E(x) and the domain code: S(x), or the learnt one with which x is decoded best."""
        c = nets.encoder(x)
        if self.domain_code == "encoder":
            return joined(c, nets.domain_encoder(x))
        pairs = [joined(c, s.expand(len(c), -1)) for s in self._known_codes(c)]
        errors = [(nets.generator(z) - x).square().flatten(1).mean(1) for z in pairs]
        best = torch.stack(errors).argmin(0)
        return torch.stack(pairs)[best, torch.arange(len(c), device=c.device)]

    def _decode(self, nets, z):
        if z.shape[1] == self.latent_dim:  # from `inverse_transform`: content alone
            if len(self.domains_) > 1:
                raise ValueError(
                    "X holds content codes, which do not say in which of the domains "
                    f"{self.domains_.tolist()} to decode them: use convert(X, to_domain) of "
                    "samples."
                )
            z = joined(z, self._known_codes(z).expand(len(z), -1))
        return nets.generator(z)

    def _known_codes(self, like):
        return torch.as_tensor(self.domain_codes_, device=like.device)

    def _extractor(self, nets):
        names = [f"content{i}" for i in range(self.latent_dim)]
        return self._encoder_features(nets.encoder, names, nn.Identity(), self.input_shape_)

    @completed_by(X_AS_IN_FIT)
    def transform_domain(self, X):
        """Domain codes: by the domain encoder, or of the known domain that decodes a sample best.

        Returns
        -------
        ndarray of shape (n, domain_dim), float32
            Row i depends on sample i of X alone.
        """
        return self._apply(lambda nets: lambda x: self._encode(nets, x)[:, self.latent_dim :], X)

    @completed_by(X_AS_IN_FIT)
    def convert(self, X, to_domain):
        """Samples with the content of those in X, in another domain.

        Parameters
        ----------
        to_domain : int or array-like of int of shape (n,)
            One of `domains_` for all samples, or one for each. With its own domain, a sample is
            reconstructed.

        Returns
        -------
        ndarray of shape (n, ...)
            In the layout, value range and (for uint8) type of the X of `fit`.

        Raises
        ------
        ValueError
            For domains that are not those of `fit`, or not as many as samples.
        """
        self._nets()  # raises if nothing is fitted
        known, given = self.domains_.tolist(), np.asarray(to_domain)
        if unknown := sorted(set(given.ravel().tolist()) - set(known)):
            raise ValueError(f"to_domain has {unknown}, but the domains of fit are {known}.")
        content = self._apply(lambda nets: nets.encoder, X)
        if given.shape not in ((), (len(content),)):
            raise ValueError(
                f"to_domain has shape {given.shape} for {len(content)} samples: give one domain "
                "for all, or one for each."
            )
        rows = [known.index(k) for k in np.broadcast_to(given, len(content)).tolist()]
        z = np.hstack([content, self.domain_codes_[rows]])
        return self._format.decode(self._decoded(torch.from_numpy(z)))


def joined(c, s):
    """What the decoder is given (n, latent_dim + domain_dim)."""
    return torch.cat([c, s], dim=1)
