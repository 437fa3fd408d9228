"""Ensemble HMC: known posteriors, agreement with NUTS, and that it can be repeated, interrupted and compiled once."""

from __future__ import annotations

import dataclasses

import arviz
import jax
import numpy as np
import pytest
from gaussian_joint import NOMINAL, OBSERVED, RESPONSE, gaussian
from numpyro import distributions as dist
from synthetic import coupling_map

from nmmfit.errors import UserInputError
from nmmfit.inference.ensemble import warmup_windows
from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.parameters import Parameter
from nmmfit.inference.result import SampleResult
from nmmfit.inference.sampling import SamplerSettings, sample
from nmmfit.run import default_run

SHORT = SamplerSettings(method="ensemble", chains=16, warmup=140, draws=200, seed=3)


def standard_error(draws: np.ndarray) -> float:
    """Monte Carlo error of the mean of draws (chain, draw)."""
    return float(draws.std() / np.sqrt(arviz.ess(draws)))


@pytest.mark.parametrize("response", [np.eye(2), RESPONSE])
def test_a_gaussian_posterior_has_its_mean_and_covariance(response: np.ndarray) -> None:
    result = sample(gaussian(response), dataclasses.replace(SHORT, draws=600))
    covariance = np.linalg.inv(np.eye(2) + response.T @ response)
    mean = covariance @ response.T @ (OBSERVED - NOMINAL)
    deviations = []
    for k, name in enumerate(("lab.a", "lab.b")):
        draws = result.draws[name]
        assert abs(draws.mean() - mean[k]) < 5 * standard_error(draws), name
        deviations.append(draws - mean[k])
    for i, j in ((0, 0), (0, 1), (1, 1)):
        product = deviations[i] * deviations[j]
        assert abs(product.mean() - covariance[i, j]) < 5 * standard_error(product), (i, j)
    # Nothing depends on the coefficient: it keeps its prior.
    squared = result.draws["L_dipole"] ** 2
    assert abs(squared.mean() - 4.0) < 5 * standard_error(squared)
    assert result.divergences() == 0


def test_a_run_without_data_returns_the_prior() -> None:
    priors = [dist.Normal(0.0, 1.0), dist.HalfNormal(2.0), dist.Uniform(-1.0, 3.0), dist.Normal(1.0, 0.5)]
    starts = [0.0, 1.0, 1.0, 1.0]
    names = ("L_dipole", "L_T_u", "L_T_d", "L_T_s")
    parameters = [Parameter(n, "coefficient", "1", p, s, 1.0) for n, p, s in zip(names, priors, starts, strict=True)]
    parameters.append(Parameter("theory.c_T", "theory", "1", dist.Normal(-2.9, 0.3), -2.9, 0.3))
    result = sample(JointLikelihood((), parameters, coupling_map()), dataclasses.replace(SHORT, draws=500))
    for name, prior in zip(names, priors, strict=True):
        draws, mean = result.draws[name], float(prior.mean)
        assert abs(draws.mean() - mean) < 5 * standard_error(draws), name
        squared = (draws - mean) ** 2
        assert abs(squared.mean() - float(prior.variance)) < 5 * standard_error(squared), name


@pytest.fixture(scope="module")
def posterior(joint: JointLikelihood) -> SampleResult:
    return sample(joint, SHORT)


@pytest.mark.slow
def test_it_agrees_with_nuts(joint: JointLikelihood, posterior: SampleResult) -> None:
    other = sample(joint, SamplerSettings(chains=4, warmup=400, draws=500, seed=3))
    for name in joint.names:
        a, b = (r.for_diagnostics()[name] for r in (posterior, other))
        for x, y in ((a, b), ((a - b.mean()) ** 2, (b - b.mean()) ** 2)):
            assert abs(x.mean() - y.mean()) < 5 * np.hypot(standard_error(x), standard_error(y)), name
    assert set(posterior.sample_stats) == set(other.sample_stats)


def test_shapes_and_diagnostics(posterior: SampleResult) -> None:
    assert {v.shape for v in posterior.sample_stats.values()} == {(16, 200)}
    assert {v.shape for v in (posterior.draws | posterior.folded | posterior.identified).values()} == {(16, 200)}
    assert posterior.divergences() == 0
    assert posterior.sample_stats["diverging"].dtype == bool
    for name, values in posterior.for_diagnostics().items():
        assert float(arviz.rhat(values)) < 1.03, name
    steps = posterior.sample_stats["step_size"]
    assert np.ptp(steps) == 0.0, "the step stays after warm-up"
    assert abs(posterior.sample_stats["accept_prob"].mean() - SHORT.target_accept) < 0.07
    assert np.all(posterior.sample_stats["num_steps"] == posterior.sample_stats["num_steps"][:1]), "chains go in lock-step"
    assert len(np.unique(posterior.sample_stats["num_steps"])) > 3, "lengths vary"


