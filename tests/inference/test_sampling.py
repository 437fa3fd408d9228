"""Sampler, coordinates and symmetries: known posteriors, prior-only runs, agreement of coordinate systems."""

from __future__ import annotations

import dataclasses

import arviz
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro import distributions as dist
from scipy import integrate, stats
from synthetic import coupling_map, synthetic_joint

from nmmfit.errors import UserInputError
from nmmfit.inference import nuts
from nmmfit.inference.bends import stretched
from nmmfit.inference.coordinates import amplitude_coordinates, natural_coordinates
from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.parameters import Parameter
from nmmfit.inference.sampling import SamplerSettings, sample
from nmmfit.inference.symmetries import decoupled_sets, folded, sign_symmetries, symmetrised

SHORT = SamplerSettings(chains=4, warmup=400, draws=500, seed=3, target_accept=0.9)


@pytest.mark.parametrize("make", [amplitude_coordinates, natural_coordinates])
def test_coordinates_invert_and_carry_their_jacobian(joint, make):
    coordinates = make(joint)
    for seed in range(3):
        z = jnp.asarray(np.random.default_rng(seed).normal(size=len(joint.names)))
        x, log_det = coordinates.to_parameters(z)
        np.testing.assert_allclose(coordinates.from_parameters(x), z, atol=1e-10)
        jacobian = jax.jacfwd(lambda v: coordinates.to_parameters(v)[0])(z)
        np.testing.assert_allclose(log_det, np.linalg.slogdet(jacobian)[1], atol=1e-9)


def test_dipole_coordinate_follows_the_current_c_t(joint):
    coordinates = amplitude_coordinates(joint)
    x = joint.pack({"L_dipole": 1.0, "L_T_u": 2.0, "theory.c_T": -2.9})
    moved = joint.pack({"L_dipole": 1.0, "L_T_u": 2.0, "theory.c_T": -2.0})
    dipole = [float(jnp.real(joint.couplings_vector(v).dipole[0, 0])) for v in (x, moved)]
    z = [coordinates.from_parameters(v)[coordinates.linear] for v in (x, moved)]
    amplitudes = [stretched(v, coordinates.stretch)[0] for v in z]
    ratios = np.asarray(amplitudes[1] / amplitudes[0])
    assert np.min(np.abs(ratios / (dipole[1] / dipole[0]) - 1.0)) < 1e-10
    # The two tensor amplitudes do not depend on c_T.
    assert np.sum(np.abs(ratios - 1.0) < 1e-12) == 2


def prior_only(priors):
    """No data: the posterior is the prior."""
    names = ("L_dipole", "L_T_u", "L_T_d", "L_T_s")
    starts = [0.0 if p.support is dist.constraints.real else float(p.mean) for p in priors]
    parameters = [Parameter(n, "coefficient", "1", p, s, 1.0) for n, p, s in zip(names, priors, starts, strict=True)]
    parameters.append(Parameter("theory.c_T", "theory", "1", dist.Normal(-2.9, 0.3), -2.9, 0.3))
    return JointLikelihood((), parameters, coupling_map())


