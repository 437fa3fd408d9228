import json
from functools import cache

import numpy as np
import pytest
from numpyro import distributions as dist
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import chi2
from small_joint import counts_of, couplings, experiment, joint

from nmmfit.errors import UserInputError
from nmmfit.inference.intervals import marginalised
from nmmfit.inference.limits import limits
from nmmfit.inference.profile import profile

LEVEL = float(chi2.ppf(0.9, 1))
C_T = (-2.9, 0.3)
PRIOR = dist.Normal(*C_T)


@cache
def one_bin(observed):
    """Counts (100 + 4 L^2) exp(0.1 p)."""
    lab = experiment([observed], counts_of([100.0], [4.0]), {"norm": lambda p: 0.1 * p})
    return joint(lab, {"L": couplings(1.0)})


def chi2_one_bin(value, observed):
    """Profiled over the pull by scipy."""

    def at(p):
        mean = (100.0 + 4.0 * value**2) * np.exp(0.1 * p)
        return 2.0 * (mean - observed - observed * np.log(mean / observed)) + p**2

    return minimize_scalar(at, bounds=(-15, 15), method="bounded", options={"xatol": 1e-10}).fun


@cache
def moment_and_tensor():
    """L and T: d = L + c_T T; bins see 4 d^2 and 5 T^2 above backgrounds."""
    lab = experiment([100, 40], counts_of([100.0, 40.0], [4.0, 0.0], tensor_pp=[0.0, 5.0]))
    units = {"L": couplings(1.0), "T": couplings(0.0, 1.0)}
    return joint(lab, units, shifts={"T": 1.0}, c_t=PRIOR)


@cache
def three_for_two():
    """L, T and S for two amplitudes: one exactly flat direction, L - c_T S and S."""
    lab = experiment([100, 40], counts_of([100.0, 40.0], [4.0, 0.0], tensor_pp=[0.0, 5.0]))
    units = {"L": couplings(1.0), "T": couplings(0.0, 1.0), "S": couplings(0.0)}
    return joint(lab, units, shifts={"T": 1.0, "S": 1.0}, c_t=PRIOR)


def test_upper_limit_of_one_poisson_bin():
    """n = 90 below the background: best at 0; both signs of L alike; mu = |L| starts at its boundary."""
    found = limits(one_bin(90), presets={})
    reference = brentq(lambda v: chi2_one_bin(v, 90) - chi2_one_bin(0.0, 90) - LEVEL, 0.1, 50.0, xtol=1e-10)
    one = found.parameters["L"].one_at_a_time
    assert found.converged
    assert one.upper == pytest.approx(reference, rel=1e-3)
    assert one.lower == pytest.approx(-reference, rel=1e-3)
    assert one.reason is None
    assert one.segments == ()
    for interval in (found.identified["mu"].profiled, found.identified["mu"].one_at_a_time):
        assert interval.lower == 0.0
        assert interval.upper == pytest.approx(reference, rel=1e-3)
    # a quantity that nothing reaches is said to be so
    assert found.identified["t_p"].one_at_a_time.upper is None
    assert found.identified["t_p"].one_at_a_time.reason


def test_strong_signal_has_two_segments():
    found = limits(one_bin(400), presets={}, parameters=["L", "mu"])
    best = np.sqrt(75.0)
    inner = brentq(lambda v: chi2_one_bin(v, 400) - LEVEL, 0.5, best)
    outer = brentq(lambda v: chi2_one_bin(v, 400) - LEVEL, best, 60.0)
    interval = found.parameters["L"].profiled
    assert found.converged
    assert (interval.lower, interval.upper) == (pytest.approx(-outer, rel=1e-3), pytest.approx(outer, rel=1e-3))
    np.testing.assert_allclose(interval.segments, [[-outer, -inner], [inner, outer]], rtol=1e-3)
    mu = found.identified["mu"].profiled
    assert (mu.lower, mu.upper) == (pytest.approx(inner, rel=1e-3), pytest.approx(outer, rel=1e-3))
    assert mu.best == pytest.approx(best, rel=1e-3)


