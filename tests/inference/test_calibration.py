"""Simulation-based calibration: a likelihood passes, and what is wrong with data, priors or posteriors is noticed."""

from __future__ import annotations

import pickle
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_joint
from numpyro import distributions as dist
from scipy import stats

from nmmfit.errors import NotConvergedError, UserInputError
from nmmfit.inference.calibration import Calibration, calibrate, default_settings, judged, planned
from nmmfit.inference.calibration_chunks import Plan, Simulations, chunk_of_run_file, joined
from nmmfit.inference.data import Counts
from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.settings import SamplerSettings
from nmmfit.inference.simulations import PriorDraws, SimulatedData

SHORT = SamplerSettings(method="ensemble", chains=16, warmup=60, draws=60)
FEW = 24


@pytest.fixture(scope="module")
def lab() -> JointLikelihood:
    """One coefficient and one pull."""
    counts = small_joint.counts_of([50.0, 50.0], [40.0, 10.0])
    made = small_joint.experiment([60.0, 55.0], counts, {"scale": lambda p: 0.1 * p})
    return small_joint.joint(made, {"L": small_joint.couplings(1.0)}, prior=1.0)


@pytest.fixture(scope="module")
def plan(lab: JointLikelihood) -> Plan:
    return planned(lab, FEW, SHORT, 3, "prior")


@pytest.fixture(scope="module")
def simulations(lab: JointLikelihood, plan: Plan) -> Simulations:
    return Simulations(lab, plan)


def judgement(simulations: Simulations) -> Calibration:
    plan = simulations.plan
    found = joined([simulations.chunk(i) for i in range(plan.chunks)])
    return judged(simulations.joint, plan, found, simulations)


class OnAGrid:
    """Posteriors of `lab` from a grid of its two parameters, by numpy and scipy alone."""

    def __init__(self, seed: int, prior_alone: bool = False) -> None:
        self.random, self.prior_alone = np.random.default_rng(seed), prior_alone
        axis, self.step = np.linspace(-4.5, 4.5, 181, retstep=True)
        self.points = np.stack([part.ravel() for part in np.meshgrid(axis, axis, indexing="ij")], axis=1)
        self.prior = stats.norm.logpdf(self.points).sum(axis=1)
        strength, pull = self.points.T
        self.mean = (50.0 + np.array([[40.0], [10.0]]) * strength**2) * np.exp(0.1 * pull)

    def __call__(self, data: Counts, seed: int) -> dict[str, np.ndarray]:
        log = self.prior
        if not self.prior_alone:
            (counts,) = data.sets[0].values()
            log = log + np.asarray(counts) @ np.log(self.mean) - self.mean.sum(axis=0)
        density = np.exp(log - log.max())
        at = self.random.choice(len(density), size=(16, 60), p=density / density.sum())
        x = self.points[at] + self.step * self.random.uniform(-0.5, 0.5, size=(16, 60, 2))
        return {"x": x, "diverging": np.zeros((16, 60), dtype=bool)}


def on_a_grid(
    simulations: Simulations, truths: np.ndarray | None = None, more: float = 1.0, prior_alone: bool = False
) -> Calibration:
    """A calibration of exact posteriors, of truths or counts that are not those of the likelihood where they are given."""
    plan = planned(simulations.joint, 100, SHORT, 8, "prior")
    made = Simulations(simulations.joint, plan if truths is None else replace(plan, truths=plan.truths + truths))
    real = simulations._simulated
    made.__dict__ |= {"_derived": simulations._derived, "_sampler": OnAGrid(1, prior_alone)}
    made.__dict__["_simulated"] = lambda x, key: {name: np.round(more * n) for name, n in real(x, key).items()}
    return judgement(made)


def test_exact_posteriors_are_calibrated(simulations: Simulations) -> None:
    found = on_a_grid(simulations)
    assert found.calibrated, found.problems
    assert min(q.p_value for q in found.quantities.values()) > 0.01


def test_data_with_half_of_the_counts_are_noticed(simulations: Simulations) -> None:
    found = on_a_grid(simulations, more=0.5)
    assert not found.calibrated
    assert not found.quantities["L"].calibrated
    assert not found.quantities["lab.scale"].calibrated
    assert "NOT calibrated" in found.verdict


