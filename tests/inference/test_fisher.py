"""Fisher information: closed forms of Gaussian and Poisson counts, finite differences, blind directions that are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from numpyro import distributions as dist
from scipy import integrate
from small_joint import DIPOLE, TENSOR, counts_of, couplings, experiment
from small_joint import joint as small

import nmmfit
from nmmfit.errors import UserInputError
from nmmfit.experiment import BinnedExperiment, Channel, Component, Factor
from nmmfit.inference.fisher import Fisher, fisher
from nmmfit.inference.information import SHARED, expected_information, observed_information, of_mean, profiled
from nmmfit.inference.joint import CouplingMap, JointLikelihood
from nmmfit.inference.parameters import Parameter
from nmmfit.inference.space import space_of
from nmmfit.physics.amplitude_basis import couplings_to_vector
from nmmfit.physics.forms import TargetCouplings
from nmmfit.split_normal import SplitNormal

WIDTH = 10.0
COMMON = "sns.common"


def gaussian(name: str, observed: float, error: float, common: float = 0.0, form: str = "dipole") -> BinnedExperiment:
    """One Gaussian number: the trace of a coupling squared, plus `common` times a shared pull."""
    unit = DIPOLE**2 if form == "dipole" else TENSOR**2

    def counts(forms, pulls):
        return jnp.reshape(jnp.real(jnp.trace(forms[form])) / unit + common * pulls[COMMON], (1,))

    component = Component("all", (Factor(counts, (COMMON,), (form,)),))
    channel = Channel(
        "bins", np.array([observed]), (component,), {"x": np.arange(2.0)},
        distribution=lambda mu: dist.Normal(mu, error), statistic="normal",
    )  # fmt: skip
    return BinnedExperiment(name, "Closed form", (channel,), {COMMON: dist.Normal(0.0, 1.0)})


def likelihood(
    *experiments: BinnedExperiment,
    units: Mapping[str, TargetCouplings] | None = None,
    widths: Sequence[float] | None = None,
    finals: Sequence[int] | None = None,
) -> JointLikelihood:
    """Joint likelihood in coefficients, of unit couplings, with the pulls of its experiments."""
    units = units or {"d": couplings(1.0)}
    widths = widths or [WIDTH] * len(units)
    parameters = [
        Parameter(n, "coefficient", "1e-9 GeV^-1", dist.Normal(0.0, w), 0.0, w) for n, w in zip(units, widths, strict=True)
    ]
    pulls = {name: prior for e in experiments for name, prior in e.pulls.items()}
    parameters += [Parameter(n, "nuisance", "1", prior, 0.0, 1.0) for n, prior in pulls.items()]
    base = np.asarray([couplings_to_vector(c) for c in units.values()])
    states = tuple(frozenset({f}) for f in finals or [0] * len(units))
    return JointLikelihood(
        experiments, parameters, CouplingMap(lambda theory: jnp.asarray(base), (base,), states), method="direct"
    )


A, B, S_A, S_B, C_A, C_B = 30.0, 24.0, 1.5, 2.0, 2.0, 0.5


@pytest.fixture(scope="module")
def two() -> JointLikelihood:
    """Two Gaussian measurements of d^2 with a common error."""
    return likelihood(gaussian("one", A, S_A, C_A), gaussian("two", B, S_B, C_B))


def matrix_of_two(d: float, parts: tuple[bool, bool] = (True, True), prior: bool = True) -> np.ndarray:
    """Information about (d, pull) by hand: J^T W J of mu_i = d^2 + c_i pull, and the pull's prior."""
    slopes = np.array([[2.0 * d, C_A], [2.0 * d, C_B]])[list(parts)]
    weights = np.array([S_A**-2.0, S_B**-2.0])[list(parts)]
    return slopes.T @ (slopes * weights[:, None]) + np.diag([0.0, float(prior)])


