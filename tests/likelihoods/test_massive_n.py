"""Experiments with a massive N: limits, thresholds, what stays massless, and rates folded by hand."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad

import nmmfit
from likelihoods import borexino_phase2, coherent_csi_2021
from likelihoods.coherent_csi_2021.model import fluence_per_cm2, nuclei_of_each_kind
from nmmfit.errors import UserInputError
from nmmfit.experiment import BinnedExperiment, TheoryChoices
from nmmfit.inference.coordinates import amplitude_coordinates
from nmmfit.inference.joint import JointLikelihood
from nmmfit.physics.form_factors import helm
from nmmfit.physics.forms import TargetCouplings
from nmmfit.physics.nuclei import nucleus
from nmmfit.physics.sns import PROMPT_ENERGY_MEV
from nmmfit.shapes import Array

MODULES: dict[str, Any] = {"coherent_csi_2021": coherent_csi_2021, "borexino_phase2": borexino_phase2}
UNIVERSAL = np.hstack([np.eye(3), np.zeros((3, 3))]).astype(complex)
MAJORANA = np.zeros((3, 6), dtype=complex)
MAJORANA[0, 4], MAJORANA[1, 3], MAJORANA[1, 5], MAJORANA[2, 4] = 1.0, -1.0, 0.5j, -0.5j


def built(name: str, m: float | tuple[float, float]) -> BinnedExperiment:
    return MODULES[name].build(TheoryChoices(m_n_mev=m))


def couplings(dipole: np.ndarray, size: float = 1e-8) -> TargetCouplings:
    """Dipole, and in the same places scalars and tensors that make about as many events."""
    d = jnp.asarray(dipole * size)
    return replace(
        TargetCouplings.zero(),
        dipole=d,
        tensor_p=30.0 * d,
        scalar_n=10.0 * d,
        electron_tensor=100.0 * d,
        electron_s1=200.0 * d,
        electron_s2=-100.0 * d,
    )


def evaluator(experiment: BinnedExperiment) -> Any:
    """(couplings, m) -> what they add to the first channel."""
    pulls = experiment.nominal_pulls()

    def counts(c: TargetCouplings, m: Array) -> Array:
        channel, nothing = experiment.channels[0], TargetCouplings.zero()
        return channel.expected(experiment.forms(c, m), pulls) - channel.expected(experiment.forms(nothing, m), pulls)

    return jax.jit(counts)


@pytest.mark.parametrize("name", MODULES)
def test_a_tiny_mass_changes_nothing(name: str) -> None:
    """m -> 0 against the massless path, whose quadrature is another: every bin to 1e-6 of the largest."""
    massless = np.asarray(evaluator(built(name, 0.0))(couplings(UNIVERSAL + MAJORANA), 0.0))
    tiny = np.asarray(evaluator(built(name, 1e-4))(couplings(UNIVERSAL + MAJORANA), 1e-4))
    np.testing.assert_allclose(tiny, massless, rtol=0, atol=1e-6 * np.abs(massless).max())
    assert massless.sum() > 1.0


@pytest.mark.parametrize(("name", "above"), [("coherent_csi_2021", 53.0), ("borexino_phase2", 4.0)])
def test_above_every_threshold_only_massless_final_states_are_left(name: str, above: float) -> None:
    """N gives exactly nothing; light neutrinos (broken lepton number) are what they are without mass."""
    heavy = built(name, above)
    counts = evaluator(heavy)
    # of thousands of events: what the differences of sums leave by rounding
    np.testing.assert_allclose(counts(couplings(UNIVERSAL), above), 0.0, rtol=0, atol=1e-10)
    light = np.asarray(evaluator(built(name, 0.0))(couplings(MAJORANA), 0.0))
    np.testing.assert_allclose(counts(couplings(UNIVERSAL + MAJORANA), above), light, rtol=0, atol=1e-7 * light.max())
    assert "above every threshold" in heavy.choices["m_N"]
    assert heavy.largest_m_n_mev is not None
    assert heavy.largest_m_n_mev < above


def test_a_light_experiment_has_plain_names_and_no_choice_of_mass() -> None:
    massless = built("coherent_csi_2021", 0.0)
    assert "m_N" not in massless.choices
    assert not massless.is_massive
    names = {n for c in massless.channels[0].components for f in c.factors if f.forms for n in f.forms}
    assert not any(n.startswith(("heavy_", "light_")) for n in names)


@pytest.mark.parametrize("m", [5.0, 20.0, 29.5])
def test_recoils_of_the_prompt_line_by_hand(m: float) -> None:
    """Dipole counts of nu_mu on caesium before efficiency, summed over reconstructed energies, from the closed cross section.

    The Gamma smearing has unit integral, but only the window is seen: its share is integrated with scipy's distribution.
    """
    from scipy.stats import gamma

    experiment = built("coherent_csi_2021", m)
    caesium = nucleus("Cs133")
    mass, e, d = caesium.mass_mev, PROMPT_ENERGY_MEV, 1e-7
    component = next(c for c in experiment.channels[0].components if c.name == "cevns_prompt_nu_mu_cs133")
    factor = component.factors[0]
    pulls = experiment.nominal_pulls()
    forms = [
        experiment.forms(c, m)
        for c in (replace(TargetCouplings.zero(), dipole=jnp.asarray(d * UNIVERSAL)), TargetCouplings.zero())
    ]
    fine = np.asarray(factor.function(forms[0], pulls)) - np.asarray(factor.function(forms[1], pulls))
    assert factor.weighting is not None
    got = float(np.sum(factor.weighting.matrix @ fine))

    root = np.sqrt((2 * mass * e - m**2) ** 2 - 4 * mass**2 * m**2)
    ends = [(2 * mass * e**2 - m**2 * (mass + e) + s * e * root) / (2 * mass * (mass + 2 * e)) for s in (-1, 1)]
    quenching = experiment.channels[0].components[0].factors[0].function.__closure__
    assert quenching is not None
    response = next(cell.cell_contents for cell in quenching if hasattr(cell.cell_contents, "quenching"))

    def integrand(log_t: float) -> float:
        t = np.exp(log_t)
        bracket = 1 / t - 1 / e - m**2 / (2 * e * t * mass) * (1 - t / (2 * e) + mass / (2 * e))
        bracket += m**4 * (t - mass) / (8 * e**2 * t**2 * mass**2)
        f = float(helm(np.sqrt(2 * mass * t), caesium.r_p_fm))
        sigma = 4 * d**2 / 137.035999177 * 55**2 * f**2 * bracket * 0.3893793721e-27
        light = 1e3 * sum(c * t ** (k + 1) for k, c in enumerate(response.quenching))
        mean, shape = light / 0.0749, 1 + 9.56 * light
        seen = gamma.cdf(60.0, shape, scale=mean / shape) - gamma.cdf(0.0, shape, scale=mean / shape)
        return t * sigma * seen

    # what lies below 0.1 keV is not kept, as the nine photoelectrons of the efficiency's onset are out of its reach
    wanted = quad(integrand, np.log(max(ends[0], 1e-4)), np.log(ends[1]), epsrel=1e-9, limit=400)[0]
    wanted *= fluence_per_cm2() * nuclei_of_each_kind()
    # the sum over nodes integrates a density that is steep near 0 to a few per mille
    assert got == pytest.approx(wanted, rel=1e-2, abs=0)


# -- a mass that floats -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def floated() -> Any:
    return evaluator(built("coherent_csi_2021", (0.0, 60.0)))


@pytest.mark.parametrize("m", [0.3, 29.77, 45.1])
def test_a_floated_mass_is_the_fixed_one_at_every_value(floated: Any, m: float) -> None:
    """Interpolation in the mass: every bin to 1e-6 of the largest."""
    fixed = np.asarray(evaluator(built("coherent_csi_2021", m))(couplings(UNIVERSAL + MAJORANA), m))
    found = np.asarray(floated(couplings(UNIVERSAL + MAJORANA), m))
    np.testing.assert_allclose(found, fixed, rtol=0, atol=1e-6 * np.abs(fixed).max())


@pytest.mark.slow
def test_a_floated_mass_has_derivatives(floated: Any) -> None:
    def total(m: Array) -> Array:
        return jnp.sum(floated(couplings(UNIVERSAL), m))

    for m in (10.0, 29.0, 40.0):
        slope = (float(total(m + 1e-4)) - float(total(m - 1e-4))) / 2e-4
        assert float(jax.grad(total)(m)) == pytest.approx(slope, rel=1e-5, abs=0)
    first, second = jax.grad(total), jax.jit(jax.hessian(total))
    for m in (0.0, PROMPT_ENERGY_MEV, 29.7885, 52.8, 60.0):
        assert np.isfinite(float(first(m)))
        assert np.isfinite(float(second(m)))


# -- run files --------------------------------------------------------------------------------------------------------------

RUN = """
scale_gev = 2.0
experiments = ["coherent_csi_2021"]
[parameters.L_N]
coefficients = { nuNgamma_11 = 1, nuNgamma_22 = 1, nuNgamma_33 = 1 }
prior = { normal = [0.0, 1e-6] }
[theory]
c_T = -2.9
c_T_s = -3.6
"""


def joint(*overrides: str, method: str = "direct") -> JointLikelihood:
    return nmmfit.parse_run(RUN, overrides=overrides).joint(method)


def test_the_run_file_sets_the_mass() -> None:
    """A heavier N makes fewer events; one too heavy leaves the Standard Model, and says so."""
    point = {"L_N": 5e-7}
    masses = (0.0, 10.0, 25.0, 50.0, 60.0)
    excess = []
    for m in masses:
        found = joint(f"theory.m_N_mev={m}")
        name = "coherent_csi_2021.coincidence"
        excess.append(float(np.sum(found.expected(point)[name]) - np.sum(found.expected({})[name])))
    assert excess[-1] == 0.0
    assert np.all(np.diff(excess) < 0.0)


@pytest.mark.slow
def test_sampled_coordinates_follow_the_mass() -> None:
    """A unit is a coupling that the data can just tell at each mass, or the prior's; a bijection with its determinant."""
    found = joint("theory.m_N_mev={ uniform = [0.1, 60.0] }")
    coordinates = amplitude_coordinates(found)
    coupling, mass = found.names.index("L_N"), found.names.index("theory.m_N_mev")
    # 10 and 40 MeV lie between the masses of the table, 55 MeV above every threshold.
    for m in (10.0, 40.0, 55.0):
        z = np.array(coordinates.from_parameters(jnp.asarray(found.start).at[mass].set(m)))
        z[coupling] = 1e-3
        unit = 1e3 * float(coordinates.to_parameters(jnp.asarray(z))[0][coupling])
        nothing, some = (found.expected({"L_N": value, "theory.m_N_mev": m}) for value in (0.0, unit))
        told = sum(float(np.sum((some[c] - nothing[c]) ** 2 / nothing[c])) for c in nothing)
        # (told^-1/2 + prior^-2)^-1/2 in place of the unit: told / unit^4 is that of the counts alone
        alone = np.inf if told == 0.0 else unit * told**-0.25
        assert unit == pytest.approx((alone**-2.0 + 1e-6**-2.0) ** -0.5, rel=0.02)
    z = jnp.asarray(np.random.default_rng(3).normal(size=len(found.names)) * 0.7)
    x, log_det = coordinates.to_parameters(z)
    np.testing.assert_allclose(np.asarray(coordinates.from_parameters(x)), np.asarray(z), rtol=1e-7, atol=1e-7)
    jacobian = jax.jacfwd(lambda y: coordinates.to_parameters(y)[0])(z)
    assert float(log_det) == pytest.approx(float(np.linalg.slogdet(np.asarray(jacobian))[1]), rel=1e-9)