def test_another_prior_than_that_of_the_truths_is_noticed(simulations: Simulations) -> None:
    found = on_a_grid(simulations, truths=np.array([0.0, 1.5]))
    assert found.quantities["lab.scale"].shape == "the posterior lies too low"
    assert any(said.startswith("lab.scale: ranks are not uniform (p = ") for said in found.problems)


def test_a_posterior_that_ignores_the_data_is_noticed_by_the_log_likelihood_alone(simulations: Simulations) -> None:
    """It is the prior, and so are the truths: ranks of parameters are uniform (Modrak et al., section 2)."""
    found = on_a_grid(simulations, prior_alone=True)
    assert [name for name, q in found.quantities.items() if not q.calibrated] == ["log_likelihood"]
    assert found.quantities["log_likelihood"].shape == "the posterior lies too low"


def test_a_likelihood_and_its_sampler_are_calibrated_and_only_the_first_simulation_compiles(simulations: Simulations) -> None:
    simulations.chunk(0)
    compilations = []
    jax.monitoring.register_event_duration_secs_listener(lambda event, *_, **__: compilations.append(event))
    try:
        found = judgement(simulations)
    finally:
        jax.monitoring.clear_event_listeners()
    assert [event for event in compilations if "backend_compile" in event] == []
    assert all(q.calibrated for q in found.quantities.values()), found.problems
    assert found.failed <= 4
    assert set(found.quantities) == {"L", "lab.scale", "mu", "t_p", "log_likelihood"}
    assert found.quantities["L"].folded
    assert not found.quantities["lab.scale"].folded
    assert found.draws == 96
    assert all(q.ranks.min() >= 0 and q.ranks.max() <= 96 for q in found.quantities.values())
    assert np.all(found.truth[:, 0] >= 0.0)


def test_chunks_are_pure_and_plans_travel(simulations: Simulations, plan: Plan) -> None:
    a, b = simulations.chunk(2), simulations.chunk(2)
    assert {name: v.tobytes() for name, v in a.items() if name != "seconds"} == {
        name: v.tobytes() for name, v in b.items() if name != "seconds"
    }
    back = pickle.loads(pickle.dumps(plan))
    assert back.determined_by == plan.determined_by
    assert pickle.loads(pickle.dumps(chunk_of_run_file)) is chunk_of_run_file


def test_data_as_an_argument_give_the_likelihood_of_the_same_data(lab: JointLikelihood) -> None:
    x = jnp.asarray([0.7, -0.4])
    (name,) = lab.channels
    mean = (np.array([50.0, 50.0]) + np.array([40.0, 10.0]) * 0.49) * np.exp(-0.04)
    one, two = {name: np.array([70.0, 44.0])}, {name: np.array([3.0, 0.0])}
    expected = [stats.poisson.logpmf(d[name], mean).sum() for d in (one, two)]
    assert float(lab.data_vector(x, Counts.of(lab.channels, one))) == pytest.approx(expected[0], rel=1e-12)
    assert float(lab.data_vector(x, Counts.of(lab.channels, one, two))) == pytest.approx(sum(expected), rel=1e-12)


def test_prior_draws_obey_constraints_of_experiments(lab: JointLikelihood) -> None:
    """A normal prior times a normal constraint is a narrower normal distribution: closed form."""
    bound = replace(lab.experiments[0], constraint=lambda pulls: dist.Normal(1.0, 0.5).log_prob(pulls["lab.scale"]))
    made = JointLikelihood((bound,), lab.parameters, lab.coupling_map, lab.identified, method="direct")
    draws = PriorDraws(made, 1).many(jax.random.PRNGKey(5), 4000)
    width = (1.0 + 0.5**-2) ** -0.5
    assert stats.kstest(draws[:, 1], stats.norm(0.5**-2 * width**2, width).cdf).pvalue > 1e-3
    assert stats.kstest(draws[:, 0], stats.norm(0.0, 1.0).cdf).pvalue > 1e-3