def test_a_gaussian_measurement_with_a_common_error(two):
    found = fisher(two, {"d": 3.0, COMMON: 0.4})
    exact = 1.0 / np.linalg.inv(matrix_of_two(3.0))[0, 0]
    assert found.expected[0, 0] == pytest.approx(WIDTH**2 * exact, rel=1e-10)
    assert found.sensitivities["d"].expected == pytest.approx(exact**-0.5, rel=1e-10)
    assert found.sensitivities["d"].expected_profiled == pytest.approx(exact**-0.5, rel=1e-10)
    (direction,) = found.directions
    assert direction.composition == {"d": 1.0}
    assert direction.sd == pytest.approx(exact**-0.5 / WIDTH, rel=1e-10)
    # The pull answers by -F_nn^-1 F_nd, and every part is a square.
    answer = -matrix_of_two(3.0)[0, 1] / matrix_of_two(3.0)[1, 1]
    w = np.array([1.0, answer])
    expected = {
        "one": w @ matrix_of_two(3.0, (True, False), False) @ w / exact,
        "two": w @ matrix_of_two(3.0, (False, True), False) @ w / exact,
        SHARED: answer**2 / exact,
    }
    assert direction.shares == pytest.approx(expected, rel=1e-9)
    assert sum(direction.shares.values()) == pytest.approx(1.0, abs=1e-12)


def test_the_observed_information_knows_how_the_data_fluctuated(two):
    d = 2.0
    weights = np.diag([S_A**-2.0, S_B**-2.0])
    common = np.array([C_A, C_B])
    pull = common @ weights @ (np.array([A, B]) - d**2) / (1.0 + common @ weights @ common)
    left = np.array([A, B]) - d**2 - common * pull
    hessian = matrix_of_two(d)
    hessian[0, 0] -= 2.0 * np.sum(weights @ left)
    exact = hessian[0, 0] - hessian[0, 1] ** 2 / hessian[1, 1]
    found = fisher(two, {"d": d, COMMON: pull})
    assert exact < 0.0
    assert found.observed[0, 0] == pytest.approx(WIDTH**2 * exact, rel=1e-5)
    assert found.sensitivities["d"].observed is None
    assert found.directions[0].observed_sd is None


@pytest.mark.slow
def test_nuisances_that_are_not_given_are_fitted(two):
    weights, common, d = np.diag([S_A**-2.0, S_B**-2.0]), np.array([C_A, C_B]), 3.0
    found = fisher(two, {"d": d})
    assert found.point["d"] == d
    expected = common @ weights @ (np.array([A, B]) - d**2) / (1.0 + common @ weights @ common)
    assert found.point[COMMON] == pytest.approx(expected, rel=1e-6)


@pytest.mark.slow
def test_without_a_point_the_error_is_that_of_the_region_it_leaves(two):
    """delta chi2 = K d^4 with K = 1 / var(d^2): the covariance C in prior widths solves C = 1 / (1 + 4 K C)."""
    variance = 1.0 / np.sum(np.linalg.inv(np.diag([S_A**2, S_B**2]) + np.outer([C_A, C_B], [C_A, C_B])))
    k = WIDTH**4 / variance
    covariance = (np.sqrt(1.0 + 16.0 * k) - 1.0) / (8.0 * k)
    found = fisher(two)
    assert found.points == 2
    assert found.directions[0].information == pytest.approx(1.0 / covariance - 1.0, rel=2e-3)
    # A wide prior leaves s / sqrt(2), s^4 = var(d^2).
    assert found.sensitivities["d"].expected == pytest.approx(variance**0.25 / np.sqrt(2.0), rel=0.02)
    assert "Standard Model" in found.where
    # At the best fit, d^2 = m, the curvature is that of the expected one there.
    best = np.sqrt(np.linalg.solve(np.diag([S_A**2, S_B**2]) + np.outer([C_A, C_B], [C_A, C_B]), [A, B]).sum() * variance)
    assert found.sensitivities["d"].observed == pytest.approx(np.sqrt(variance) / (2.0 * best), rel=1e-4)


def test_information_adds_up_over_experiments(two):
    alone = [likelihood(gaussian("one", A, S_A, C_A)), likelihood(gaussian("two", B, S_B, C_B))]
    z = np.array([2.5, -0.4])
    together = expected_information(space_of(two), z)
    for k, one in enumerate(alone):
        assert together.data[k] == pytest.approx(expected_information(space_of(one), z).data[0], rel=1e-12)
        parts = (k == 0, k == 1)
        assert together.data[k] == pytest.approx(matrix_of_two(2.5, parts, prior=False), rel=1e-12)
    assert together.total == pytest.approx(matrix_of_two(2.5), rel=1e-12)
    # The pull is shared here, and an experiment's own where there is no other one.
    assert together.constraints[-1] == pytest.approx(np.diag([0.0, 1.0]))
    single = expected_information(space_of(alone[0]), z)
    assert single.constraints[0] == pytest.approx(np.diag([0.0, 1.0]))
    assert fisher(alone[0], {"d": 2.5, COMMON: 0.0}).directions[0].shares == pytest.approx({"one": 1.0, SHARED: 0.0})