@pytest.mark.parametrize(
    "priors",
    [
        [dist.Normal(0.0, 1.0), dist.Normal(0.0, 2.0), dist.Normal(1.0, 0.5), dist.Normal(0.0, 1.0)],
        [dist.Normal(0.0, 1.0), dist.HalfNormal(2.0), dist.Uniform(-1.0, 3.0), dist.StudentT(8.0, 0.0, 1.0)],
    ],
)
def test_prior_only_run_returns_the_prior(priors):
    joint = prior_only(priors)
    result = sample(joint, SamplerSettings(chains=4, warmup=300, draws=1200, seed=5))
    for name, prior in [*zip(joint.names[:4], priors, strict=True), ("theory.c_T", dist.Normal(-2.9, 0.3))]:
        draws = result.draws[name]
        size = float(arviz.ess(result.for_diagnostics()[name]))
        assert size > 400
        error = float(np.sqrt(prior.variance) / np.sqrt(min(size, draws.size)))
        assert abs(draws.mean() - float(prior.mean)) < 5 * error, name
        grid = np.sort(draws.ravel())[:: draws.size // 50]
        cdf = (
            np.asarray(prior.cdf(jnp.asarray(grid)))
            if not isinstance(prior, dist.HalfNormal)
            else stats.halfnorm(scale=2).cdf(grid)
        )
        ranks = np.searchsorted(np.sort(draws.ravel()), grid) / draws.size
        assert np.abs(cdf - ranks).max() < 2.5 / np.sqrt(min(size, draws.size)), name


def test_one_coefficient_posterior_agrees_with_quadrature():
    full = synthetic_joint()
    free = ("L_dipole",)
    parameters = [p for p in full.parameters if p.name in free]
    fixed = {p.name: p.start for p in full.parameters if p.kind != "coefficient"}
    one = CouplingMapOfFirst(full)
    joint = JointLikelihood(full.experiments[:1], parameters, one, fixed=fixed)
    result = sample(joint, SamplerSettings(chains=2, warmup=300, draws=1500, seed=2))
    experiment = joint.experiments[0]
    from nmmfit.physics.forms import quadratic_forms

    pulls = experiment.nominal_pulls()

    def density(value):
        forms = quadratic_forms(joint.couplings_vector(jnp.asarray([value])))
        mean = np.asarray(experiment.expected(forms, pulls)["spectrum"])
        log = stats.poisson.logpmf(experiment.channels[0].observed, mean).sum() + stats.norm.logpdf(value, 0.0, 30.0)
        return np.exp(log - peak)

    peak = 0.0
    peak = np.log(density(0.0))
    grid = np.linspace(0.0, 6.0, 241)
    values = np.asarray([density(v) for v in grid])
    norm = integrate.simpson(values, x=grid)
    mean = integrate.simpson(values * grid, x=grid) / norm
    second = integrate.simpson(values * grid**2, x=grid) / norm
    drawn = result.folded["L_dipole"]
    error = np.sqrt((second - mean**2) / float(arviz.ess(drawn)))
    assert abs(drawn.mean() - mean) < 4 * error
    assert abs(np.sqrt((drawn**2).mean()) / np.sqrt(second) - 1.0) < 0.08


def CouplingMapOfFirst(full):
    """The coupling map of the first coefficient alone, at the nominal theory inputs."""
    rows = np.asarray(full.coupling_map.samples[0][:1])
    return dataclasses.replace(
        full.coupling_map, coordinates=lambda theory: jnp.asarray(rows), samples=(rows,), finals=full.coupling_map.finals[:1]
    )


@pytest.fixture(scope="module")
def posterior(joint):
    return sample(joint, SHORT)


def test_both_coordinate_systems_give_one_posterior(joint, posterior):
    # A narrow c_T-independent check is meaningful only for quantities that both samplers move well: the nuisances and |mu|.
    natural = sample(joint, dataclasses.replace(SHORT, coordinates="natural", draws=1000, warmup=800, target_accept=0.95))
    for name in ("solar_like.light_yield", "nuclear_like.quenching", "theory.c_T"):
        a, b = posterior.draws[name], natural.draws[name]
        error = np.hypot(a.std() / np.sqrt(arviz.ess(a)), b.std() / np.sqrt(arviz.ess(b)))
        assert abs(a.mean() - b.mean()) < 5 * error, name
    a, b = posterior.identified["mu"], natural.identified["mu"]
    error = np.hypot(a.std() / np.sqrt(arviz.ess(a)), b.std() / np.sqrt(max(arviz.ess(b), 10.0)))
    assert abs(a.mean() - b.mean()) < 5 * error


def test_second_identical_call_compiles_nothing(joint, posterior):
    compilations = []

    def listen(event, duration, **_):
        if "backend_compile" in event:
            compilations.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        again = sample(joint, SHORT)
    finally:
        jax.monitoring.clear_event_listeners()
    assert compilations == []
    for name in joint.names:
        np.testing.assert_array_equal(again.draws[name], posterior.draws[name])


def test_chains_in_lock_step_sample_the_same_posterior(joint, posterior, monkeypatch):
    """What an accelerator runs: all chains in one batch."""
    monkeypatch.setattr(nuts, "in_lock_step", lambda: True)
    together = sample(joint, SHORT)
    assert {k: v.shape for k, v in together.sample_stats.items()} == {k: v.shape for k, v in posterior.sample_stats.items()}
    for name in ("solar_like.light_yield", "theory.c_T"):
        a, b = posterior.draws[name], together.draws[name]
        assert b.shape == a.shape
        error = np.hypot(a.std() / np.sqrt(arviz.ess(a)), b.std() / np.sqrt(arviz.ess(b)))
        assert abs(a.mean() - b.mean()) < 5 * error, name
    assert len({float(step) for step in together.sample_stats["step_size"][:, -1]}) == 4


def test_diagnostics_and_shapes(joint, posterior):
    assert posterior.draws["L_dipole"].shape == (4, 500)
    assert set(posterior.folded) == {"L_dipole", "L_T_u", "L_T_d", "L_T_s"}
    assert posterior.divergences() < 20
    for name, values in posterior.for_diagnostics().items():
        assert float(arviz.rhat(values)) < 1.03, name
    assert {"diverging", "energy", "num_steps", "accept_prob", "step_size", "lp"} <= set(posterior.sample_stats)


def test_interruption_keeps_what_was_drawn(joint):
    def stop(p):
        if p.done >= 600:
            raise KeyboardInterrupt

    result = sample(joint, SHORT, progress=stop)
    assert result.interrupted
    assert result.draws["L_dipole"].shape == (4, 200)


def test_interruption_in_warm_up_is_passed_on(joint):
    def stop(p):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sample(joint, SHORT, progress=stop)


@pytest.mark.parametrize(("field", "value"), [("chains", 0), ("draws", 0), ("target_accept", 1.0), ("coordinates", "amplitude")])
def test_impossible_settings_are_refused(field, value):
    with pytest.raises(UserInputError, match=field):
        SamplerSettings(**{field: value})


def test_sign_symmetry_is_exact(joint):
    (symmetry,) = sign_symmetries(joint)
    x = np.asarray(joint.start) + np.random.default_rng(0).normal(size=len(joint.names)) * 0.5
    flipped = x.copy()
    flipped[list(symmetry.indices)] *= -1
    a, b = joint.log_prob(joint.unpack(jnp.asarray(np.stack([x, flipped]))))
    np.testing.assert_allclose(a, b, rtol=1e-12)


def test_an_off_centre_prior_switches_the_symmetry_off():
    assert sign_symmetries(synthetic_joint(priors={"L_T_d": dist.Normal(0.5, 10.0)})) == ()


def test_every_decoupled_final_state_has_its_own_sign():
    finals = (frozenset({0}), frozenset({1}), frozenset({1, 2}), frozenset({3}), frozenset())
    assert decoupled_sets(finals) == [[0], [1, 2], [3]]


def test_folding_undoes_symmetrisation(joint):
    symmetries = sign_symmetries(joint)
    draws = np.random.default_rng(0).normal(size=(2, 50, len(joint.names)))
    spread = symmetrised(draws, symmetries, seed=1)
    np.testing.assert_array_equal(folded(spread, symmetries), folded(draws, symmetries))
    assert not np.array_equal(spread, draws)
    np.testing.assert_array_equal(spread[..., 4:], draws[..., 4:])
