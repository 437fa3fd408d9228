"""Tension between experiments: closed forms, toys against the thorough fit, p-values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro import distributions as dist
from scipy.stats import chi2, kstest
from small_joint import DIPOLE, couplings

from nmmfit.errors import UserInputError
from nmmfit.experiment import BinnedExperiment, Channel, Component, Factor
from nmmfit.inference.fit import fit
from nmmfit.inference.joint import CouplingMap, JointLikelihood
from nmmfit.inference.parameters import Identified, Parameter
from nmmfit.inference.tension import tension
from nmmfit.inference.toy_fits import ToyLikelihood, fit_toys, thrown
from nmmfit.physics.amplitude_basis import couplings_to_vector

SHARED = "sns.common"


def measurement(
    name: str, observed: Sequence[float], response, error: float | None, common: float, form: str
) -> BinnedExperiment:
    """Bins with expectation response * (coupling squared) + common * pull; Gaussian with `error`, or Poisson without."""
    unit = DIPOLE**2 if form == "dipole" else 1e-12

    def counts(forms, pulls):
        return jnp.asarray(response) * jnp.real(forms[form][0, 0]) / unit + common * pulls[SHARED]

    component = Component("all", (Factor(counts, (SHARED,), (form,)),))
    kind = {"distribution": dist.Poisson} if error is None else {"distribution": lambda mu: dist.Normal(mu, error)}
    channel = Channel(
        "bins",
        np.asarray(observed, dtype=float),
        (component,),
        {"x": np.arange(len(observed) + 1.0)},
        statistic="poisson" if error is None else "normal",
        **kind,
    )
    return BinnedExperiment(name, "Closed form", (channel,), {SHARED: dist.Normal(0.0, 1.0)})


def likelihood(*experiments: BinnedExperiment, units=None, method: str = "direct") -> JointLikelihood:
    """Joint likelihood in a dipole d (and what else `units` has), with the pull that all share."""
    units = units or {"d": couplings(1.0)}
    parameters = [Parameter(n, "coefficient", "1e-9 GeV^-1", dist.Normal(0.0, 10.0), 0.0, 10.0) for n in units]
    parameters.append(Parameter(SHARED, "nuisance", "1", dist.Normal(0.0, 1.0), 0.0, 1.0))
    base = np.asarray([couplings_to_vector(c) for c in units.values()])
    identified = (
        Identified("mu", "1e-9 GeV^-1", "moment", lambda c: jnp.real(c.dipole[0, :1]) / DIPOLE),
        Identified("t_p", "1e-6 GeV^-2", "proton tensor", lambda c: jnp.real(c.tensor_p[0, :1]) / 1e-6),
    )
    coupling_map = CouplingMap(lambda theory: jnp.asarray(base), (base,), (frozenset({0}),) * len(units))
    return JointLikelihood(experiments, parameters, coupling_map, identified, method=method)


A, B, S_A, S_B = 30.0, 24.0, 1.5, 2.0


def two_numbers(a: float = A, b: float = B, common=(1.0, 1.0)) -> JointLikelihood:
    """Two Gaussian measurements of d^2, with a common error of their own size each."""
    return likelihood(
        measurement("one", [a], [1.0], S_A, common[0], "dipole"), measurement("two", [b], [1.0], S_B, common[1], "dipole")
    )


@pytest.fixture(scope="module")
def gaussian():
    return tension(two_numbers(common=(2.0, 0.5)), toys=200, seed=4, starts=2)


def test_two_gaussian_measurements_with_a_common_error(gaussian):
    # The difference of the numbers has the variance s1^2 + s2^2, and what the common error leaves of it.
    expected = (A - B) ** 2 / (S_A**2 + S_B**2 + (2.0 - 0.5) ** 2)
    assert gaussian.chi2 == pytest.approx(expected, rel=1e-6)
    assert gaussian.dof == 1
    assert {n: p.rank for n, p in gaussian.experiments.items()} == {"one": 1, "two": 1}
    assert gaussian.nominal_p_value == pytest.approx(chi2.sf(expected, 1), rel=1e-5)
    assert gaussian.converged
    assert gaussian.failed == 0
    own = gaussian.experiments
    assert own["one"].identified["mu"] ** 2 == pytest.approx(A, rel=1e-4)
    assert own["two"].identified["mu"] ** 2 == pytest.approx(B, rel=1e-4)
    assert sum(p.chi2 for p in own.values()) + gaussian.constraints == pytest.approx(gaussian.chi2, rel=1e-9)


def test_toys_of_a_gaussian_are_a_chi_square(gaussian):
    # The Kolmogorov-Smirnov probability of a true hypothesis is below 1e-3 once in a thousand seeds; the seed is fixed.
    assert kstest(gaussian.toy_values, chi2(1).cdf).pvalue > 1e-3
    exact = chi2.sf(gaussian.chi2, 1)
    assert abs(gaussian.p_value - exact) < 4.0 * np.sqrt(exact * (1.0 - exact) / 200)


@pytest.mark.slow
def test_an_error_in_common_alone_cancels():
    found = tension(two_numbers(), toys=1, starts=1)
    assert found.chi2 == pytest.approx((A - B) ** 2 / (S_A**2 + S_B**2), rel=1e-6)


@pytest.mark.slow
def test_asimov_data_have_no_tension():
    found = tension(two_numbers(25.0, 25.0), toys=20, starts=1)
    assert found.chi2 == pytest.approx(0.0, abs=1e-6)
    assert found.p_value == 1.0


@pytest.mark.slow
def test_below_the_edge_of_the_parameter_both_stay_there():
    # Both numbers are below any that d^2 can give: the best d is 0 in either fit, the quartic end of the valley.
    found = tension(two_numbers(-20.0, -30.0, (0.0, 0.0)), toys=20, starts=2)
    assert found.chi2 == pytest.approx(0.0, abs=1e-6)
    assert found.experiments["one"].identified["mu"] == pytest.approx(0.0, abs=1e-3)


@pytest.fixture(scope="module")
def counting() -> JointLikelihood:
    """Poisson counts: a dipole in one experiment, dipole and tensor in the other; truth at zero couplings."""
    rng = np.random.default_rng(7)
    flat = measurement("dipole", rng.poisson(40.0, 4), [8.0, 4.0, 2.0, 1.0], None, 1.0, "dipole")
    other = measurement("tensor", rng.poisson(30.0, 3), [1.0, 4.0, 9.0], None, 1.0, "tensor_pp")
    third = measurement("again", rng.poisson(40.0, 3), [3.0, 3.0, 1.0], None, 0.5, "dipole")

    def with_background(e: BinnedExperiment, level: float) -> BinnedExperiment:
        channel = e.channels[0]
        size = len(channel.observed)
        steady = Component("steady", (Factor(lambda forms, pulls: jnp.full(size, level)),))
        return replace(e, channels=(replace(channel, components=(*channel.components, steady)),))

    experiments = [with_background(flat, 40.0), with_background(other, 30.0), with_background(third, 40.0)]
    return likelihood(*experiments, units={"d": couplings(1.0), "t": couplings(0.5, 1.0)})


@pytest.mark.slow
def test_ranks_count_what_is_seen(counting):
    found = tension(counting, toys=10, starts=2)
    # Two experiments see d + 0.5 t alone, one sees t alone: 3 - 2.
    assert {n: p.rank for n, p in found.experiments.items()} == {"dipole": 1, "tensor": 1, "again": 1}
    assert found.dof == 1
    assert set(found.experiments["dipole"].identified) == {"mu"}
    assert set(found.experiments["tensor"].identified) == {"t_p"}
    assert found.failed == 0


def with_data(joint: JointLikelihood, counts: np.ndarray, centres: np.ndarray) -> JointLikelihood:
    """The same likelihood with other data and another centre of the pull's constraint."""
    first, experiments = 0, []
    for e in joint.experiments:
        size = len(e.channels[0].observed)
        experiments.append(replace(e, channels=(replace(e.channels[0], observed=counts[first : first + size]),)))
        first += size
    parameters = [replace(p, prior=dist.Normal(centres[0], 1.0)) if p.kind == "nuisance" else p for p in joint.parameters]
    return JointLikelihood(experiments, parameters, joint.coupling_map, joint.identified, method="direct")


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_fits_of_toys_reach_the_minimum_of_the_thorough_fit(counting, seed):
    # Toys of zero couplings: half of them have a saddle where they were made, the others a quartic valley or a plain minimum.
    toys = ToyLikelihood(counting)
    z = toys.space.start
    drawn = toys.draw(z, jax.random.split(jax.random.PRNGKey(seed), 2))
    found = fit_toys(toys, drawn, thrown(toys, np.tile(z, (2, 1)), (1.0, 3.0), np.random.default_rng(seed)))
    assert np.all(found.converged)
    other = fit(with_data(counting, drawn.counts[1], drawn.centres[1]), starts=6)
    assert other.converged
    assert found.value[1] == pytest.approx(other.value, abs=2e-5)