def test_profiling_is_the_inverse_of_a_block_of_the_inverse():
    random = np.random.default_rng(3)
    root = random.normal(size=(7, 5)) * np.array([1.0, 1e3, 1e-2, 1.0, 10.0])
    total = root.T @ root
    kept = np.array([1, 3])
    found = profiled(total, kept, np.array([1.0, 1e-3, 1e2, 1.0, 0.1]))
    assert found.matrix == pytest.approx(np.linalg.inv(np.linalg.inv(total)[np.ix_(kept, kept)]), rel=1e-8)
    halves = [root[:3].T @ root[:3], root[3:].T @ root[3:]]
    assert sum(found.lift.T @ half @ found.lift for half in halves) == pytest.approx(found.matrix, rel=1e-8)


def test_profiling_leaves_what_nothing_fixes_alone():
    total = np.diag([4.0, 2.0, 0.0])
    total[0, 1] = total[1, 0] = 1.0
    assert profiled(total, [0], np.ones(3)).matrix == pytest.approx(np.array([[3.5]]))


@pytest.fixture(scope="module")
def counting() -> JointLikelihood:
    """Poisson counts of a dipole and two tensors that interfere, with a scale that is no exponential."""
    function = counts_of([20.0, 9.0, 4.0, 3.0], [1.0, 2.0, 3.0, 0.5], [0.5, 1.0, 0.1, 2.0], [0.0, 0.3, 1.0, 1.0], 0.6)
    lab = experiment([24.0, 11.0, 3.0, 6.0], function, {"a": lambda x: 0.1 * x, "b": lambda x: 0.05 * x - 0.01 * x**2})
    units = {"d": couplings(1.0), "p": couplings(0.2, 1.0), "n": couplings(0.0, 0.3, 1.0)}
    return small(lab, units)


def test_the_expected_information_is_the_curvature_of_asimov_data(counting):
    """Second differences of sum mu - n log mu with n the counts at the point, and of the pulls' own terms."""
    space, z = space_of(counting), np.array([0.8, -0.5, 0.6, 0.3, -0.7])

    def mean(x: np.ndarray) -> np.ndarray:
        return np.asarray(counting.expected(dict(zip(counting.names, x, strict=True)))["lab.bins"])

    asimov = mean(z)

    def nll(x: np.ndarray) -> float:
        mu = mean(x)
        return float(np.sum(mu - asimov * np.log(mu)) + 0.5 * np.sum(x[3:] ** 2))

    assert expected_information(space, z).total == pytest.approx(second_differences(nll, z), rel=1e-5, abs=1e-5)


def second_differences(f, z: np.ndarray, step: float = 2e-3) -> np.ndarray:
    """Hessian by central differences of fourth order in both arguments."""
    offsets, weights = np.array([-2, -1, 1, 2]) * step, np.array([1.0, -8.0, 8.0, -1.0]) / (12.0 * step)
    n = len(z)
    unit = np.eye(n)
    found = np.zeros((n, n))
    for i in range(n):
        for j in range(i, n):
            total = sum(
                wi * wj * f(z + a * unit[i] + b * unit[j])
                for a, wi in zip(offsets, weights, strict=True)
                for b, wj in zip(offsets, weights, strict=True)
            )
            found[i, j] = found[j, i] = total
    return found


def test_the_observed_information_is_the_curvature_of_the_data(counting):
    space, z = space_of(counting), np.array([0.8, -0.5, 0.6, 0.3, -0.7])

    def nll(x: np.ndarray) -> float:
        return float(counting.nll(dict(zip(counting.names, x, strict=True))))

    assert observed_information(space, z) == pytest.approx(second_differences(nll, z), rel=1e-4, abs=1e-4)


def test_directions_are_eigenvectors_from_best_to_worst(counting):
    found = fisher(counting, {"d": 0.8, "p": -0.5, "n": 0.6, "lab.a": 0.3, "lab.b": -0.7})
    values = [d.information for d in found.directions]
    assert values == sorted(values, reverse=True)
    assert values == pytest.approx(sorted(np.linalg.eigvalsh(found.expected), reverse=True), rel=1e-9)
    for d in found.directions:
        v = np.array(list(d.composition.values()))
        assert found.expected @ v == pytest.approx(d.information * v, abs=1e-9 * values[0])
        assert max(v, key=abs) > 0.0
        assert d.shares == pytest.approx({"lab": 1.0, SHARED: 0.0}, abs=1e-12)
    inverse = np.linalg.inv(found.expected)
    for k, name in enumerate(found.names):
        assert found.sensitivities[name].expected == pytest.approx(10.0 * found.expected[k, k] ** -0.5, rel=1e-9)
        assert found.sensitivities[name].expected_profiled == pytest.approx(10.0 * inverse[k, k] ** 0.5, rel=1e-6)