def test_simulated_data_are_those_of_the_distribution(lab: JointLikelihood) -> None:
    draw = SimulatedData(lab)
    (name,) = lab.channels
    counts = np.stack([draw(np.array([1.0, 0.0]), jax.random.PRNGKey(i))[name] for i in range(300)])
    for bin_, mean in enumerate((90.0, 60.0)):
        assert abs(counts[:, bin_].mean() - mean) < 5.0 * (mean / 300) ** 0.5
        assert 0.7 < counts[:, bin_].var() / mean < 1.35


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"simulations": 5}, "calibrate: simulations: 5 is out of range"),
        ({"truths": "posteriors"}, "did you mean 'posterior'"),
        ({"settings": SamplerSettings(method="smc")}, "calibrate: settings: unknown method 'smc'"),
        ({"settings": 3}, "expected SamplerSettings, got int"),
        ({"engine": lambda f, n: []}, "an engine needs run_toml"),
        ({"seed": -1}, "calibrate: seed"),
    ],
)
def test_wrong_arguments_are_one_line(lab: JointLikelihood, changes: dict, said: str) -> None:
    with pytest.raises(UserInputError) as problem:
        calibrate(lab, **changes)
    assert said in str(problem.value)
    assert "\n" not in str(problem.value)


def test_too_long_is_said_before_it_is_long(lab: JointLikelihood, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(self: Simulations, number: int) -> dict[str, np.ndarray]:
        return {"seconds": np.full(4, 100.0)}

    monkeypatch.setattr(Simulations, "chunk", slow)
    with pytest.raises(UserInputError, match=r"200 simulations would take about 5\.4 hours"):
        calibrate(lab, settings=SHORT, longest_s=3600.0)


def test_posteriors_that_were_not_sampled_do_not_count(simulations: Simulations, plan: Plan) -> None:
    size = (FEW, 5)
    made = {"rank": np.zeros(size, dtype=int), "truth": np.zeros(size), "r_hat": np.full(size, 1.5), "ess": np.full(size, 1e4)}
    made |= {"divergences": np.zeros(FEW, dtype=int), "seconds": np.ones(FEW)}
    with pytest.raises(NotConvergedError, match="none of 24 posteriors"):
        judged(simulations.joint, plan, made, simulations)
    # The same ranks of a third of them: what counts is uneven, and too many do not.
    made["r_hat"][:8] = 1.0
    found = judged(simulations.joint, plan, made, simulations)
    assert found.failed == 16
    assert len(found.problems) == 6
    assert "16 of 24 posteriors were not sampled well enough" in found.problems[0]


@pytest.mark.slow
def test_truths_from_the_posterior(lab: JointLikelihood) -> None:
    found = calibrate(lab, simulations=60, settings=SHORT, truths="posterior", seed=2)
    assert found.calibrated, found.problems


@pytest.mark.slow
@pytest.mark.parametrize("method", ["nuts", "ensemble"])
def test_a_published_limit_is_calibrated_and_chunks_of_another_process_are_the_same(method: str) -> None:
    from nmmfit.run import default_run

    # Tensors make dipoles as well: with them the prior of a moment is far wider than this limit.
    fixed = [f"parameters.L_T_{quark}.prior=0.0" for quark in "uds"]
    run = default_run(["experiments=['borexino_phase2_limit']", "parameters.L_dipole.prior={normal=[0.0,5e-9]}", *fixed])
    joint = run.joint()
    plan = planned(joint, 20, default_settings(method), 1, "prior")
    found = judgement(Simulations(joint, plan))
    assert found.calibrated, found.problems
    # What another process computes from the text of the run file is the same.
    again = chunk_of_run_file(run.to_toml(), plan, 3)
    np.testing.assert_array_equal(again["rank"], Simulations(joint, plan).chunk(3)["rank"])


@pytest.mark.slow
def test_the_default_run_with_truths_from_its_posterior() -> None:
    from nmmfit.run import default_run

    found = calibrate(default_run().joint(), simulations=20, truths="posterior", seed=5)
    assert found.failed <= 4
    assert all(q.calibrated for q in found.quantities.values()), found.problems
