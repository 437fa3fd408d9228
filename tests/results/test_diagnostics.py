from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats
from synthetic_run import make_result

from nmmfit.results import adapter
from nmmfit.results.diagnostics import (
    bfmi,
    contraction,
    convergence,
    correlations,
    finite_or_null,
    summarise,
    summarise_fit,
    summarise_one,
)


def normal(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def autoregressive(rho, chains, draws, seed=0):
    """Stationary AR(1) chains of unit variance."""
    noise = normal((chains, draws), seed)
    values = np.empty((chains, draws))
    values[:, 0] = noise[:, 0]
    for i in range(1, draws):
        values[:, i] = rho * values[:, i - 1] + np.sqrt(1.0 - rho**2) * noise[:, i]
    return values


def test_ess_of_an_autoregressive_chain():
    # tau = (1 + rho) / (1 - rho) for AR(1); the estimator scatters by some percent at this length.
    rho, n = 0.6, 4 * 4000
    assert adapter.ess(autoregressive(rho, 4, 4000), "bulk") == pytest.approx(n * (1 - rho) / (1 + rho), rel=0.1)


def test_tail_ess_of_independent_draws():
    assert adapter.ess(normal((4, 2000)), "tail") == pytest.approx(8000, rel=0.15)


def test_rhat_sees_a_shifted_chain_and_a_wide_chain():
    agreeing = normal((4, 1000))
    assert adapter.rhat(agreeing) < 1.01
    shifted, wide = agreeing.copy(), agreeing.copy()
    shifted[0] += 1.0
    wide[0] *= 4.0
    assert adapter.rhat(shifted) > 1.05
    # Rank-normalised r_hat is the larger one of location and folded scale: equal means do not hide a different width.
    assert adapter.rhat(wide) > 1.05


def test_single_chain_is_compared_with_itself():
    drifting = np.linspace(0.0, 5.0, 1000)[None, :] + normal((1, 1000))
    assert adapter.rhat(normal((1, 1000))) < 1.01
    assert adapter.rhat(drifting) > 1.2


@pytest.mark.parametrize(
    "draws", [np.ones((4, 100)), normal((4, 3)), np.full((4, 100), np.nan)], ids=["constant", "too few", "not finite"]
)
def test_undefined_diagnostics_are_nan(draws):
    assert np.isnan(adapter.rhat(draws))
    assert np.isnan(adapter.ess(draws, "bulk"))
    assert np.isnan(adapter.ess(draws, "tail"))


def test_draws_of_wrong_shape_are_refused():
    with pytest.raises(ValueError, match="chain, draw"):
        adapter.rhat(np.zeros(10))


def test_hdi_is_the_shortest_interval():
    # Exponential: the shortest 90 % interval is [0, ln 10], the central one is not.
    draws = stats.expon.ppf((np.arange(40_000) + 0.5) / 40_000)
    low, high = adapter.hdi(draws, 0.90)
    assert low == pytest.approx(0.0, abs=1e-3)
    assert high == pytest.approx(np.log(10.0), rel=1e-3)


def test_hdi_of_two_modes_is_one_interval():
    draws = np.concatenate([np.linspace(-11, -10, 500), np.linspace(10, 11, 500)])
    low, high = adapter.hdi(draws, 0.90)
    assert low < -10
    assert high > 10


def test_symmetrising_hides_what_folded_draws_show():
    """Two chains at different sizes of a signal; after random signs neither mean nor order betrays it as strongly."""
    size = np.abs(normal((2, 2000))) * np.array([[0.2], [5.0]])
    sign = np.random.default_rng(3).choice([-1.0, 1.0], size=size.shape)
    slow = np.abs(autoregressive(0.99, 4, 2000))
    signs = np.random.default_rng(4).choice([-1.0, 1.0], size=slow.shape)
    assert adapter.ess(slow * signs, "bulk") > 10 * adapter.ess(slow, "bulk")
    summary = summarise_one(slow * signs, slow, 1.0)
    assert summary.ess_bulk == adapter.ess(slow, "bulk")
    assert summary.r_hat == adapter.rhat(slow)
    assert summarise({"x": size * sign}, {"x": size}, {})["x"].r_hat > 1.5


def test_summary_of_a_known_distribution():
    grid = stats.norm.ppf((np.arange(40_000) + 0.5) / 40_000)
    draws = np.random.default_rng(0).permutation(grid).reshape(4, -1) * 2.0
    s = summarise_one(draws, np.abs(draws), 4.0)
    z = stats.norm.ppf(0.95)
    assert s.mean == pytest.approx(0.0, abs=1e-9)
    assert s.sd == pytest.approx(2.0, rel=1e-3)
    assert s.hdi_90 == pytest.approx((-2 * z, 2 * z), rel=2e-2)
    assert s.abs_upper_90 == pytest.approx(2 * z, rel=1e-3)
    assert s.contraction == pytest.approx(0.75, abs=1e-3)
    assert not s.prior_limited


@pytest.mark.parametrize("sd_prior", [None, float("nan"), float("inf"), 0.0, -1.0])
def test_contraction_needs_a_finite_prior_width(sd_prior):
    assert np.isnan(contraction(1.0, sd_prior))


def test_contraction_values():
    assert contraction(0.0, 2.0) == 1.0
    assert contraction(2.0, 2.0) == 0.0
    assert contraction(3.0, 2.0) == pytest.approx(-1.25)


def test_prior_limited_is_labelled(result):
    summary = summarise_fit(result)
    assert summary.parameters["L_T_s"].prior_limited
    assert not summary.parameters["L_dipole"].prior_limited
    assert not summary.identified["mu_solar"].prior_limited


def test_bfmi_closed_forms():
    # Independent energies: E[(E_n - E_(n-1))^2] = 2 var. A ramp 0..n-1: (n - 1) / (n (n^2 - 1) / 12).
    assert bfmi(normal((3, 20_000))) == pytest.approx([2.0] * 3, rel=0.03)
    n = 50
    assert bfmi(np.arange(n, dtype=float)[None, :]) == pytest.approx([12.0 / (n * (n + 1))])
    assert np.isnan(bfmi(np.ones((1, 10)))).all()


def test_good_run_converges(result):
    summary = summarise_fit(result)
    assert summary.convergence.converged
    assert summary.convergence.problems == ()
    assert summary.convergence.max_r_hat < 1.01


def test_every_failure_is_named(result):
    stuck = result.draws["coherent_csi_2021.nin"]
    stuck[0] = stuck[0] * 0.01 + 5.0
    result.sample_stats["diverging"][:, :3] = True
    result.sample_stats["energy"][2] = np.arange(result.draws_per_chain)
    verdict = summarise_fit(result).convergence
    assert not verdict.converged
    text = "\n".join(verdict.problems)
    assert "coherent_csi_2021.nin: r_hat" in text
    assert "coherent_csi_2021.nin: bulk effective sample size" in text
    assert "12 of 2000 draws diverged" in text
    assert "chain 2: energy BFMI" in text
    assert "L_dipole" not in text
    assert verdict.divergences == 12


def test_fixed_parameter_is_no_failure_but_undefined_is(result):
    result.draws["theory.c_T"][:] = -2.9
    assert summarise_fit(result).convergence.converged
    few = make_result(draws=3)
    verdict = summarise_fit(few).convergence
    assert not verdict.converged
    assert any("r_hat is nan" in p for p in verdict.problems)


def test_no_statistics_at_all():
    verdict = convergence(summarise({"x": normal((4, 500))}, {}, {}), {})
    assert verdict.converged
    assert verdict.bfmi == ()


def test_json_has_no_nan(result):
    summary = summarise_fit(result)
    text = json.dumps({n: s.to_json() for n, s in summary.identified.items()}, allow_nan=False)
    assert json.loads(text)["mu_solar"]["contraction"] is None
    assert finite_or_null({"a": (np.float64("inf"), np.int64(3), np.bool_(True))}) == {"a": [None, 3, True]}
    json.dumps(summary.convergence.to_json(), allow_nan=False)


def test_correlations_of_known_draws(result):
    """A linear mixture of independent normals: rho = 0.6; reversed draws -0.6; what does not vary is undefined."""
    shape = next(iter(result.draws.values())).shape
    first, second = normal(shape, 1), normal(shape, 2)
    names = result.coefficient_names()
    result.draws[names[0]], result.draws[names[1]] = first, 0.6 * first + 0.8 * second
    found = correlations(result)
    assert found[0, 1] == found[1, 0] == pytest.approx(0.6, abs=4.0 * 0.64 / np.sqrt(first.size))
    np.testing.assert_allclose(np.diag(found), 1.0, rtol=1e-12)
    result.draws[names[0]] = -first
    assert correlations(result)[0, 1] == pytest.approx(-found[0, 1], rel=1e-12)
    result.draws[names[0]] = np.zeros(shape)
    assert np.isnan(correlations(result)[0]).all()
