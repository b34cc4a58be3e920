"""A pytest plugin that breaks skgan in one named way: `-p tests.mutations`, SKGAN_MUTATION=name.

`test_mutations.py` runs chosen tests under each and expects them to turn red.
"""

import os

import numpy as np


def swapped_labels():
    from skgan import losses

    d, g = losses.GAN_LOSSES["ns"]
    losses.GAN_LOSSES["ns"] = lambda real, fake: d(fake, real), g


def generator_wants_to_lose():
    from skgan import losses

    d, g = losses.GAN_LOSSES["ns"]
    losses.GAN_LOSSES["ns"] = d, lambda fake: g(-fake)


def frozen_generator():
    from skgan.engine.players import Players

    step = Players._step
    Players._step = lambda self, role, gradients: (
        None if role == "generator" else step(self, role, gradients)
    )


def batch_norm_left_in_training_mode():
    from torch import nn

    from skgan.nn import PooledTaps

    forward = PooledTaps.forward

    def forgetful(self, x):
        for m in self.modules():
            if isinstance(m, nn.modules.batchnorm._BatchNorm):
                m.train()
        return forward(self, x)

    PooledTaps.forward = forgetful


def batch_norm_measured_on_generated_rows():
    from skgan import MGANExtractor

    refresh = MGANExtractor._refresh

    def generated(self, nets, x, z):
        refresh(self, nets, x, z)
        z, _ = self._for_each_generator(z[:, : self.latent_dim])
        nets.discriminator(nets.generator(z), nets.classifier)

    MGANExtractor._refresh = generated


def averages_begin_at_untrained_weights():
    from skgan import training
    from skgan.engine import checkpoint

    put_back = checkpoint.put_back

    def forgetful(players, history, state):
        first = {role: [m.clone() for m in means] for role, means in players.ema.items()}
        seed = put_back(players, history, state)
        players.ema = first
        return seed

    training.checkpoint.put_back = forgetful


def batch_norm_never_measured():
    from skgan.training import Training

    Training._measure_batchnorm = lambda self, *args: None


def shuffled_rows_in_transform():
    from skgan.base import BaseGAN

    apply = BaseGAN._apply

    def shuffled(self, pick, X):
        out = apply(self, pick, X)
        return out[np.random.default_rng(len(out)).permutation(len(out))]

    BaseGAN._apply = shuffled


def untrained_network_passed_off_as_trained():
    from skgan.engine.players import Players

    Players.update = lambda self, **losses: self.meters.add(
        {f"{role}_loss": loss.detach() for role, loss in losses.items()}
    )


def labels_reach_the_extractor():
    from skgan.base import BaseGAN

    fit = BaseGAN.fit

    def peeking(self, X, y=None):
        self.random_state = 0 if y is None else int(np.dot(y, np.arange(len(y))))
        return fit(self, X)

    BaseGAN.fit = peeking


def global_seed_used():
    import torch

    from skgan.base import BaseGAN

    BaseGAN._draw = lambda self, n, rng, component=None: torch.rand(n, self.latent_dim) * 2 - 1


def encoder_wants_its_pairs_told_apart():
    from skgan import losses

    d, _ = losses.JOINT_LOSSES[False]
    losses.JOINT_LOSSES[False] = d, d


def frozen_encoder():
    from skgan.engine.players import Players

    step = Players._step
    Players._step = lambda self, role, gradients: (
        None if role == "encoder" else step(self, role, gradients)
    )


def autoencoder_reproduces_other_rows():
    from skgan import losses

    table = losses.RECONSTRUCTION_LOSSES
    for name, loss in list(table.items()):
        table[name] = lambda out, x, loss=loss: loss(out, x.roll(1, 0))


def regressor_taught_other_codes():
    from skgan import losses

    table = losses.LATENT_LOSSES
    for name, loss in list(table.items()):
        table[name] = lambda a, z, loss=loss: loss(a, z.roll(1, 0))


def discriminator_begins_with_opinions():
    from skgan.methods import latent_regressor

    latent_regressor.zero_head = lambda net: net


def labels_shuffled_within_the_batch():
    from skgan.engine import loop

    batch = loop.Batch
    loop.Batch = lambda *args, y=None: batch(*args, y=None if y is None else y.roll(1))


def every_row_by_the_first_generator():
    from skgan.nn.blocks import OneOfSeveral

    forward = OneOfSeveral.forward

    def first(self, z):
        k = len(self.parts)
        z = z.clone()
        z[:, -k:] = 0
        z[:, -k] = 1
        return forward(self, z)

    OneOfSeveral.forward = first


