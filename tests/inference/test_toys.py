"""Toys against closed forms: counting experiments, Gaussian likelihoods, published intervals."""

from __future__ import annotations

import json
from functools import lru_cache, partial
from types import SimpleNamespace

import numpy as np
import pytest
from numpyro import distributions as dist
from scipy.optimize import brentq
from scipy.stats import norm, poisson
from small_joint import counts_of, couplings, experiment, joint

import nmmfit
from nmmfit import kept_programs
from nmmfit.durable import ChunkStore
from nmmfit.errors import UserInputError
from nmmfit.inference import core_fits, toy_ensemble, toy_intervals
from nmmfit.inference.asimov import asimov
from nmmfit.inference.core_fits import CoreFits, programs
from nmmfit.inference.space import space_of
from nmmfit.inference.toy_ensemble import Ensemble, critical, fraction, p_value, run
from nmmfit.inference.toy_fits import ToyLikelihood, fit_toys, thrown

BACKGROUND = 3.0
gaussian = partial(dist.Normal, scale=1.0)


@lru_cache(maxsize=1)
def counting():
    """Four events where three are expected without signal; the signal is the square of the moment `mu`."""
    return joint(experiment([4.0], counts_of([BACKGROUND], [1.0])), {"L": couplings(dipole=1.0)})


@lru_cache(maxsize=1)
def boundary():
    """A Gaussian measurement of the square of `mu` with unit width, below zero by one."""
    lab = experiment([-1.0], counts_of([0.0], [1.0]), distribution=gaussian)
    return joint(lab, {"L": couplings(dipole=1.0)})


def ratio(n: np.ndarray, s: float) -> np.ndarray:
    """-2 ln of the likelihood ratio of Feldman and Cousins, eq. (4.1), for counts n, signal s >= 0 and the background."""
    best = np.maximum(n - BACKGROUND, 0.0)
    return 2.0 * (poisson.logpmf(n, BACKGROUND + best) - poisson.logpmf(n, BACKGROUND + s))


def test_statistics_of_toys_are_the_closed_form() -> None:
    """Counts n alone decide q: -2 ln of the likelihood ratio with the signal max(n - b, 0) in the denominator."""
    space, likelihood = space_of(counting()), ToyLikelihood(counting())
    ensemble = Ensemble(likelihood, space.vector({"L": 1.5}), ((space.target("mu"), 1.5),), 200, 1)
    found = run(ensemble)
    n = np.asarray(ensemble.data(0, 200).counts)[:, 0]
    assert found.failed == 0
    assert found.q[0] == pytest.approx(ratio(n, 1.5**2), abs=1e-5)
    assert found.best[0] ** 2 == pytest.approx(np.maximum(n - BACKGROUND, 0.0), abs=2e-3)
    assert np.mean(n) == pytest.approx(BACKGROUND + 1.5**2, abs=4.0 * np.sqrt((BACKGROUND + 1.5**2) / 200))


@pytest.mark.parametrize(("name", "at"), [("mu", 1.5), ("lab.scale", 0.4)])
def test_what_fits_call_is_what_is_compiled_before(name: str, at: float) -> None:
    """Programs made ready ahead are those that free and held fits call: none is made after that."""
    lab = experiment([4.0], counts_of([BACKGROUND], [1.0]), {"scale": lambda pull: 0.1 * pull})
    likelihood = ToyLikelihood(joint(lab, {"L": couplings(dipole=1.0)}))
    likelihood.joint.fingerprint = "of a test, one counting experiment"
    target = likelihood.space.target(name)
    ahead = programs(likelihood, target)
    for program, batch, shared in ahead:
        program.ready(batch, shared)
    before = kept_programs._remembered.cache_info()
    found = run(Ensemble(likelihood, likelihood.space.vector({"L": 1.5}), ((target, at),), 20, 1))
    after = kept_programs._remembered.cache_info()
    assert found.failed == 0
    assert after.misses == before.misses
    assert after.hits >= before.hits + len(ahead)