def test_a_mass_above_every_threshold_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="nmmfit"):
        joint("theory.m_N_mev=60")
    assert "60 MeV, above every threshold here (52.8" in caplog.text


@pytest.mark.slow
def test_a_floated_mass_is_a_theory_input_evaluated_directly(caplog: pytest.LogCaptureFixture) -> None:
    """The joint likelihood at a floated mass is that at the fixed one; gradients reach the mass."""
    with caplog.at_level(logging.WARNING, logger="nmmfit"):
        found = joint("theory.m_N_mev={uniform=[1.0, 60.0]}", method="templates")
    assert "evaluated directly" in caplog.text
    assert found.method == "direct"
    parameter = next(p for p in found.parameters if p.name == "theory.m_N_mev")
    assert (parameter.kind, parameter.unit) == ("theory", "MeV")
    point = {"L_N": 5e-7, "coherent_csi_2021.qf0": 0.7, "sns.flux": -0.3}
    fixed = float(joint("theory.m_N_mev=12.5").log_likelihood(point))
    assert float(found.log_likelihood(point | {"theory.m_N_mev": 12.5})) == pytest.approx(fixed, rel=0, abs=1e-4)
    where = found.names.index("theory.m_N_mev")
    nll = jax.jit(found.nll_vector)
    at = np.asarray(found.pack(point | {"theory.m_N_mev": 12.5}))
    step = np.eye(len(at))[where] * 1e-3
    slope = (float(nll(at + step)) - float(nll(at - step))) / 2e-3
    assert float(jax.jit(jax.grad(found.nll_vector))(at)[where]) == pytest.approx(slope, rel=1e-5, abs=0)