def one_optimizer_for_both_losses():
    from skgan.engine import players

    def optimizer(self, seat):
        role = players.role_of(seat)
        if role not in self.optimizers:
            self.optimizers[role] = self._make_optimizer(role, self.parameters[role])
            self.base_lr[role] = self.optimizers[role].param_groups[0]["lr"]
        return self.optimizers[role]

    players.Players.optimizer = optimizer


def null_and_row_space_swapped():
    from skgan.nn.trunk import JoinedFeatures

    start = JoinedFeatures.__init__
    other = {None: None, "null": "row", "row": "null"}
    JoinedFeatures.__init__ = lambda self, nets, subspace: start(self, nets, other[subspace])


def terms_left_out_of_the_loss():
    from skgan.engine.losses import Terms

    Terms.__radd__ = lambda self, loss: loss


def critics_see_samples_as_they_are():
    from skgan.critics import Seen

    Seen.__call__ = lambda self, x, *others: self._critic(x, *others)


def heads_of_a_trunk_swapped():
    from skgan.nn.trunk import _OnTrunk

    forward = _OnTrunk.forward

    def swapped(self, x, *others):
        out = forward(self, x, *others)
        return out[:1] + out[:0:-1] if others else out

    _OnTrunk.forward = swapped


def weights_cast_once_and_for_all():
    from skgan.nn.kernels.conv import Packed, Products

    def packed(self, weight):
        if weight not in self._packed:
            self._packed[weight] = Packed(weight if weight.ndim == 4 else weight[:, :, None, None])
        return self._packed[weight]

    Products.packed = packed


def phases_with_their_taps_unreversed():
    from skgan.nn.kernels.windows import Packed

    phases = Packed.phases

    def unreversed(self, windows):
        self.matrix = self.matrix.view(self.n_small, windows.kernel**2, -1).flip(1)
        return phases(self, windows)

    Packed.phases = unreversed


def trunk_helps_the_domain_head():
    from skgan import DomainAdversarialFeatures

    weight = DomainAdversarialFeatures._lambda
    DomainAdversarialFeatures._lambda = lambda self, p: -weight(self, p)


def labels_of_targets_are_read():
    from skgan.domains import DomainClassificationMixin

    of_sources = DomainClassificationMixin._of_sources
    DomainClassificationMixin._of_sources = lambda self, domains, y: of_sources(
        self, np.abs(domains), y
    )


def encoder_helps_its_adversary():
    from skgan import DisentangledEncoder
    from skgan.losses import cross_entropy

    DisentangledEncoder._hiding_loss = lambda self, scores, batch: cross_entropy(
        scores, batch.domain
    )


def domains_drawn_as_they_come():
    from skgan.engine import domains

    order = domains.balanced_order
    domains.balanced_order = lambda of, rng: order(np.random.RandomState(0).permutation(of), rng)


def digests_not_compared():
    from skgan.utils import sealed

    sealed._digest = lambda document, tensors: document.get("sha256", "")
    json = sealed.json

    class Forgetful:
        dumps = json.dumps

        @staticmethod
        def loads(text, **hooks):
            found = json.loads(text, **hooks)
            return found | {"sha256": ""} if hooks and isinstance(found, dict) else found

    sealed.json = Forgetful


def slots_not_compared():
    from skgan.engine import states

    states._check_slots = lambda name, slots, expected: None


def attributes_not_compared():
    from skgan.utils import kinds

    kinds.check_declared = lambda declared, values: None


def weight_norm_starts_without_noise():
    from skgan.nn import init

    init.set_noise = lambda net: None


def threads_do_not_take_turns():
    import contextlib

    from skgan.utils import seeds

    seeds._global_state = contextlib.nullcontext()


def collapsed_samples_look_diverse():
    from skgan.callbacks import CollapseGuard

    CollapseGuard._diversity = lambda self, networks, X: 1.0


def best_epoch_keeps_later_optimizers():
    from skgan.training import Training

    put_back = Training._put_back

    def forgetful(self, state):
        later = {
            seat: {p: dict(slots) for p, slots in optimizer.state.items()}
            for seat, optimizer in self.players.optimizers.items()
        }
        put_back(self, state)
        for seat, slots in later.items():
            self.players.optimizers[seat].state.update(slots)

    Training._put_back = forgetful


def best_epoch_is_never_kept():
    from skgan.engine.reporting import Report

    Report._keep_if_asked = lambda self: None


def pytest_configure(config):
    name = os.environ.get("SKGAN_MUTATION")
    if name:
        globals()[name]()