def test_the_function_of_toys_is_the_likelihood_and_its_derivatives_are_exact(counting):
    z = np.array([0.7, -1.2, 0.4])
    toys, apart = ToyLikelihood(counting), ToyLikelihood(counting, apart=True)
    value = jax.jit(toys)(jnp.asarray(z), toys.observed)
    assert float(value) == pytest.approx(float(counting.nll(dict(zip(counting.names, z, strict=True)))), rel=1e-12)
    assert float(jax.jit(apart)(jnp.asarray(apart.spread(z)), apart.observed)) == pytest.approx(float(value), rel=1e-12)
    for made, at in ((toys, z), (apart, np.array([0.7, -1.2, 0.3, 0.5, 0.1, 1.4, 0.4]))):
        value, gradient, hessian = jax.jit(made.second_order)(jnp.asarray(at), made.observed)
        slope, differences = jax.jit(lambda y, d, made=made: (jax.grad(made)(y, d), jax.hessian(made)(y, d)))(
            jnp.asarray(at), made.observed
        )
        np.testing.assert_allclose(gradient, slope, rtol=1e-9, atol=1e-9)
        # The common pull enters linearly here, so that nothing is left out.
        np.testing.assert_allclose(hessian, differences, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(
    ("made", "changes", "message"),
    [
        (lambda: likelihood(measurement("one", [A], [1.0], S_A, 1.0, "dipole")), {}, "two experiments"),
        (two_numbers, {"toys": 0}, "toys"),
        (two_numbers, {"seed": -1}, "seed"),
        (two_numbers, {"starts": 0}, "starts"),
        (
            lambda: likelihood(
                measurement("one", [A], [1.0], S_A, 1.0, "dipole"),
                measurement("two", [B], [1.0], S_B, 1.0, "tensor_pp"),
                units={"d": couplings(1.0), "t": couplings(0.0, 1.0)},
            ),
            {},
            "seen by two",
        ),
    ],
)
def test_wrong_input(made, changes, message):
    with pytest.raises(UserInputError, match=message):
        tension(made(), **changes)