def test_draws_of_the_default_length_have_converged(joint: JointLikelihood) -> None:
    """What limits are published from: folded r_hat below 1.01 and hardly a divergence, here of 9600 draws."""
    found = sample(joint, dataclasses.replace(SHORT, chains=32, draws=300))
    own = {p.name for p in joint.of_kind("coefficient")}
    judged = {**found.for_diagnostics(), **found.identified_for_diagnostics()}
    for name, values in judged.items():
        # Of four coefficients the data fix two combinations; the others are the prior's, and slower.
        assert float(arviz.rhat(values)) < (1.02 if name in own else 1.01), name
    assert found.divergences() <= 1e-4 * found.sample_stats["diverging"].size


def test_a_seed_decides_everything_and_a_second_call_compiles_nothing(joint: JointLikelihood, posterior: SampleResult) -> None:
    compilations = []

    def listen(event: str, duration: float, **_: object) -> None:
        if "backend_compile" in event:
            compilations.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        again = sample(joint, SHORT)
        other = sample(joint, dataclasses.replace(SHORT, seed=4))
    finally:
        jax.monitoring.clear_event_listeners()
    assert compilations == []
    for name in joint.names:
        np.testing.assert_array_equal(again.draws[name], posterior.draws[name])
        assert not np.array_equal(other.draws[name], posterior.draws[name])


def test_results_do_not_depend_on_the_number_of_processors(joint: JointLikelihood, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = dataclasses.replace(SHORT, chains=32, warmup=20, draws=20)
    results = []
    for count in (1, 2):
        monkeypatch.setattr("nmmfit.inference.sampling.processors", lambda count=count: count)
        results.append(sample(joint, settings))
    for name in joint.names:
        np.testing.assert_array_equal(results[0].draws[name], results[1].draws[name])
    first, second = (results[0].draws["L_dipole"][part] for part in (slice(16), slice(16, None)))
    assert not np.array_equal(first, second), "lanes have random numbers of their own"


def test_on_an_accelerator_all_chains_are_one_lane(joint: JointLikelihood, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nmmfit.inference.ensemble.in_lock_step", lambda: True)
    result = sample(joint, dataclasses.replace(SHORT, chains=32, warmup=20, draws=20))
    assert np.ptp(result.sample_stats["step_size"]) == 0.0
    assert result.draws["L_dipole"].shape == (32, 20)


def test_an_interruption_keeps_what_was_drawn(joint: JointLikelihood) -> None:
    def stop(now) -> None:
        if now.done >= 240:
            raise KeyboardInterrupt

    result = sample(joint, SHORT, progress=stop)
    assert result.interrupted
    assert result.draws["L_dipole"].shape == (16, 100)
    with pytest.raises(KeyboardInterrupt):
        sample(joint, SHORT, progress=lambda now: stop(dataclasses.replace(now, done=240)))


@pytest.mark.slow
def test_one_chain_works(joint: JointLikelihood, posterior: SampleResult) -> None:
    result = sample(joint, dataclasses.replace(SHORT, chains=1, warmup=600, draws=3000))
    for name in ("theory.c_T", "solar_like.light_yield"):
        a, b = result.draws[name], posterior.draws[name]
        assert abs(a.mean() - b.mean()) < 5 * np.hypot(standard_error(a), standard_error(b)), name


def test_one_chain_gives_draws() -> None:
    result = sample(gaussian(RESPONSE), dataclasses.replace(SHORT, chains=1, warmup=300, draws=500))
    assert result.draws["lab.a"].shape == (1, 500)
    assert np.std(result.draws["lab.a"]) > 0.0


@pytest.mark.parametrize("warmup", [1, 20, 21, 60, 200, 300, 1000])
def test_windows_add_up_and_grow(warmup: int) -> None:
    windows = warmup_windows(warmup)
    assert sum(windows) == -(-warmup // 20) * 20
    assert all(size % 20 == 0 for size in windows)
    assert list(windows[:-1]) == [20 * 2**k for k in range(len(windows) - 1)]


def test_defaults_depend_on_the_method() -> None:
    assert SamplerSettings() == SamplerSettings(4, 1000, 1000, target_accept=0.9, method="nuts")
    assert SamplerSettings(method="ensemble").chains == 32
    assert SamplerSettings(method="ensemble", chains=5, warmup=None).chains == 5
    for method in ("nuts", "ensemble"):
        spec = default_run([f"sampler.method={method}"]).config.sampler
        assert SamplerSettings(**spec.model_dump()) == SamplerSettings(method=method, seed=spec.seed)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"method": "ensembel"}, "sampler.method: unknown method 'ensembel'; did you mean 'ensemble'?"),
        ({"method": 3}, "sampler.method: unknown method 3"),
        ({"method": "ensemble", "chains": 0}, "sampler.chains: 0 is out of range"),
        ({"method": "ensemble", "draws": 1.5}, "sampler.draws: expected a whole number"),
        ({"method": "ensemble", "target_accept": 1.0}, "sampler.target_accept: 1.0 is not between 0 and 1"),
    ],
)
def test_wrong_settings_are_refused_in_one_line(given: dict, message: str) -> None:
    with pytest.raises(UserInputError) as caught:
        SamplerSettings(**given)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