@pytest.mark.slow
def test_nothing_is_compiled_twice(counting):
    fisher(counting)
    compiled = counting.compiled["information"]
    fisher(counting)
    fisher(counting, {"d": 1.0})
    assert counting.compiled["information"] is compiled
    assert compiled._cache_size() == 1


@pytest.mark.parametrize("at", [{"a": 1.0, "b": 0.5, COMMON: 0.0}, pytest.param(None, marks=pytest.mark.slow)])
def test_two_coefficients_that_make_the_same_dipole(at):
    """d = a + 2 b, priors 10 and 5: in prior widths d ~ (1, 1) / sqrt 2, and (1, -1) / sqrt 2 is blind."""
    joint = likelihood(gaussian("one", A, S_A), units={"a": couplings(1.0), "b": couplings(2.0)}, widths=[10.0, 5.0])
    found = fisher(joint, at)
    seen, blind = found.directions
    assert seen.composition == pytest.approx({"a": 0.5**0.5, "b": 0.5**0.5}, rel=1e-9)
    assert np.abs(list(blind.composition.values())) == pytest.approx([0.5**0.5, 0.5**0.5], rel=1e-9)
    assert blind.composition["a"] * blind.composition["b"] < 0.0
    assert found.blind == (blind,)
    assert blind.cause == "a and b cancel in the dipole"
    # Rounding of d = a + 2 b, 1e-11 at 1e4 prior widths, times the slope of chi-square.
    assert max(blind.changes) < 1e-8
    assert (blind.sd, blind.shares, blind.information) == (None, {}, 0.0)
    assert found.sensitivities["a"].expected_profiled is None
    assert found.sensitivities["a"].expected is not None


@pytest.mark.parametrize("at", [{"d": 1.0, "t": 0.3, "theory.c_T": -2.9}, pytest.param(None, marks=pytest.mark.slow)])
def test_a_tensor_hides_behind_a_dipole_where_only_dipoles_are_seen(at):
    """The dipole is d + c_T k t: with c_T = -2.9 and k = 0.5 the blind direction is d = 1.45 t."""
    lab = experiment([24.0, 11.0], counts_of([20.0, 9.0], [1.0, 2.0]), forms=("dipole",))
    units = {"d": couplings(1.0), "t": couplings(0.0, 1.0)}
    joint = small(lab, units, {"t": 0.5}, dist.Normal(-2.9, 0.3))
    found = fisher(joint, at)
    (blind,) = found.blind
    assert blind.composition["d"] / blind.composition["t"] == pytest.approx(1.45, rel=1e-9)
    assert blind.cause == "d and t cancel in the dipole; so at c_T = -2.9; with other values another combination is blind"


def test_a_coefficient_that_reaches_nothing_is_named():
    lab = experiment([24.0, 11.0], counts_of([20.0, 9.0], [1.0, 2.0]), forms=("dipole",))
    joint = small(lab, {"d": couplings(1.0), "t": couplings(0.0, 1.0), "n": couplings(0.5, 0.0, 1.0)})
    found = fisher(joint, {"d": 1.0, "t": 0.0, "n": 0.0})
    assert [d.blind for d in found.directions] == [False, True, True]
    alone, pair = found.blind
    assert alone.composition == {"d": 0.0, "t": 1.0, "n": 0.0}
    assert alone.cause == "no chosen experiment depends on t"
    assert pair.cause == "d and n cancel in the dipole"


def test_no_information_at_a_zero_coupling_is_no_blind_direction(two):
    found = fisher(two, {"d": 0.0, COMMON: 0.2})
    (direction,) = found.directions
    assert direction.information == 0.0
    assert not direction.blind
    assert found.blind == ()
    # The pull is held.
    residuals = {d: sum(((n - c * p - d**2) / s) ** 2 for n, s, c, p in rows(found)) for d in (0.0, 10.0, 100.0)}
    assert direction.changes[0] == pytest.approx(abs(residuals[10.0] - residuals[0.0]), rel=1e-9)
    assert direction.changes[1] == pytest.approx(abs(residuals[100.0] - residuals[0.0]), rel=1e-9)
    assert direction.cause == "every rate is even under (d) -> -(d): where they are 0 it has no first derivative"