def test_c_t_floats_within_its_prior():
    """One at a time T feels d = c_T T with c_T profiled; profiled over L only its own bin is left; so for mu and t_p."""
    found = limits(moment_and_tensor(), presets={})

    def tensor_bin(t):
        return 2.0 * (5.0 * t**2 - 40.0 * np.log1p(5.0 * t**2 / 40.0))

    def dipole_bin(d):
        return 2.0 * (4.0 * d**2 - 100.0 * np.log1p(4.0 * d**2 / 100.0))

    def alone(t):
        def at(c):
            return tensor_bin(t) + dipole_bin(c * t) + ((c - C_T[0]) / C_T[1]) ** 2

        return minimize_scalar(at, bounds=(-6.0, 2.0), method="bounded", options={"xatol": 1e-10}).fun

    t_alone = brentq(lambda t: alone(t) - LEVEL, 0.01, 20.0)
    t_free = brentq(lambda t: tensor_bin(t) - LEVEL, 0.01, 20.0)
    d_free = brentq(lambda d: dipole_bin(d) - LEVEL, 0.01, 20.0)
    assert found.converged
    for kind, expected in (("one_at_a_time", t_alone), ("profiled", t_free)):
        interval = getattr(found.parameters["T"], kind)
        assert interval.upper == pytest.approx(expected, rel=1e-3)
        assert interval.lower == pytest.approx(-expected, rel=1e-3)
    for kind in ("one_at_a_time", "profiled"):
        assert getattr(found.identified["mu"], kind).upper == pytest.approx(d_free, rel=1e-3)
        assert getattr(found.identified["t_p"], kind).upper == pytest.approx(t_free, rel=1e-3)
    assert found.parameters["L"].one_at_a_time.upper == pytest.approx(d_free, rel=1e-3)


def test_presets_replace_the_prior_of_c_t():
    table = {
        "exact": {"theory.c_T": (-1.0, 0.0)},
        "wide": {"theory.c_T": (-2.0, 0.5)},
        "elsewhere": {"theory.m_s_gev": (1.0, 0.1)},
    }
    found = limits(moment_and_tensor(), presets=table, parameters=["T"])

    def height(t, c):
        dipole, tensor = 4.0 * (c * t) ** 2, 5.0 * t**2
        return 2.0 * (dipole - 100.0 * np.log1p(dipole / 100.0)) + 2.0 * (tensor - 40.0 * np.log1p(tensor / 40.0))

    def wide(t):
        at = minimize_scalar(lambda c: height(t, c) + ((c + 2.0) / 0.5) ** 2, bounds=(-6, 3), method="bounded")
        return at.fun - LEVEL

    exact = brentq(lambda t: height(t, -1.0) - LEVEL, 0.01, 20.0)
    assert set(found.presets) == {"exact", "wide"}
    assert found.presets["exact"]["T"].upper == pytest.approx(exact, rel=1e-3)
    assert found.presets["wide"]["T"].upper == pytest.approx(brentq(wide, 0.01, 20.0), rel=1e-3)


def test_exactly_flat_direction_is_open_with_its_reason():
    found = limits(three_for_two(), presets={})
    for name, other in (("L", "S"), ("S", "L")):
        interval = found.parameters[name].profiled
        assert interval.lower is None
        assert interval.upper is None
        assert interval.reason == f"flat direction: {other} compensates {name} exactly"
        assert interval.converged
    # T shifts the dipole too, but S or L take that up: its own bin bounds it
    assert found.parameters["T"].profiled.upper is not None
    assert found.parameters["S"].one_at_a_time.upper is not None
    assert found.identified["mu"].profiled.upper is not None


def test_a_coefficient_that_a_theory_input_can_switch_off_is_not_bounded_at_a_high_level():
    """d = c_T S alone, c_T -0.6 +- 0.3: c_T = 0 costs 4, so the profile never reaches 6.63 (99 %) but crosses 2.71 (90 %)."""
    lab = experiment([100], counts_of([100.0], [4.0]))
    likelihood = joint(lab, {"S": couplings(0.0)}, shifts={"S": 1.0}, c_t=dist.Normal(-0.6, 0.3))
    assert limits(likelihood, presets={}, parameters=["S"]).parameters["S"].profiled.upper is not None
    interval = limits(likelihood, cl=0.99, presets={}, parameters=["S"]).parameters["S"].profiled
    assert interval.lower is None
    assert interval.upper is None
    assert "not bounded above within" in interval.reason
    assert "stays below 4" in interval.reason


