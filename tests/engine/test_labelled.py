"""Labelled samples for every minibatch, where few samples have a label."""

import dataclasses

import numpy as np
import torch

from skgan import LazyImages, SupervisedFeatures
from skgan.data.arrays import ArraySource, learn_format
from skgan.engine.labelled import LabelledSamples


def source(n=40, n_labelled=6, lazy=False):
    X = np.arange(float(n))[:, None, None] * np.ones((8, 8))
    labels = np.full(n, -1)
    labels[5 : 5 + n_labelled] = np.arange(n_labelled) % 3
    form = learn_format(X, None, "auto", (-1, 1))
    return ArraySource(LazyImages(X) if lazy else X, form, labels)


def rows_of(x):
    return x[:, 0, 0, 0].long().tolist()


def test_each_pass_has_every_labelled_sample_once_with_its_label():
    for lazy in (False, True):
        few = LabelledSamples(source(lazy=lazy), torch.Generator().manual_seed(0),
                              torch.device("cpu"))  # fmt: skip
        drawn = [few.draw(n) for n in (4, 13, 1)]
        rows = [r for x, _ in drawn for r in rows_of(x)]
        labels = [k for _, y in drawn for k in y.tolist()]
        passes = [rows[i : i + 6] for i in (0, 6, 12)]
        assert all(sorted(p) == [5, 6, 7, 8, 9, 10] for p in passes)
        assert len({tuple(p) for p in passes}) == 3
        assert labels == [(r - 5) % 3 for r in rows]


def test_draws_depend_on_the_generator_alone_and_cost_none_where_none_is_asked_for():
    rng = torch.Generator().manual_seed(3)
    before = rng.get_state()
    LabelledSamples(source(), rng, torch.device("cpu"))
    assert torch.equal(rng.get_state(), before)
    a, b = (
        LabelledSamples(source(), torch.Generator().manual_seed(3), torch.device("cpu")).draw(9)
        for _ in range(2)
    )
    assert torch.equal(a[0], b[0]) and torch.equal(a[1], b[1])


def test_a_step_can_ask_for_as_many_as_the_minibatch_has(digits, monkeypatch):
    X, y = digits
    hidden = np.where(np.arange(len(y)) < 30, y, -1)
    seen, step = [], SupervisedFeatures._step

    def watched(self, nets, batch, update):
        seen.append((len(batch.x), *batch.labelled(), batch.labelled(2)[1]))
        known = dataclasses.replace(batch, x=seen[-1][1], y=seen[-1][2])
        step(self, nets, known, update)

    monkeypatch.setattr(SupervisedFeatures, "_step", watched)
    monkeypatch.setattr(SupervisedFeatures, "_needs_labels", False)
    est = SupervisedFeatures(n_epochs=1, batch_size=50, random_state=0, device="cpu").fit(X, hidden)
    assert len(seen) == 6
    label = dict(zip(map(bytes, est._format.encode(X).numpy()), y, strict=True))
    for n, x, known, two in seen:
        assert len(x) == len(known) == n and len(two) == 2
        assert [label[bytes(row)] for row in x.numpy()] == known.tolist()