def rows(found: Fisher) -> list[tuple[float, float, float, float]]:
    """(number, error, effect of the pull, pull) of the two measurements at a point."""
    pull = found.point[COMMON]
    return [(A, S_A, C_A, pull), (B, S_B, C_B, pull)]


@pytest.fixture(scope="module")
def sphere() -> JointLikelihood:
    """Two dipoles that lead to different final states: counts depend on d_1^2 + d_2^2 alone."""
    second = replace(TargetCouplings.zero(), dipole=jnp.zeros((3, 6), dtype=complex).at[0, 1].set(DIPOLE))
    return likelihood(gaussian("one", A, S_A), units={"d1": couplings(1.0), "d2": second}, finals=[0, 1])


def test_the_tangent_of_a_sphere_is_not_blind(sphere):
    found = fisher(sphere, {"d1": 3.0, "d2": 0.0, COMMON: 0.0})
    along, tangent = found.directions
    assert along.composition == pytest.approx({"d1": 1.0, "d2": 0.0}, abs=1e-9)
    assert tangent.information == 0.0
    assert not tangent.blind
    # (9 + 10^2 - 30)^2 - (9 - 30)^2, in units of the error.
    assert tangent.changes[0] == pytest.approx((79.0**2 - 21.0**2) / S_A**2, rel=1e-9)


@pytest.mark.slow
def test_the_mean_over_the_region_knows_the_whole_sphere(sphere):
    everywhere = fisher(sphere)
    assert [d.information for d in everywhere.directions] == pytest.approx([everywhere.expected[0, 0]] * 2, rel=1e-6)
    assert everywhere.blind == ()
    # The mean over the region is not diluted by further directions: as d_1 alone (prior widths count little).
    one = fisher(likelihood(gaussian("one", A, S_A)))
    assert everywhere.expected[0, 0] == pytest.approx(one.expected[0, 0], rel=5e-3)


def test_the_information_of_asymmetric_errors_is_the_variance_of_the_score():
    made = SplitNormal(3.0, 7.1, 6.3)

    def integrand(x: float) -> float:
        width = 7.1 if x < 3.0 else 6.3
        return ((x - 3.0) / width**2) ** 2 * float(np.exp(made.log_prob(jnp.asarray(x))))

    score = sum(integrate.quad(integrand, a, b)[0] for a, b in ((-90.0, 3.0), (3.0, 90.0)))
    channel = Channel("bins", np.array([3.0]), (), {}, distribution=lambda mu: SplitNormal(mu, 7.1, 6.3), statistic="normal")
    assert float(of_mean(channel, jnp.array([3.0]))[0]) == pytest.approx(score, rel=1e-7)


def test_json_holds_everything(two):
    import json

    found = fisher(two, {"d": 3.0, COMMON: 0.0})
    told = json.loads(json.dumps(found.to_json()))
    assert told["experiments"] == ["one", "two", SHARED]
    assert told["directions"][0]["shares"] == pytest.approx(found.directions[0].shares)
    assert told["parameters"]["d"]["expected"] == found.sensitivities["d"].expected
    assert told["converged"] is True


class _Run:
    """What `fisher` asks of a run."""

    def __init__(self, joint: JointLikelihood) -> None:
        self.made = joint

    def joint(self) -> JointLikelihood:
        return self.made


def test_a_run_will_do(two):
    at = {"d": 3.0, COMMON: 0.0}
    assert nmmfit.fisher(_Run(two), at).expected == pytest.approx(fisher(two, at).expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"at": {"dd": 1.0}}, "fisher: at: unknown parameter 'dd'; did you mean 'd'"),
        ({"at": {"d": float("nan")}}, "fisher: at: d: expected a finite number"),
        ({"at": {"d": "x"}}, "fisher: at: d: expected a number"),
        ({"at": 3.0}, "expected a mapping"),
        ({"starts": 0}, "starts"),
        ({"seed": -1}, "seed"),
    ],
)
def test_wrong_input(two, arguments, message):
    with pytest.raises(UserInputError, match=message):
        fisher(two, **arguments)


def test_nothing_free_and_no_likelihood():
    with pytest.raises(UserInputError, match="no coefficient of this likelihood is free"):
        fisher(JointLikelihood((), (), CouplingMap(lambda theory: jnp.zeros((0, 0)), (), ())))
    with pytest.raises(UserInputError, match="expected a JointLikelihood"):
        fisher(5)
