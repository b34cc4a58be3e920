"""Minibatches of several domains, and schedules by the part of the training that is done."""

import numpy as np
import pytest
import torch

from skgan.data.arrays import ArraySource, learn_format
from skgan.engine import domains
from skgan.engine.loop import minibatches, samples_per_epoch, steps_per_epoch
from skgan.engine.runtime import lr_factor
from skgan.utils.domains import domain_of_samples, samples_from


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_every_row_of_an_epoch_has_all_domains():
    of = np.array([1, 0, 0, 2, 0, 0, 0, 1, 0, 1])  # 6, 3 and 1 samples
    order = domains.balanced_order(of, generator())
    assert order.shape == (6, 3)
    assert (of[order] == [0, 1, 2]).all()
    assert sorted(order[:, 0]) == [1, 2, 4, 5, 6, 8]  # the largest once
    assert np.bincount(order[:, 1])[[0, 7, 9]].tolist() == [2, 2, 2]
    assert (order[:, 2] == 3).all()
    assert domains.samples_per_epoch(of) == 18
    assert not np.array_equal(order, domains.balanced_order(of, generator(1)))
    np.testing.assert_array_equal(order, domains.balanced_order(of, generator()))


@pytest.mark.parametrize("batch_size", [2, 3, 5, 8, 100])
def test_minibatches_have_as_many_samples_of_each_domain(batch_size):
    of = np.repeat([0, 1], [11, 6])
    X = np.random.RandomState(0).randn(17, 3).astype(np.float32)
    source = ArraySource(X, learn_format(X, None, "auto", "auto"), domains=of)
    parts = minibatches(source, batch_size, generator())
    assert len(parts) == steps_per_epoch(source, batch_size)
    assert sum(map(len, parts)) == samples_per_epoch(source) == 22
    for rows in parts:
        counts = np.bincount(of[rows], minlength=2)
        assert counts[0] == counts[1] >= 2
        assert len(rows) <= max(batch_size, 6)


def test_one_domain_is_as_none():
    X = np.random.RandomState(0).randn(17, 3).astype(np.float32)
    form = learn_format(X, None, "auto", "auto")
    plain, one = ArraySource(X, form), ArraySource(X, form, domains=np.zeros(17, np.int64))
    for a, b in zip(*(minibatches(s, 4, generator()) for s in (plain, one)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_domains_are_part_of_the_fingerprint():
    X = np.random.RandomState(0).randn(4, 3).astype(np.float32)
    form = learn_format(X, None, "auto", "auto")
    prints = {
        ArraySource(X, form, labels, of).fingerprint()
        for labels in (None, np.zeros(4, np.int64))
        for of in (None, np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]))
    }
    assert len(prints) == 6


def test_inverse_decay_is_that_of_the_paper():
    p = (3 + 0.25) / 5
    assert lr_factor("inverse", 3, 5, 0.25) == pytest.approx(1 / (1 + 10 * p) ** 0.75)
    assert lr_factor("inverse", 0, 5) == 1


def test_what_samples_are_from_is_said_within_and_no_longer_after():
    assert domain_of_samples() is None
    with samples_from(1):
        assert domain_of_samples() == 1
        with samples_from(torch.tensor([0, 1])):
            assert domain_of_samples().tolist() == [0, 1]
        assert domain_of_samples() == 1
    assert domain_of_samples() is None