def test_a_theory_input_with_a_uniform_prior_stays_in_its_range():
    """d = c_T S with c_T anywhere in [-3, -2]: the weakest limit is that of c_T = -2."""
    lab = experiment([100], counts_of([100.0], [4.0]))
    likelihood = joint(lab, {"S": couplings(0.0)}, shifts={"S": 1.0}, c_t=dist.Uniform(-3.0, -2.0))
    found = limits(likelihood, presets={}, parameters=["S"])

    def height(t):
        dipole = 4.0 * (2.0 * t) ** 2
        return 2.0 * (dipole - 100.0 * np.log1p(dipole / 100.0))

    assert found.converged
    assert found.parameters["S"].profiled.upper == pytest.approx(brentq(lambda t: height(t) - LEVEL, 0.01, 20.0), rel=1e-3)
    flat = profile(likelihood, "theory.c_T", low=-2.9, high=-2.1, points=3)
    assert np.all(flat.converged)
    np.testing.assert_allclose(flat.points["theory.c_T"], [-2.9, -2.5, -2.1], atol=1e-9)
    np.testing.assert_allclose(flat.delta_chi2, 0.0, atol=1e-6)


def test_marginalised_intervals_and_contraction():
    likelihood = one_bin(90)
    rng = np.random.default_rng(0)
    draws = {"L": rng.normal(0.0, 2.0, size=(4, 5000)), "mu": np.abs(rng.normal(0.0, 2.0, size=(4, 5000)))}
    found = limits(likelihood, presets={}, posterior=draws)
    interval = found.parameters["L"].marginalised
    # normal quantiles; the coefficient's prior has width 10
    assert interval.lower == pytest.approx(-2.0 * 1.6449, abs=0.1)
    assert interval.upper == pytest.approx(2.0 * 1.6449, abs=0.1)
    assert found.parameters["L"].contraction == pytest.approx(1.0 - 0.04, abs=0.01)
    mu = found.identified["mu"].marginalised
    assert mu.lower == 0.0
    assert mu.upper == pytest.approx(2.0 * 1.6449, abs=0.1)
    # prior of mu = |L|: a half-normal of width 10
    sd = np.sqrt(1.0 - 2.0 / np.pi)
    assert found.identified["mu"].contraction == pytest.approx(1.0 - (2.0 * sd / (10.0 * sd)) ** 2, abs=0.01)
    assert found.identified["t_p"].marginalised is None


