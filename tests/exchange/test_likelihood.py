"""The exported likelihood, read from its JSON by an evaluator that knows numpy only."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro import distributions as dist
from scipy.optimize import minimize

import nmmfit
from nmmfit.errors import UserInputError
from nmmfit.exchange import nuisances as nuisances_module
from nmmfit.exchange.likelihood import export_likelihood
from nmmfit.exchange.monomials import evaluated, popxf_key, quadratic, squared_form
from nmmfit.inference.joint import JointLikelihood
from tests import small_joint
from tests.exchange.standalone import StandaloneLikelihood

RUN = nmmfit.parse_run("experiments = []\n")
EXAMPLES = Path(nmmfit.__file__).resolve().parent.parent / "examples"


def through_json(document: dict[str, Any]) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(json.dumps(document, allow_nan=False))
    return loaded


@pytest.fixture(scope="module")
def document(direct_joint: JointLikelihood) -> dict[str, Any]:
    return through_json(export_likelihood(RUN, direct_joint))


def coefficients(joint: JointLikelihood, points: int, seed: int = 0) -> list[dict[str, float]]:
    free = joint.of_kind("coefficient")
    thrown = np.random.default_rng(seed).normal(size=(points, len(free))) * [p.scale for p in free]
    return [dict(zip((p.name for p in free), map(float, row), strict=True)) for row in thrown]


def assert_counts(found: dict[str, np.ndarray], expected: dict[str, Any], tolerance: float) -> None:
    assert set(found) == set(expected)
    for name, counts in expected.items():
        np.testing.assert_allclose(found[name], np.ravel(counts), rtol=tolerance, atol=0.0)


def test_counts_are_those_of_the_direct_evaluation(document: dict[str, Any], direct_joint: JointLikelihood) -> None:
    standalone = StandaloneLikelihood(document)
    for point in [dict.fromkeys(standalone.names, 0.0), *coefficients(direct_joint, 6)]:
        assert_counts(standalone.expected(point), direct_joint.expected(point), 1e-9)


def test_templates_give_the_same_counts_within_their_own_error(document: dict[str, Any], joint: JointLikelihood) -> None:
    other = StandaloneLikelihood(through_json(export_likelihood(RUN, joint)))
    for point in coefficients(joint, 3, seed=1):
        assert_counts(other.expected(point), StandaloneLikelihood(document).expected(point), 1e-4)


def test_responses_are_the_slopes_of_counts(document: dict[str, Any], direct_joint: JointLikelihood) -> None:
    """Central differences of the direct evaluation, at a point with coefficients."""
    standalone = StandaloneLikelihood(document)
    (point,) = coefficients(direct_joint, 1, seed=2)
    moved = standalone.response(point)
    for a, name in enumerate(standalone.nuisances):
        nominal, step = standalone.nominal[a], 1e-4
        high, low = (direct_joint.expected({**point, name: nominal + s}) for s in (step, -step))
        slope = np.concatenate([(np.ravel(high[c]) - np.ravel(low[c])) / (2 * step) for c in standalone.channels])
        np.testing.assert_allclose(moved[:, a], slope, rtol=1e-5, atol=1e-6 * float(np.max(np.abs(slope))) + 1e-9)


def test_a_small_shift_of_nuisances_is_told_by_responses(document: dict[str, Any], direct_joint: JointLikelihood) -> None:
    standalone = StandaloneLikelihood(document)
    (point,) = coefficients(direct_joint, 1, seed=3)
    shift = 1e-3 * np.random.default_rng(4).normal(size=len(standalone.nuisances))
    shifted = {n: float(v) for n, v in zip(standalone.nuisances, standalone.nominal + shift, strict=True)}
    exact = np.concatenate([np.ravel(direct_joint.expected({**point, **shifted})[c]) for c in standalone.channels])
    nominal = np.concatenate(list(standalone.expected(point).values()))
    error = exact - nominal - standalone.response(point) @ shift
    assert np.max(np.abs(error)) < 2e-2 * np.max(np.abs(exact - nominal))


def test_the_gaussian_profile_is_the_minimum_over_nuisances(document: dict[str, Any], direct_joint: JointLikelihood) -> None:
    """r^T (V + R C R^T)^-1 r = min over x of (r - R x)^T V^-1 (r - R x) + x^T C^-1 x, solved as one least-squares problem."""
    standalone = StandaloneLikelihood(document)
    for point in coefficients(direct_joint, 3, seed=5):
        counts = np.concatenate(list(standalone.expected(point).values())) + standalone.response(point) @ standalone.mean
        weight = 1.0 / np.sqrt(standalone._stacked("variance"))
        root = np.linalg.cholesky(np.linalg.inv(standalone.covariance)).T
        matrix = np.concatenate([standalone.response(point) * weight[:, None], root])
        target = np.concatenate([(standalone._stacked("observed") - counts) * weight, np.zeros(len(root))])
        solution, *_ = np.linalg.lstsq(matrix, target, rcond=None)
        assert standalone.gaussian(point) == pytest.approx(float(np.sum((target - matrix @ solution) ** 2)), rel=1e-9)


def test_the_poisson_profile_follows_the_exact_one_near_the_standard_model(
    document: dict[str, Any], direct_joint: JointLikelihood
) -> None:
    """delta chi2 of small coefficients, nuisances profiled exactly by scipy: first-order responses are good to a few per cent."""
    standalone = StandaloneLikelihood(document)
    rest = [p for p in direct_joint.parameters if p.kind != "coefficient"]
    n = direct_joint.n_coefficients
    gradient = jax.jit(jax.value_and_grad(direct_joint.nll_vector))

    def exact(point: dict[str, float]) -> float:
        head = np.array([point[name] for name in standalone.names])

        def both(eta: np.ndarray) -> tuple[float, np.ndarray]:
            value, slope = gradient(jnp.asarray(np.concatenate([head, eta])))
            return float(value), np.asarray(slope)[n:]

        found = minimize(both, [p.start for p in rest], jac=True, method="BFGS", options={"gtol": 1e-8})
        return 2.0 * float(found.fun)

    zero = dict.fromkeys(standalone.names, 0.0)
    for point in ({**zero, "L_dipole": 1.0}, {**zero, "L_T_u": 0.25}):
        rise = exact(point) - exact(zero)
        assert rise > 0.3
        assert standalone.poisson(point) - standalone.poisson(zero) == pytest.approx(rise, rel=0.1)


def test_predictions_are_popxf_documents(document: dict[str, Any]) -> None:
    """The fields that arXiv:2511.17348 requires, keys of the pattern that its schema gives for degree 2, in the right order."""
    for experiment in document["experiments"].values():
        for channel in experiment["channels"].values():
            prediction = channel["prediction"]
            assert prediction["$schema"] == "https://json.schemastore.org/popxf-1.0.json"
            metadata, data = prediction["metadata"], prediction["data"]
            assert {"observable_names", "parameters", "basis", "scale"} <= set(metadata)
            assert len(set(metadata["observable_names"])) == len(channel["observed"])
            pattern = r"^\(\s*(?:'[^']*'\s*,\s*){1}'[^']*'(?:,\s*'([IR]{2})')?\s*,?\s*\)$"
            for key, values in data["observable_central"].items():
                assert re.match(pattern, key)
                named = [name for name in re.findall(r"'([^']*)'", key)]
                assert named == sorted(named)
                assert len(values) == len(channel["observed"])
            assert len(data["observable_uncertainties"]["nuisances"]) == len(channel["observed"])


def test_the_uncertainty_is_that_of_drawn_nuisances(document: dict[str, Any]) -> None:
    standalone = StandaloneLikelihood(document)
    zero = dict.fromkeys(standalone.names, 0.0)
    draws = np.random.default_rng(6).multivariate_normal(np.zeros(len(standalone.mean)), standalone.covariance, size=40000)
    spread = np.std(draws @ standalone.response(zero).T, axis=0)
    told = np.concatenate(
        [c["prediction"]["data"]["observable_uncertainties"]["nuisances"] for c in standalone.channels.values()]
    )
    np.testing.assert_allclose(told, spread, rtol=0.03, atol=0.0)


def test_held_coefficients_make_linear_terms() -> None:
    """(1 + x)^2 of a held unit and a free coefficient: constant, linear and square terms, from a closed form."""
    lab = small_joint.experiment([3.0, 4.0], small_joint.counts_of([3.0, 4.0], [0.5, 0.25]))
    free = small_joint.joint(lab, {"a": small_joint.couplings(1.0), "b": small_joint.couplings(1.0)})
    held = JointLikelihood(
        (lab,), [p for p in free.parameters if p.name != "b"], free.coupling_map, fixed_coefficients={"b": 1.0}, method="direct"
    )
    document = through_json(export_likelihood(RUN, held))
    central = document["experiments"]["lab"]["channels"]["bins"]["prediction"]["data"]["observable_central"]
    assert central["('', '')"] == pytest.approx([3.5, 4.25], rel=1e-12)
    assert central["('', 'a')"] == pytest.approx([1.0, 0.5], rel=1e-12)
    assert central["('a', 'a')"] == pytest.approx([0.5, 0.25], rel=1e-12)
    assert document["held"]["b"] == 1.0


def test_a_constraint_moves_and_narrows_the_nuisances(monkeypatch: pytest.MonkeyPatch, direct_joint: JointLikelihood) -> None:
    """A normal constraint on one pull: mean and width of the product of two normal distributions."""
    place = direct_joint.names.index("nuclear_like.flux")

    def constraint(joint: JointLikelihood, vector: jnp.ndarray) -> jnp.ndarray:
        return -0.5 * ((vector[place] - 3.0) / 0.5) ** 2

    monkeypatch.setattr(nuisances_module, "own_constraints", constraint)
    found = nuisances_module.normal_nuisances(direct_joint)
    a = found.names.index("nuclear_like.flux")
    assert found.mean[a] == pytest.approx(3.0 / (1.0 + 0.25), rel=1e-9)
    assert math.sqrt(found.covariance[a, a]) == pytest.approx(1.0 / math.sqrt(1.0 + 4.0), rel=1e-9)
    others = np.delete(np.arange(len(found.mean)), a)
    assert np.allclose(found.mean[others], 0.0, atol=1e-9)


def test_normal_data_carry_their_variance() -> None:
    lab = small_joint.experiment(
        [1.0], small_joint.counts_of([0.5], [1.0]), distribution=lambda expected: dist.Normal(expected, 0.2)
    )
    document = export_likelihood(RUN, small_joint.joint(lab, {"a": small_joint.couplings(1.0)}))
    channel = document["experiments"]["lab"]["channels"]["bins"]
    assert channel["variance"] == pytest.approx([0.04], rel=1e-12)


@pytest.mark.parametrize(
    ("distribution", "message"),
    [
        (lambda expected: dist.Gamma(expected, 1.0), "neither Poisson nor normal"),
        (lambda expected: dist.Normal(expected + 1.0, 1.0), "neither Poisson nor normal"),
    ],
)
def test_other_data_are_refused(distribution, message: str) -> None:
    lab = small_joint.experiment([1.0], small_joint.counts_of([0.5], [1.0]), distribution=distribution)
    with pytest.raises(UserInputError, match=message):
        export_likelihood(RUN, small_joint.joint(lab, {"a": small_joint.couplings(1.0)}))


def test_a_prior_without_a_width_is_refused() -> None:
    lab = small_joint.experiment([3.0], small_joint.counts_of([3.0], [1.0]), {"flux": lambda p: 0.1 * p})
    wild = dist.StudentT(1.5, 0.0, 1.0)
    joint = small_joint.joint(lab, {"a": small_joint.couplings(1.0)}, {"a": 0.1}, c_t=dist.Normal(-2.9, 0.3))
    parameters = [p if p.kind != "nuisance" else type(p)(p.name, p.kind, p.unit, wild, 0.0, 1.0) for p in joint.parameters]
    odd = JointLikelihood(joint.experiments, parameters, joint.coupling_map, method="direct")
    with pytest.raises(UserInputError, match=r"lab\.flux has no standard deviation"):
        export_likelihood(RUN, odd)


def test_a_run_without_coefficients_or_experiments_is_refused() -> None:
    with pytest.raises(UserInputError, match="no coefficient is free"):
        export_likelihood(nmmfit.parse_run('experiments = ["borexino_phase2_limit"]\n'))
    with pytest.raises(UserInputError, match="no experiment"):
        export_likelihood(nmmfit.default_run(["experiments=[]"]))


def test_a_run_file_of_published_limits_end_to_end() -> None:
    """The document of a real run names its coefficients, scale, sources and theory, and gives the counts of the run."""
    run = nmmfit.default_run(['experiments=["borexino_phase2_limit"]', "scale_gev=50.0"])
    document = through_json(export_likelihood(run))
    standalone = StandaloneLikelihood(document)
    direct = run.joint(method="direct")
    for point in coefficients(direct, 4):
        assert_counts(standalone.expected(point), direct.expected(point), 1e-9)
    assert document["eft"] == {"name": "LNEFT", "basis": "nmmfit", "scale_gev": 50.0}
    dipole = next(p for p in document["parameters"] if p["name"] == "L_dipole")
    assert dipole["coefficients"] == {f"nuNgamma_{i}{i}": [1.0, 0.0] for i in (1, 2, 3)}
    assert dipole["unit"] == "GeV^-1"
    assert document["experiments"]["borexino_phase2_limit"]["references"]
    assert document["run"]["hash"] == run.hash
    assert document["generator"]["version"] == nmmfit.__version__


@pytest.mark.slow
def test_the_default_run_end_to_end() -> None:
    run = nmmfit.default_run()
    standalone = StandaloneLikelihood(through_json(export_likelihood(run)))
    direct = run.joint(method="direct")
    for point in coefficients(direct, 3):
        assert_counts(standalone.expected(point), direct.expected(point), 1e-9)
    # a moment and 85Kr bend each other: the page quotes 2.8 against 3.2
    zero = dict.fromkeys(standalone.names, 0.0)
    rise = standalone.poisson({**zero, "L_dipole": 5.6e-9}) - standalone.poisson(zero)
    assert rise == pytest.approx(2.8, abs=0.05)


def test_monomials_and_their_keys() -> None:
    assert quadratic(2) == ((), (0,), (1,), (0, 0), (0, 1), (1, 1))
    assert popxf_key((), ["b", "a"], 2) == "('', '')"
    assert popxf_key((0, 1), ["b", "a"], 4) == "('', '', 'a', 'b')"
    rng = np.random.default_rng(0)
    monomials, slope, curvature = quadratic(3)[1:], rng.normal(size=9), rng.normal(size=(9, 9))
    curvature = curvature + curvature.T
    made = squared_form(monomials, 0.7, slope, curvature)
    for point in rng.normal(size=(5, 3)):
        m = np.array([np.prod(point[list(k)]) for k in monomials])
        assert evaluated(made, point) == pytest.approx(0.7 + slope @ m + 0.5 * m @ curvature @ m, rel=1e-12)