@pytest.mark.parametrize("name", ["borexino_phase2_limit", "coherent_csi_2017_limit"])
def test_published_limits_know_massless_neutrinos_only(name: str) -> None:
    with pytest.raises(UserInputError, match=rf"theory.m_N_mev: '{name}' is made for massless right-handed neutrinos"):
        joint(f"experiments=['{name}']", "theory.m_N_mev=2")


@pytest.mark.slow
def test_templates_of_a_massive_n_agree_with_the_direct_evaluation() -> None:
    """All pulls moved together, three flavours with their own coefficients."""
    flavours = [f"parameters.L_{p}={{coefficients={{nuNgamma_{p}{p}=1}},prior={{normal=[0.0,1e-6]}}}}" for p in (1, 2)]
    changes = ("theory.m_N_mev=21", "parameters.L_N.coefficients={nuNgamma_33=1}", *flavours)
    fast, direct = joint(*changes, method="templates"), joint(*changes)
    random = np.random.default_rng(7)
    points = {p.name: random.uniform(-2.5, 2.5, 20) * (5e-7 if p.kind == "coefficient" else p.scale) for p in direct.parameters}
    np.testing.assert_allclose(fast.log_likelihood(points), direct.log_likelihood(points), rtol=0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("m", [0.2, 0.297, 0.55, 0.9, 2.0, 3.7])
def test_a_floated_mass_in_borexino(floated_borexino: Any, m: float) -> None:
    """Fewer nodes for the flavour of 8B and hep than a fixed mass has."""
    fixed = np.asarray(evaluator(built("borexino_phase2", m))(couplings(UNIVERSAL + MAJORANA), m))
    found = np.asarray(floated_borexino(couplings(UNIVERSAL + MAJORANA), m))
    np.testing.assert_allclose(found, fixed, rtol=0, atol=1e-5 * np.abs(fixed).max())


@pytest.fixture(scope="module")
def floated_borexino() -> Any:
    return evaluator(built("borexino_phase2", (0.0, 10.0)))
