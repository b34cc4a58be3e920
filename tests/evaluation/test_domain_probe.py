"""`domain_leak` finds what is there, in shapes of its own probe, and nothing in noise."""

import numpy as np
import pytest

from skgan.evaluation import domain_leak


@pytest.fixture
def noise():
    return np.random.default_rng(0).normal(size=(600, 2))


DOMAIN = np.repeat([3, -1, 7], 200)


def test_nothing_is_found_in_noise(noise):
    result = domain_leak(noise, DOMAIN)
    assert result.majority == pytest.approx(1 / 3)
    assert result.n_samples == 600 and result.n_domains == 3
    assert abs(result.leak) < 0.1
    assert result.leak == pytest.approx((result.best - 1 / 3) / (2 / 3))
    assert "guessing: 0.333" in str(result) and "linear" in str(result)


def test_each_probe_finds_what_it_can(noise):
    shifted = noise + 8 * np.arange(3).repeat(200)[:, None]
    assert min(domain_leak(shifted, DOMAIN).accuracies.values()) > 0.99
    spread = noise * 10.0 ** np.arange(3).repeat(200)[:, None]  # the means are the same
    found = domain_leak(spread, DOMAIN).accuracies
    assert found["linear"] < 0.5 and found["knn"] > 0.9
    # A bit in one of many columns, whose neighbours are those of the others.
    rng = np.random.default_rng(1)
    bits = rng.integers(0, 2, (600, 30))
    parity = bits[:, 0] ^ bits[:, 1]
    found = domain_leak(bits + 0.01 * rng.normal(size=bits.shape), 1 + parity).accuracies
    assert found["mlp"] > 0.95 > 0.8 > found["knn"] and found["linear"] < 0.6


def test_unequal_domains_are_measured_against_the_largest(noise):
    domain = np.where(np.arange(600) < 540, 1, 2)
    result = domain_leak(noise, domain)
    assert result.majority == 0.9 and abs(result.leak) < 0.3


def test_results_are_repeatable(noise):
    assert domain_leak(noise, DOMAIN) == domain_leak(noise, DOMAIN)
    assert domain_leak(noise, DOMAIN) != domain_leak(noise, DOMAIN, random_state=1)
    assert domain_leak(noise, DOMAIN) == domain_leak(noise, DOMAIN.astype(object))


@pytest.mark.parametrize(
    ("domain", "settings", "message"),
    [
        (np.ones(600), {}, "^sample_domain is 1.0 throughout: at least two"),
        (DOMAIN[:-1], {}, "inconsistent numbers of samples"),
        (np.stack([DOMAIN, DOMAIN], 1), {}, r"^sample_domain has the shape \(600, 2\): give one"),
        (1, {}, r"^sample_domain has the shape \(\): give one domain for each"),
        (np.r_[DOMAIN[:-2], 8, 8], {}, "^sample_domain is 8 for 2 samples, .* use cv=2"),
        (DOMAIN, {"cv": 1}, "^cv=1 must be a whole number"),
    ],
)
def test_errors_name_the_cause(noise, domain, settings, message):
    with pytest.raises(ValueError, match=message):
        domain_leak(noise, domain, **settings)
