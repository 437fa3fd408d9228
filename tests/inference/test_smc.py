"""Tempered sequential Monte Carlo: evidence and posterior against closed forms and quadrature, and what it keeps."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_joint
from gaussian_joint import NOMINAL, OBSERVED, RESPONSE, gaussian
from numpyro import distributions as dist
from scipy import integrate, stats
from synthetic import coupling_map

from nmmfit.cli.main import main
from nmmfit.errors import UserInputError
from nmmfit.inference.checkpoint import Checkpoint
from nmmfit.inference.coordinates import natural_coordinates
from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.parameters import Parameter
from nmmfit.inference.result import Evidence, SampleResult
from nmmfit.inference.sampling import sample
from nmmfit.inference.settings import SamplerSettings
from nmmfit.inference.smc import TemperedRuns
from nmmfit.results.diagnostics import summarise_fit
from nmmfit.results.store import fit_json
from nmmfit.results.tables import fit_tables

pytest.importorskip("blackjax")

SMALL = SamplerSettings(method="smc", draws=250, warmup=3, seed=4)


def test_a_gaussian_has_its_evidence_mean_and_covariance() -> None:
    """Data are normal around the nominal counts with covariance 1 + R R^T."""
    found = sample(gaussian(), SMALL)
    assert found.evidence is not None
    exact = stats.multivariate_normal(NOMINAL, np.eye(2) + RESPONSE @ RESPONSE.T).logpdf(OBSERVED)
    assert abs(found.evidence.value - exact) < max(5.0 * found.evidence.error, 0.1)
    assert 0.0 < found.evidence.error < 0.2
    covariance = np.linalg.inv(np.eye(2) + RESPONSE.T @ RESPONSE)
    mean = covariance @ RESPONSE.T @ (OBSERVED - NOMINAL)
    draws = np.stack([found.draws[n].ravel() for n in ("lab.a", "lab.b")])
    # Particles of one ancestor are alike: fewer count than there are.
    error = np.sqrt(np.diag(covariance) / 300)
    np.testing.assert_array_less(np.abs(draws.mean(axis=1) - mean), 5.0 * error)
    np.testing.assert_allclose(np.cov(draws), covariance, rtol=0.35, atol=0.02)
    assert abs(found.draws["L_dipole"].std() - 2.0) < 0.35


@pytest.fixture(scope="module")
def lab() -> JointLikelihood:
    """A coefficient that enters as its square, and a pull: posterior with two modes, far from Gaussian."""
    counts = small_joint.counts_of([50.0, 50.0], [4.0, 1.0])
    made = small_joint.experiment([103.0, 58.0], counts, {"scale": lambda p: 0.1 * p})
    return small_joint.joint(made, {"L": small_joint.couplings(1.0)}, prior=10.0)


@pytest.fixture(scope="module")
def found(lab: JointLikelihood) -> SampleResult:
    return sample(lab, SMALL)


def test_evidence_and_moments_agree_with_quadrature(found: SampleResult) -> None:
    axes = np.linspace(0.0, 12.0, 301), np.linspace(-6.0, 6.0, 241)
    strength, pull = np.meshgrid(*axes, indexing="ij")
    log = stats.norm.logpdf(strength, 0.0, 10.0) + stats.norm.logpdf(pull)
    for n, slope in ((103.0, 4.0), (58.0, 1.0)):
        log = log + stats.poisson.logpmf(n, (50.0 + slope * strength**2) * np.exp(0.1 * pull))
    density = 2.0 * np.exp(log)

    def integral(weight) -> float:
        return float(integrate.simpson(integrate.simpson(weight * density, x=axes[1]), x=axes[0]))

    norm = integral(1.0)
    evidence = found.evidence
    assert evidence is not None
    assert abs(evidence.value - np.log(norm)) < max(5.0 * evidence.error, 0.1)
    size, mean = np.abs(found.draws["L"]), integral(strength) / norm
    width = (integral(strength**2) / norm - mean**2) ** 0.5
    # Particles of one ancestor are alike: fewer count than there are.
    assert abs(size.mean() - mean) < 5.0 * width / 300**0.5
    assert abs(size.std() / width - 1.0) < 0.25
    assert abs(found.draws["lab.scale"].mean() - integral(pull) / norm) < 5.0 / 300**0.5


def test_runs_are_chains_of_the_usual_output(found: SampleResult, lab: JointLikelihood) -> None:
    assert found.draws["L"].shape == (4, 250)
    assert found.symmetries == ("(L) -> -(L)",)
    assert np.all(found.folded["L"] >= 0.0)
    summary = summarise_fit(found)
    printed = fit_json(found, summary, out="here", choices={})
    assert printed["log_evidence"]["runs"] == list(found.evidence.runs) if found.evidence else False
    assert printed["chains"] == 4
    assert {"mean", "sd", "r_hat", "ess_bulk", "contraction"} <= set(printed["parameters"]["L"])
    from rich.console import Console

    screen = Console(width=160, record=True)
    with screen.capture() as capture:
        screen.print(fit_tables(found, summary, {}))
    assert "log evidence -" in capture.get()
    assert "4 independent runs x 250 particles" in capture.get()


def test_a_second_call_repeats_and_compiles_nothing(found: SampleResult, lab: JointLikelihood) -> None:
    compilations = []
    jax.monitoring.register_event_duration_secs_listener(lambda event, *_, **__: compilations.append(event))
    try:
        again = sample(lab, SMALL)
    finally:
        jax.monitoring.clear_event_listeners()
    assert [event for event in compilations if "backend_compile" in event] == []
    np.testing.assert_array_equal(again.draws["L"], found.draws["L"])
    assert again.evidence == found.evidence


def test_finished_runs_are_kept(found: SampleResult, lab: JointLikelihood, tmp_path: Path) -> None:
    def stop_after(runs: float):
        def progress(now):
            if now.done > 100 * runs:
                raise KeyboardInterrupt

        return progress

    with pytest.raises(KeyboardInterrupt):
        sample(lab, SMALL, stop_after(1.5), Checkpoint.in_folder(tmp_path))
    partly = sample(lab, SMALL, stop_after(2.5), Checkpoint.in_folder(tmp_path))
    assert partly.interrupted
    assert partly.draws["L"].shape == (2, 250)
    whole = sample(lab, SMALL, None, Checkpoint.in_folder(tmp_path))
    np.testing.assert_array_equal(whole.draws["L"], found.draws["L"])
    assert whole.evidence == found.evidence
    with pytest.raises(UserInputError, match="another computation: settings was"):
        sample(lab, dataclasses.replace(SMALL, seed=5), None, Checkpoint.in_folder(tmp_path))


def test_evidence_of_several_runs() -> None:
    """ln of the mean of e^-1 and e^-3; their half difference is the standard error of two."""
    evidence = Evidence((-1.0, -3.0), (5, 6))
    assert evidence.value == pytest.approx(np.log(0.5 * (np.exp(-1.0) + np.exp(-3.0))))
    assert evidence.error == pytest.approx(1.0)
    assert np.isnan(Evidence((-1.0,), (5,)).error)


def test_a_missing_package_is_one_line(capsys, monkeypatch, tmp_path: Path) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "blackjax" else real(name, *rest))
    monkeypatch.setattr("nmmfit.run.Run.joint", lambda self, method="templates": small_joint.quick_joint())
    monkeypatch.setattr("nmmfit.compilation_cache.enable", lambda: None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.toml").write_text("experiments = []\n")
    assert main(["fit", "run.toml", "--sampler", "smc", "--out", "f"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "needs the package blackjax" in said
    assert "pip install 'nmmfit[smc]'" in said
    assert not (tmp_path / "f").exists()


def test_too_few_particles_are_refused() -> None:
    with pytest.raises(UserInputError, match=r"sampler\.draws: 10 particles are too few"):
        SamplerSettings(method="smc", draws=10)


@pytest.mark.slow
def test_the_default_run_agrees_with_the_ensemble() -> None:
    from nmmfit.run import default_run

    joint = default_run().joint()
    ours = sample(joint, SamplerSettings(method="smc", draws=1000, chains=2))
    theirs = sample(joint, SamplerSettings(method="ensemble"))
    one, other = summarise_fit(ours), summarise_fit(theirs)
    for name in ("mu_eff_solar", "tensor_charge_cs133"):
        a, b = one.identified[name], other.identified[name]
        assert abs(a.mean - b.mean) < 5.0 * np.hypot(a.sd / 500**0.5, b.sd / 1000**0.5), name
        assert abs(a.sd / b.sd - 1.0) < 0.15, name
    for name in joint.names:
        a, b = one.parameters[name], other.parameters[name]
        if name not in ours.folded:
            assert abs(a.mean - b.mean) < 5.0 * np.hypot(a.sd / 500**0.5, b.sd / 1000**0.5), name


@pytest.mark.slow
def test_without_data_particles_stay_those_of_the_prior_and_the_evidence_is_one() -> None:
    """A phase goes round on the real line: a box of one turn convolved with a normal distribution, of variance 1 + 1/12."""
    priors = [dist.Normal(0.0, 1.0), dist.HalfNormal(2.0), dist.Uniform(-1.0, 3.0), dist.StudentT(8.0, 0.0, 1.0)]
    names = ("L_dipole", "L_T_u", "L_T_d", "L_T_s")
    starts = [0.0 if p.support is dist.constraints.real else float(p.mean) for p in priors]
    parameters = [Parameter(n, "coefficient", "1", p, s, 1.0) for n, p, s in zip(names, priors, starts, strict=True)]
    parameters.append(Parameter("theory.c_T", "theory", "1", dist.Normal(-2.9, 0.3), -2.9, 0.3))
    turn = 2.0 * np.pi
    parameters.append(Parameter("lab.phase", "nuisance", "1", dist.Uniform(0.0, turn), np.pi, 1.0, period=turn))
    joint = JointLikelihood((), parameters, coupling_map())
    runs = TemperedRuns(natural_coordinates(joint), dataclasses.replace(SMALL, draws=2000))
    at = joint.names.index("lab.phase")
    begun = np.asarray(runs.prior_particles(jax.random.PRNGKey(3)))
    found = runs.run(0)
    assert float(found["log_evidence"]) == pytest.approx(0.0, abs=1e-12)
    for z in (begun, found["z"]):
        assert z[:, at].var() == pytest.approx(1.0 + 1.0 / 12.0, rel=0.12)
        x = np.asarray(runs.to_parameters(jnp.asarray(z)))
        assert stats.kstest(x[:, at], stats.uniform(0.0, turn).cdf).pvalue > 1e-3
        for i, exact in enumerate((stats.norm(0, 1), stats.halfnorm(scale=2), stats.uniform(-1, 4), stats.t(8))):
            assert stats.kstest(x[:, i], exact.cdf).pvalue > 1e-3, names[i]


@pytest.mark.slow
def test_natural_coordinates_give_the_same_evidence(found: SampleResult, lab: JointLikelihood) -> None:
    other = sample(lab, dataclasses.replace(SMALL, coordinates="natural"))
    assert other.evidence is not None
    assert found.evidence is not None
    assert abs(other.evidence.value - found.evidence.value) < 5.0 * np.hypot(other.evidence.error, found.evidence.error)