def test_fits_from_scattered_points_are_given_up_where_they_are_in_vain() -> None:
    """Two toys of five fits: converged; on the way to a deeper minimum; to a higher one; to the same one; with nowhere to go."""
    value = np.array([5.0, 5.0, 5.0, 4.0, 9.0, 7.0, 5.0 + 1e-6, 5.0, np.inf, 5.0])
    height = np.array([1e-9, 1e-9, 1e-3, 5.0, 1e-2, 1e-2, 1e-5, np.inf, np.inf, 1.0])
    damping = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 2e2, 0.0, 0.0])
    thorough = np.array([True, True, True, *[False] * 6, True])
    work = SimpleNamespace(
        state=SimpleNamespace(value=value, height=height, damping=damping),
        owner=np.array([0, 1] * 5),
        thorough=thorough,
        converged=(np.abs(height) < core_fits.TOLERANCE) & np.isfinite(value),
    )
    # those that look around go on; of the others the one that may end deeper, and the one of which nothing is known
    assert core_fits._Work.open.fget(work).tolist() == [2, 3, 8, 9]
    assert core_fits._Work._lowest(work).tolist() == [0, 1]
    value[1] = 6.0
    work.owner[1] = 0
    assert core_fits._Work._lowest(work).tolist() == [0], "of a toy's fits the lowest"