def test_marginalised_is_equal_tailed():
    draws = np.linspace(0.0, 1.0, 100_001)
    interval = marginalised(draws**3, 0.9, positive=False)
    assert (interval.lower, interval.upper) == (pytest.approx(0.05**3, rel=1e-3), pytest.approx(0.95**3, rel=1e-3))
    assert marginalised(draws**3, 0.9, positive=True).upper == pytest.approx(0.9**3, rel=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cl": 90}, "limits: cl: 90 is out of range (allowed: above 0 and below 1); did you mean 0.9?"),
        ({"cl": 0}, "limits: cl: 0 is out of range"),
        ({"cl": 1.0}, "limits: cl: 1 is out of range"),
        ({"cl": np.nan}, "limits: cl: expected a finite number, got nan"),
        ({"cl": "0.9"}, "limits: cl: expected a number, got '0.9'"),
        ({"cl": 1e-300}, "limits: cl: 1e-300 is too small to be resolved"),
        ({"parameters": ["LL"]}, "limits: parameters: unknown coefficient or identified quantity 'LL'; did you mean 'L'?"),
        ({"parameters": ["lab.norm"]}, "limits: parameters: unknown coefficient or identified quantity 'lab.norm'"),
        ({"parameters": "L"}, "limits: parameters is a list of names, such as ['L']"),
        ({"starts": 0}, "limits: starts: 0 is out of range (allowed: at least 1)"),
        ({"seed": -1}, "limits: seed: -1 is out of range"),
        ({"presets": {"p": {"theory.c_X": (1, 1)}}}, "limits: presets['p']: unknown theory input 'theory.c_X'; did you mean"),
        ({"presets": {"p": {"theory.c_T": 1.0}}}, "limits: presets['p']['theory.c_T']: expected (value, uncertainty), got 1.0"),
        ({"presets": {"p": {"theory.c_T": (np.nan, 1)}}}, "expected a finite number, got nan"),
        ({"presets": {"p": {"theory.c_T": (1, -1)}}}, "the uncertainty of 1 must be >= 0, got -1"),
        ({"posterior": {"L": np.array([[1.0, np.nan]])}}, "posterior of L: expected at least two draws, all of them finite"),
        ({"posterior": {"L": np.zeros((0, 0))}}, "posterior of L: expected at least two draws"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(UserInputError) as caught:
        limits(one_bin(90), **arguments)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_likelihood():
    from nmmfit.run import parse_run

    with pytest.raises(UserInputError, match=r"expected a JointLikelihood, got Run; call its \.joint\(\)"):
        limits(parse_run("experiments = []"))
    with pytest.raises(UserInputError, match="expected a JointLikelihood, got NoneType"):
        limits(None)


def test_json_and_progress():
    seen = []
    found = limits(one_bin(90), presets={}, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1]
    written = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert written["cl"] == 0.9
    assert set(written["parameters"]["L"]) >= {"one_at_a_time", "profiled", "marginalised", "unit", "contraction"}
    assert set(written["parameters"]["L"]["profiled"]) >= {"lower", "upper", "reason"}
    assert "1.645" not in written["conventions"]["profiled"]
    assert "2.706" in written["conventions"]["profiled"]


def test_a_gaussian_statistic():
    """y ~ N(100 + 4 L^2, 5) with y = 100: delta chi2 = (4 L^2 / 5)^2."""
    lab = experiment([100.0], counts_of([100.0], [4.0]), distribution=lambda mean: dist.Normal(mean, 5.0))
    found = limits(joint(lab, {"L": couplings(1.0)}), presets={}, parameters=["L"])
    assert found.parameters["L"].profiled.upper == pytest.approx(np.sqrt(5.0 * np.sqrt(LEVEL) / 4.0), rel=1e-3)


FAINT = 1e-9


@cache
def seen_far_outside_the_priors():
    """Two measured numbers of width 1: 4 d^2, d = L + c_T T, and 1e-9 T^2, which priors of width 10 leave at 1e-7."""
    lab = experiment(
        [0.0, 0.0], counts_of([0.0, 0.0], [4.0, 0.0], tensor_pp=[0.0, FAINT]), distribution=lambda n: dist.Normal(n, 1.0)
    )
    return joint(lab, {"L": couplings(1.0), "T": couplings(0.0, 1.0)}, shifts={"T": 1.0}, c_t=PRIOR)


def test_ends_thousands_of_prior_widths_away():
    """Along d = 0 only T^2 is seen: closed form for T, and for L by scipy, with c_T drawn to where L needs least T."""
    found = limits(seen_far_outside_the_priors(), presets={})
    assert found.converged, found.failed
    end = (LEVEL**0.5 / FAINT) ** 0.5
    tensor = found.parameters["T"].profiled
    assert (tensor.lower, tensor.upper) == (pytest.approx(-end, rel=1e-3), pytest.approx(end, rel=1e-3))

    def height(value):
        def at(c_t):
            return (FAINT * (value / c_t) ** 2) ** 2 + ((c_t - C_T[0]) / C_T[1]) ** 2

        return minimize_scalar(at, bounds=(-6.0, -1.0), method="bounded", options={"xatol": 1e-12}).fun

    far = brentq(lambda v: height(v) - LEVEL, end, 10 * end, rtol=1e-10)
    dipole = found.parameters["L"].profiled
    assert (dipole.lower, dipole.upper) == (pytest.approx(-far, rel=1e-3), pytest.approx(far, rel=1e-3))