def test_a_fit_that_stopped_early_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Toys that the first rounds leave open are fitted once more, before the minimiser with exact Hessians is asked."""
    space, likelihood = space_of(counting()), ToyLikelihood(counting())
    ensemble = Ensemble(likelihood, space.vector({"L": 1.5}), ((space.target("mu"), 1.5),), 50, 2)
    usual = run(ensemble)
    monkeypatch.setattr(core_fits, "PASSES", 1)
    monkeypatch.setattr(core_fits, "ROUNDS", 1)
    again = run(ensemble)
    assert again.failed == 0
    assert again.q == pytest.approx(usual.q, abs=1e-5)


@pytest.fixture(scope="module")
def counted():
    what = ("coverage", "feldman-cousins", "cls")
    grid = [np.sqrt(s) for s in (0.0, 1.0, 3.0, 4.5, 5.0, 5.3, 5.9, 6.6)]
    return nmmfit.toys(counting(), "mu", what=what, toys=500, seed=3, grid=grid)


@pytest.mark.slow
def test_counts_with_known_background_give_the_published_interval(counted) -> None:
    """Feldman and Cousins, physics/9711021, Table V: n = 4 and b = 3.0 give [0.00, 5.60] at 90 %."""
    found = counted.feldman_cousins
    assert found.lower == 0.0
    assert found.upper**2 == pytest.approx(5.60, abs=3.0 * 2.0 * found.upper * found.upper_error)
    assert 2.0 * found.upper * found.upper_error < 0.8
    assert counted.asymptotic[0] == 0.0


@pytest.mark.slow
def test_critical_values_are_those_of_the_exact_construction(counted) -> None:
    n = np.arange(60)
    for tested in counted.feldman_cousins.tested:
        s = tested.value**2
        q, p = ratio(n, s), poisson.pmf(n, BACKGROUND + s)
        assert tested.q == pytest.approx(ratio(np.array([4]), s)[0], abs=1e-4)
        exact = float(np.sum(p[q >= tested.q - 1e-6]))
        assert tested.p_value == pytest.approx(exact, abs=4.0 * np.sqrt(exact * (1.0 - exact) / tested.toys) + 2.0 / tested.toys)
        # every value of the statistic is that of some number of counts
        assert np.max(np.min(np.abs(tested.values[:, None] - q), axis=1)) < 1e-4
        assert tested.failed == 0


@pytest.mark.slow
def test_coverage_of_the_asymptotic_interval_of_counts(counted) -> None:
    n = np.arange(60)
    for found in counted.coverage:
        s = found.truth**2
        exact = float(np.sum(poisson.pmf(n, BACKGROUND + s)[ratio(n, s) <= found.level]))
        assert found.coverage == pytest.approx(exact, abs=4.0 * np.sqrt(exact * (1.0 - exact) / found.toys))
    assert [c.where for c in counted.coverage] == ["Standard Model", "best fit"]
    assert counted.coverage[1].truth == pytest.approx(1.0, abs=1e-4)


@pytest.mark.slow
def test_cls_of_counts(counted) -> None:
    """P(n <= 4 | b + s) / P(n <= 4 | b) = 0.1: q~ falls with n, because all counts above the tested mean give 0."""
    exact = brentq(lambda s: poisson.cdf(4, BACKGROUND + s) / poisson.cdf(4, BACKGROUND) - 0.1, 1.0, 10.0)
    found = counted.cls
    error = 2.0 * found.upper * found.upper_error
    assert found.upper**2 == pytest.approx(exact, abs=3.0 * error)
    assert error < 1.0


@pytest.mark.slow
def test_expected_limit_and_p_value_of_counts() -> None:
    """Asimov data of the background alone are 3 counts: 2 (s - 3 ln(1 + s / 3)) = 2.706."""
    made = nmmfit.toys(counting(), "mu", what=["asimov", "p-value"], toys=100, values=[1.5])
    found = made.asimov.expected["mu"]
    s = brentq(lambda s: 2.0 * (s - BACKGROUND * np.log1p(s / BACKGROUND)) - norm.isf(0.05) ** 2, 0.1, 20.0)
    assert (found.lower, found.upper) == (0.0, pytest.approx(np.sqrt(s), rel=1e-3))
    assert made.asimov.counts["lab.bins"] == pytest.approx([BACKGROUND], abs=1e-8)
    assert made.p_values[0].q == pytest.approx(ratio(np.array([4]), 1.5**2)[0], abs=1e-4)


@pytest.mark.slow
def test_the_object_of_json(counted) -> None:
    text = json.loads(json.dumps(counted.to_json()))
    assert (text["parameter"], text["warnings"]) == ("mu", [])
    assert {"lower", "upper", "grid", "failed"} <= set(text["feldman_cousins"])
    assert "plug-in" in text["construction"]


@pytest.mark.slow
def test_a_gaussian_at_a_boundary_gives_the_published_interval() -> None:
    """Feldman and Cousins, Table X: x0 = -1.0 gives [0.00, 0.81] at 90 %."""
    grid = [np.sqrt(s) for s in (0.0, 0.4, 0.7, 0.95, 1.3)]
    found = nmmfit.toys(boundary(), "mu", what=["feldman-cousins"], toys=1000, seed=1, grid=grid).feldman_cousins
    assert found.lower == 0.0
    assert found.upper**2 == pytest.approx(0.81, abs=3.0 * 2.0 * found.upper * found.upper_error)
    assert 2.0 * found.upper * found.upper_error < 0.2


@pytest.mark.slow
def test_a_gaussian_far_from_its_boundary_is_covered_as_it_says() -> None:
    lab = experiment([400.0, 300.0], counts_of([0.0, 0.0], [1.0, 1.0]), {"scale": lambda x: 0.02 * x}, gaussian)
    made = joint(lab, {"L": couplings(dipole=1.0)})
    space = space_of(made)
    likelihood = ToyLikelihood(made)
    z = space.vector({"L": np.sqrt(350.0)})
    found = run(Ensemble(likelihood, z, ((space.target("mu"), np.sqrt(350.0)),), 1024, 5))
    assert found.failed == 0
    share, error = fraction(int(np.sum(found.q[0] <= norm.isf(0.05) ** 2)), 1024)
    assert share == pytest.approx(0.9, abs=4.0 * error)
    assert np.mean(found.q[0]) == pytest.approx(1.0, abs=4.0 * np.sqrt(2.0 / 1024))


def test_a_toy_is_the_same_in_any_ensemble() -> None:
    made = counting()
    space, likelihood = space_of(made), ToyLikelihood(made)
    z = space.vector({"L": 1.0})
    short, long = (Ensemble(likelihood, z, ((space.target("mu"), 1.0),), toys, 7) for toys in (40, 300))
    assert np.array_equal(short.data(0, 40).counts, long.data(0, 300).counts[:40])
    assert np.array_equal(long.data(256, 300).counts, long.data(0, 300).counts[256:])
    assert not np.array_equal(Ensemble(likelihood, z, short.tests, 40, 8).data(0, 40).counts, short.data(0, 40).counts)


def test_toys_are_kept_apart_by_what_determines_them(tmp_path) -> None:
    space, likelihood = space_of(counting()), ToyLikelihood(counting())
    z, tests = space.vector({"L": 1.0}), ((space.target("mu"), 1.0),)
    others = [
        Ensemble(likelihood, z, tests, 40, 7),
        Ensemble(likelihood, np.nextafter(z, 2.0), tests, 40, 7),
        Ensemble(likelihood, z, ((space.target("mu"), 1.5),), 40, 7),
        Ensemble(likelihood, z, ((space.target("L"), 1.0),), 40, 7),
        Ensemble(likelihood, z, tests, 41, 7),
        Ensemble(likelihood, z, tests, 40, 8),
    ]
    for ensemble in (*others, others[0]):
        ensemble.kept_in(lambda name, known: ChunkStore(tmp_path / name, known))
    assert len(list(tmp_path.iterdir())) == len(others)


@pytest.mark.slow
def test_fits_of_a_toy_are_the_same_in_any_ensemble() -> None:
    made = counting()
    space, likelihood = space_of(made), ToyLikelihood(made)
    short, long = (Ensemble(likelihood, space.vector({"L": 1.0}), ((space.target("mu"), 1.0),), n, 7) for n in (40, 300))
    assert run(short).q[0] == pytest.approx(run(long).q[0, :40], abs=1e-6)


@pytest.fixture(scope="module")
def entangled():
    """Tensors that cancel the dipole, through a theory input; a nuisance; few counts."""
    lab = experiment(
        [6.0, 3.0, 1.0, 4.0],
        counts_of([3.0, 2.0, 1.0, 3.0], [4.0, 2.0, 0.5, 0.0], [0.0, 0.2, 0.5, 2.0], 0.0, [0.1, 0.2, 0.1, 0.0]),
        {"scale": lambda x: 0.1 * x},
    )
    units = {"D": couplings(dipole=1.0), "T": couplings(tensor_p=1.0)}
    return joint(lab, units, {"T": 0.3}, dist.Normal(-2.9, 0.3))


@pytest.mark.slow
def test_fast_fits_agree_with_exact_ones(entangled) -> None:
    likelihood, space = ToyLikelihood(entangled), space_of(entangled)
    z = space.vector({"D": 0.6, "T": 0.8})
    fits = CoreFits(likelihood, z)
    data = Ensemble(likelihood, z, (), 24, 2).data(0, 24)
    starts = thrown(likelihood, np.tile(z, (24, 1)), (1.0, 3.0), np.random.default_rng(0))
    values = {}
    for name, at in ((None, 0.0), ("mu", 0.4), ("D", -0.5), ("lab.scale", 0.7)):
        target = None if name is None else space.target(name)
        fast = fits.fit(data, target, at)
        slow = fit_toys(likelihood, data, starts, target=target, at=at)
        assert np.all(fast.converged & slow.converged)
        # the fast value leaves out what depends on the data alone
        offset = np.array([float(likelihood(zz, data.take(np.array(i)))) for i, zz in enumerate(fast.z)]) - fast.value
        values[name] = fast.value + offset
        assert np.max(values[name] - slow.value) < 5e-4
        if target is not None:
            assert np.all(values[name] >= values[None] - 1e-6)


@pytest.mark.slow
def test_asimov_data_give_back_their_truth(entangled) -> None:
    at = {"D": 0.9, "T": -0.8, "theory.c_T": -2.9, "lab.scale": 0.4}
    found = asimov(entangled, at=at, parameters=["mu", "t_p"])
    assert found.converged
    assert found.expected["mu"].best == pytest.approx(0.9 + 0.3 * 2.9 * 0.8, rel=1e-3)
    assert found.expected["t_p"].best == pytest.approx(0.8, rel=1e-3)
    assert found.point == pytest.approx(at)


@pytest.mark.slow
def test_minima_of_toys_agree_with_minuit(entangled) -> None:
    iminuit = pytest.importorskip("iminuit")
    likelihood, space = ToyLikelihood(entangled), space_of(entangled)
    z = space.vector({"D": 0.6, "T": 0.8})
    data = Ensemble(likelihood, z, (), 5, 4).data(0, 5)
    found = CoreFits(likelihood, z).fit(data)
    for i in range(5):
        n, centres = np.asarray(data.counts)[i], np.asarray(data.centres)[i]

        def nll(d, t, c, s, n=n, centres=centres):
            a = d + 0.3 * c * t
            mu = np.array([3.0, 2.0, 1.0, 3.0]) + np.array([4.0, 2.0, 0.5, 0.0]) * a**2
            mu = mu + np.array([0.0, 0.2, 0.5, 2.0]) * t**2 + np.array([0.1, 0.2, 0.1, 0.0]) * a * t
            mu = mu * np.exp(0.1 * s)
            pulls = ((c - centres[0]) / 0.3) ** 2 + (s - centres[1]) ** 2
            return float(np.sum(mu - n * np.log(mu)) + 0.5 * pulls)

        best = np.inf
        for start in ([*found.z[i]], [0.1, 0.1, -2.9, 0.0], [1.5, -1.0, -2.9, 0.0]):
            fit = iminuit.Minuit(nll, *start, name=("d", "t", "c", "s"))
            fit.errordef, fit.strategy = 0.5, 2
            fit.migrad(ncall=20000)
            best = min(best, fit.fval)
        assert nll(*found.z[i]) == pytest.approx(best, abs=5e-4)


@pytest.mark.slow
def test_toys_that_fail_are_counted(monkeypatch) -> None:
    """Of 400 toys every fourth one does not converge."""

    def chunk(self, number: int):
        q = np.linspace(0.0, 4.0, 400)[None]
        return {"q": q, "best": q, "converged": np.arange(400)[None] % 4 != 0}

    monkeypatch.setattr(Ensemble, "chunk", chunk)
    monkeypatch.setattr(Ensemble, "chunks", 1)
    found = nmmfit.toys(counting(), "mu", what=["coverage"], toys=400)
    assert [(c.toys, c.failed) for c in found.coverage] == [(300, 100)] * 2
    assert "200 of 800 toys did not converge" in found.warnings[0]


def test_numbers_of_order_statistics() -> None:
    values = np.arange(1.0, 101.0)
    assert critical(values, 0.9)[0] == 90.0
    assert critical(values, 0.9)[1] == pytest.approx(3.0, abs=0.6)
    assert p_value(values, 91.0)[0] == pytest.approx(11.0 / 101.0)
    assert fraction(0, 100)[1] > 0.0
    assert fraction(90, 100) == (0.9, pytest.approx(0.03))
    assert all(np.isnan(x) for x in (*fraction(0, 0), *critical(np.zeros(0), 0.9)))


@pytest.mark.slow
def test_ends_that_a_grid_does_not_hold_are_open() -> None:
    found = nmmfit.toys(counting(), "mu", what=["feldman-cousins"], toys=10, grid=[0.8, 1.0, 1.2]).feldman_cousins
    assert (found.lower, found.upper) == (None, None)
    assert "not bounded below within 0.8" in found.reason
    assert "not bounded above within 1.2" in found.reason


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"toys": 0}, "toys: toys: 0 is out of range"),
        ({"seed": -1}, "toys: seed: -1"),
        ({"cl": 90}, "did you mean 0.9"),
        ({"parameter": "muu"}, "did you mean 'mu'"),
        ({"what": ["limits"]}, "unknown kind of result 'limits'"),
        ({"what": "cls"}, "what is a list"),
        ({"what": []}, "nothing is asked for"),
        ({"grid": [1.0, 0.5]}, "ascending order"),
        ({"grid": [-1.0, 0.5]}, "lies between 0 and inf"),
        ({"what": ["p-value"], "values": [float("nan")]}, "finite number"),
        ({"parameter": "L", "what": ["cls"]}, "takes a size"),
        ({"at": {"M": 1.0}, "what": ["coverage"]}, "unknown parameter 'M'"),
    ],
)
def test_wrong_input_is_one_line(wrong, said) -> None:
    given = {"parameter": "mu", "what": ["feldman-cousins"], "toys": 10} | wrong
    with pytest.raises(UserInputError, match=said) as problem:
        nmmfit.toys(counting(), **given)
    assert "\n" not in str(problem.value)


@pytest.mark.slow
def test_a_flat_coefficient_has_no_toys() -> None:
    lab = experiment([4.0], counts_of([BACKGROUND], [1.0]))
    made = joint(lab, {"A": couplings(dipole=1.0), "B": couplings(dipole=1.0)})
    with pytest.raises(UserInputError, match="B compensates A exactly"):
        nmmfit.toys(made, "A", what=["feldman-cousins"], toys=10)


def test_nothing_to_make_toys_of_is_one_line() -> None:
    made = joint(experiment([4.0], counts_of([BACKGROUND], [1.0])), {"A": couplings(dipole=1.0), "B": couplings(dipole=1.0)})
    made.identified = ()
    with pytest.raises(UserInputError, match="the data bound none of A, B alone, and no identified quantity"):
        nmmfit.toys(made, toys=10)


@pytest.mark.slow
def test_toys_that_would_take_too_long_are_refused(monkeypatch) -> None:
    clock = iter(range(0, 10**9, 100))
    monkeypatch.setattr("nmmfit.inference.toys.time.perf_counter", lambda: float(next(clock)))

    def slow(ensemble, told, store, engine):
        for done in range(256, ensemble.toys + 1, 256):
            told(done)
        return [{"q": np.ones((1, 256)), "best": np.ones((1, 256)), "converged": np.ones((1, 256), dtype=bool)}]

    monkeypatch.setattr(toy_ensemble, "all_chunks", slow)
    with pytest.raises(UserInputError, match=r"would take about .* hours here"):
        nmmfit.toys(counting(), "mu", what=["coverage"], toys=10_000, longest_s=3600.0)


def test_intervals_of_disjoint_values_say_so() -> None:
    tests = [
        toy_intervals.ToysAtValue(v, q, 100, 0, 2.0, 0.1, 0.1, 0.01, (0.0, 1.0), np.zeros(1))
        for v, q in ((0.0, 1.0), (1.0, 3.0), (2.0, 0.0), (3.0, 5.0))
    ]

    class Profile:
        target = space_of(counting()).target("mu")
        best = 2.0

    found = toy_intervals._interval(Profile, tests, 0.9, (0.0, np.inf))
    assert found.lower == 0.0
    assert 2.0 < found.upper < 3.0
    assert "not accepted" in found.note


@pytest.mark.slow
def test_limits_with_toys_and_combinations() -> None:
    """A Gaussian: every method gives the same interval of s = A + 2 B as error propagation, beside one that is flat."""
    lab = experiment([9.0, 16.0], counts_of([0.0, 0.0], [1.0, 0.0], [0.0, 1.0]), distribution=gaussian)
    units = {"A": couplings(dipole=1.0), "B": couplings(tensor_p=1.0)}
    found = nmmfit.limits(joint(lab, units), parameters=["mu"], presets={}, combinations={"sum": {"A": 1.0, "B": 2.0}})
    limits = found.combinations["sum"]
    # A = 3 +- 1/6 and B = 4 +- 1/8, nearly Gaussian
    width = norm.isf(0.05) * np.hypot(1.0 / 6.0, 2.0 / 8.0)
    assert limits.profiled.upper == pytest.approx(11.0 + width, abs=0.1 * width)
    assert "not defined" in limits.one_at_a_time.reason
    assert found.to_json()["combinations"]["sum"]["unit"] == "GeV^-2"
    assert found.to_json()["warnings"] == []
    with pytest.raises(UserInputError, match="did you mean 'A'"):
        nmmfit.limits(joint(lab, units), parameters=["mu"], combinations={"sum": {"AA": 1.0}})


@pytest.mark.slow
def test_limits_with_feldman_cousins() -> None:
    found = nmmfit.limits(counting(), parameters=["mu"], presets={}, feldman_cousins=True, toys=100)
    interval = found.identified["mu"].feldman_cousins
    assert interval.lower == 0.0
    assert interval.upper**2 == pytest.approx(5.60, abs=2.5)
    assert "toys a value" in interval.note
    assert found.to_json()["identified"]["mu"]["feldman_cousins"]["upper"] == interval.upper
