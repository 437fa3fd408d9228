"""Effective moments of a matrix: published probabilities, `evolve`, the founding papers' identities, batches, wrong input."""

from __future__ import annotations

import doctest
import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from derivative_checks import assert_derivatives

import nmmfit
from nmmfit.errors import UserInputError
from nmmfit.moments import MOMENTS, effective_moments
from nmmfit.physics.dipole_matrix import majorana_matrix, matrix_from_coefficients
from nmmfit.physics.oscillation import OscillationParameters, oscillation_preset
from nmmfit.physics.solar import solar_sources

# e(0) / e(2 GeV): L_gamma / e does not run
TO_ZERO_MOMENTUM = np.sqrt(133.3037279 / 137.035999177)
NUFIT = oscillation_preset("nufit60_nosk")


def random_matrix(seed, columns=3):
    r = np.random.default_rng(seed)
    return (r.normal(size=(3, columns)) + 1j * r.normal(size=(3, columns))) * 1e-11


def random_majorana(seed):
    mu = random_matrix(seed)
    return mu - mu.T


def mixing(p: OscillationParameters, alpha1=0.0, alpha2=0.0):
    """R23 diag(1, 1, e^{i delta}) R13 diag(1, 1, e^{-i delta}) R12 with Majorana phases on the right."""

    def rotation(i, j, s_squared):
        r = np.eye(3)
        r[i, i] = r[j, j] = np.sqrt(1 - s_squared)
        r[i, j] = np.sqrt(s_squared)
        r[j, i] = -r[i, j]
        return r

    phase = np.diag([1.0, 1.0, np.exp(1j * p.delta_cp)])
    u = rotation(1, 2, p.s23sq) @ phase @ rotation(0, 2, p.s13sq) @ phase.conj() @ rotation(0, 1, p.s12sq)
    return u @ np.diag(np.exp(0.5j * np.array([alpha1, alpha2, 0.0])))


def solar_by_hand(mu, u, probabilities):
    """sum_k P_k sum_r |sum_p conj(mu_pr) U_pk|^2, term by term."""
    amplitude = [[sum(np.conj(mu[p, r]) * u[p, k] for p in range(3)) for r in range(mu.shape[1])] for k in range(3)]
    return float(sum(probabilities[k] * sum(abs(a) ** 2 for a in amplitude[k]) for k in range(3)))


def test_public_name():
    assert nmmfit.effective_moments is effective_moments
    found = nmmfit.effective_moments(random_matrix(0), kind="dirac")
    assert tuple(found) == MOMENTS
    assert all(x.shape == () and x.dtype == jnp.float64 for x in found.values())


@pytest.mark.parametrize(
    ("component", "energy_mev", "golden"), [("pp", 0.267, (0.664, 0.314, 0.022)), ("be7", 0.862, (0.616, 0.362, 0.022))]
)
@pytest.mark.parametrize("solar", ["density_matrix", "mass_states"])
def test_solar_weights_of_mass_states(component, energy_mev, golden, solar):
    """A matrix with the one row of mass state k has mu_sun^2 = P_ek; numbers of an independent integration, NuFIT 6.0, GS98."""
    rows = np.einsum("ki,j->kij", np.eye(3), [3e-11, 0, 4e-11])
    choices = {"component": component, "energy_mev": energy_mev, "oscillation": NUFIT, "solar": solar}
    found = effective_moments(rows, "dirac", basis="mass", **choices)["solar"]
    np.testing.assert_allclose((found / 5e-11) ** 2, golden, atol=1.5e-3)


@pytest.mark.parametrize("kind", ["dirac", "majorana"])
def test_generic_matrix_by_hand(kind):
    mu = random_matrix(1) if kind == "dirac" else random_majorana(1)
    p = np.array([float(x) ** 2 for x in _weights()])
    u = mixing(OscillationParameters())
    found = effective_moments(mu, kind)
    assert float(found["reactor_e"]) == pytest.approx(np.sqrt(sum(abs(mu[0]) ** 2)), rel=1e-12, abs=0)
    assert float(found["sns_e"]) == pytest.approx(np.sqrt(sum(abs(mu[0]) ** 2)), rel=1e-12, abs=0)
    assert float(found["sns_mu"]) == pytest.approx(np.sqrt(sum(abs(mu[1]) ** 2)), rel=1e-12, abs=0)
    pairs = [(i, j) for i in range(3) for j in range(3) if kind == "dirac" or i < j]
    assert float(found["plasmon"]) == pytest.approx(np.sqrt(sum(abs(mu[i, j]) ** 2 for i, j in pairs)), rel=1e-12, abs=0)
    assert float(found["solar"]) ** 2 == pytest.approx(solar_by_hand(mu, u, p), rel=1e-10, abs=0)


def _weights():
    return effective_moments(np.einsum("ki,j->kij", np.eye(3), [1.0, 0, 0]), "dirac", basis="mass")["solar"]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("dirac", {"nuNgamma_11": 1e-9, "nuNgamma_21": -2e-9 + 1e-9j, "nuNgamma_32": 2e-9j}),
        ("majorana", {"nugamma_12": 1e-9 + 2e-9j, "nugamma_31": 1e-9j, "nugamma_23": 2e-9}),
    ],
)
def test_same_as_evolve(kind, values):
    evolved = nmmfit.evolve(values, 2.0, 2.0).moments_mub
    found = effective_moments(matrix_from_coefficients(values, kind) * TO_ZERO_MOMENTUM, kind)
    for name in MOMENTS:
        assert float(found[name]) == pytest.approx(evolved[name], rel=1e-6, abs=0)


@pytest.mark.parametrize("kind", ["dirac", "majorana"])
def test_bases_and_methods_agree(kind):
    """The matrix of one basis, turned by hand, has the same moments in the other; phases of Majorana neutrinos included."""
    mu = random_matrix(2) if kind == "dirac" else random_majorana(2)
    phases = {} if kind == "dirac" else {"alpha1": 0.7, "alpha2": -2.1}
    u = mixing(OscillationParameters(), *phases.values())
    mass = u.conj().T @ mu @ (np.eye(3) if kind == "dirac" else u.conj())
    reference = effective_moments(mu, kind)
    for solar in ("density_matrix", "mass_states"):
        for matrix, basis in ((mu, "flavour"), (mass, "mass")):
            found = effective_moments(matrix, kind, basis=basis, solar=solar, **phases)
            for name in MOMENTS:
                assert float(found[name]) == pytest.approx(float(reference[name]), rel=1e-11, abs=0)


def test_majorana_phases_matter_for_the_reactor_only():
    mass = random_majorana(3)
    one, other = (effective_moments(mass, "majorana", basis="mass", alpha1=a) for a in (0.0, 2.0))
    for name in ("solar", "plasmon"):
        assert float(one[name]) == pytest.approx(float(other[name]), rel=1e-12, abs=0)
    assert abs(float(one["reactor_e"] / other["reactor_e"]) - 1) > 1e-2


def test_identity_of_the_founding_paper_is_sqrt_2_too_small():
    """arXiv:2206.13122, eq. (3.7), for three transition moments of one size between mass states, whatever their phases."""
    phases = np.exp(1j * np.array([0.4, 2.0, -1.0]))
    mu = majorana_matrix(4e-11 * phases)
    exact, seed = (effective_moments(mu, "majorana", basis="mass", solar=s)["solar"] for s in ("density_matrix", "seed_faithful"))
    assert float(seed) == pytest.approx(4e-11, rel=1e-14, abs=0)
    assert float(exact / seed) == pytest.approx(np.sqrt(2.0), rel=1e-13, abs=0)


def test_identity_of_the_founding_paper_holds_for_universal_dirac_moments():
    exact, seed = (effective_moments(2e-11j * np.eye(3), "dirac", solar=s)["solar"] for s in ("mass_states", "seed_faithful"))
    assert float(exact) == pytest.approx(2e-11, rel=1e-13, abs=0)
    assert float(seed) == pytest.approx(2e-11, rel=1e-13, abs=0)


def test_plasmon_counting():
    mu = random_majorana(4)
    one, other = (effective_moments(mu, "majorana", plasmon=c)["plasmon"] for c in ("pairs", "entries"))
    assert float(other / one) == pytest.approx(np.sqrt(2.0), rel=1e-13, abs=0)


def test_mean_over_a_continuous_spectrum():
    mu = random_matrix(5)
    density = np.asarray(solar_sources()["b8"].mean_density())
    expected = np.trace(density @ mu @ mu.conj().T).real
    assert float(effective_moments(mu, "dirac", component="b8")["solar"]) ** 2 == pytest.approx(expected, rel=1e-11, abs=0)


def test_matter_in_the_sun_turns_8b_into_the_second_mass_state():
    rows = np.einsum("ki,j->kij", np.eye(3), [1e-11, 0, 0])
    found = effective_moments(rows, "dirac", basis="mass", component="b8", energy_mev=[0.0, 15.0])["solar"] ** 2 * 1e22
    p = OscillationParameters()
    vacuum = np.array([(1 - p.s12sq) * (1 - p.s13sq), p.s12sq * (1 - p.s13sq), p.s13sq])
    np.testing.assert_allclose(found[:, 0], vacuum, rtol=1e-12)
    assert found[1, 1] > 0.9
    np.testing.assert_allclose(found.sum(axis=0), 1.0, rtol=1e-12)


def test_batches_and_axes_of_energies():
    mus = np.stack([random_matrix(6, 2), random_matrix(7, 2)])
    found = effective_moments(mus, "dirac", energy_mev=[0.3, 0.8, 1.2])
    assert (found["reactor_e"].shape, found["solar"].shape) == ((2,), (2, 3))
    alone = effective_moments(mus[1], "dirac", energy_mev=0.8)
    assert float(found["solar"][1, 1]) == pytest.approx(float(alone["solar"]), rel=1e-13, abs=0)
    for mapped in (jax.vmap(lambda m: effective_moments(m, "dirac")), jax.jit(lambda m: effective_moments(m, "dirac"))):
        np.testing.assert_allclose(mapped(mus)["solar"], effective_moments(mus, "dirac")["solar"], rtol=1e-13)
    seed = effective_moments(np.eye(3)[None] * np.array([1.0, 2.0])[:, None, None], "dirac", solar="seed_faithful")
    np.testing.assert_allclose(seed["solar"], [1.0, 2.0], rtol=1e-14)


def test_derivatives():
    mu = jnp.asarray(random_majorana(8)) * 1e11

    def solar(x):
        p = OscillationParameters(s12sq=x[0], s13sq=x[1], delta_cp=x[2], dm21=7.48e-5 * x[3])
        return effective_moments(mu * (1 + x[4]) + 0.0j, "majorana", oscillation=p, energy_mev=x[5])["solar"]

    assert_derivatives(solar, [0.3, 0.02, 3.0, 1.0, 0.2, 0.9], rtol=1e-5)


@pytest.mark.parametrize("basis", ["flavour", "mass"])
@pytest.mark.parametrize("kind", ["dirac", "majorana"])
def test_derivatives_of_every_moment(kind, basis):
    """In the entries of the matrix, mixing parameters, Majorana phases and the energy, to second order."""
    start = (random_matrix(10) if kind == "dirac" else random_majorana(10)) * 1e11
    entries = [(0, 1), (0, 2), (1, 2)]

    def seen(x):
        mu = jnp.asarray(start)
        for k, (p, r) in enumerate(entries):
            z = x[2 * k] + 1j * x[2 * k + 1]
            mu = mu.at[p, r].set(z)
            mu = mu.at[r, p].set(-z) if kind == "majorana" else mu
        mixing_parameters = OscillationParameters(s12sq=x[6], s13sq=x[7], s23sq=x[8], delta_cp=x[9], dm21=7.48e-5 * x[10])
        phases = {"alpha1": x[12], "alpha2": x[13]} if kind == "majorana" else {}
        found = effective_moments(mu, kind, basis=basis, oscillation=mixing_parameters, energy_mev=x[11], **phases)
        return jnp.stack([found[name] for name in MOMENTS])

    point = [0.4, -0.3, 1.1, 0.2, -0.7, 0.9, 0.3, 0.02, 0.5, 3.0, 1.0, 0.9, 0.4, -1.3]
    assert_derivatives(seen, point, rtol=1e-5, atol=1e-6)


def test_vmap_over_matrices_mixing_and_energies():
    mus = jnp.asarray(np.stack([random_majorana(seed) for seed in (11, 12, 13)]))
    s12sq, energies, alpha = jnp.asarray([0.29, 0.30, 0.32]), jnp.asarray([0.4, 2.0, 9.0]), jnp.asarray([0.1, 0.2, 0.3])

    def seen(mu, s, e, a):
        found = effective_moments(
            mu, "majorana", basis="mass", oscillation=OscillationParameters(s12sq=s), energy_mev=e, alpha1=a
        )
        return jnp.stack([found[name] for name in MOMENTS])

    mapped = jax.vmap(seen)(mus, s12sq, energies, alpha)
    for k in range(3):
        np.testing.assert_allclose(mapped[k], seen(mus[k], float(s12sq[k]), float(energies[k]), float(alpha[k])), rtol=1e-12)


def test_gradient_at_zero():
    for name in MOMENTS:
        slope = jax.grad(lambda x, n=name: effective_moments(x * jnp.asarray(random_matrix(9)), "dirac")[n])(0.0)
        assert float(slope) == 0.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"matrix": np.eye(3), "kind": "majorana"}, "antisymmetric, got a symmetric part of 1"),
        ({"matrix": np.zeros((3, 2)), "kind": "majorana"}, "shape (..., 3, 3), got (3, 2)"),
        ({"matrix": [[1.0, np.nan, 0.0]] * 3}, "matrix: not finite (3 of 9 numbers)"),
        ({"kind": "Dirac"}, "unknown kind of neutrino 'Dirac'; did you mean 'dirac'?"),
        ({"basis": "flavor"}, "unknown basis 'flavor'; did you mean 'flavour'?"),
        ({"solar": "incoherent"}, "unknown solar method 'incoherent'"),
        ({"component": "be8"}, "unknown solar component 'be8'"),
        ({"solar_model": "gs98"}, "unknown solar model 'gs98'; did you mean 'b16_gs98'?"),
        ({"plasmon": "pair"}, "unknown counting of pairs 'pair'; did you mean 'pairs'?"),
        ({"energy_mev": -1.0}, "energy_mev: energies of solar neutrinos lie between 0 and 20 MeV, got -1"),
        ({"energy_mev": [0.862, 862.0]}, "lie between 0 and 20 MeV, got 0.862, 862"),
        ({"energy_mev": np.nan}, "lie between 0 and 20 MeV, got nan"),
        ({"matrix": 1e160 * np.eye(3)}, "matrix: moments must lie within +-1e+100 mu_B"),
        ({"alpha2": 0.5}, "alpha2 = 0.5: Dirac neutrinos have no Majorana phases"),
        ({"alpha2": np.nan}, "alpha2: expected a finite number, got nan"),
        ({"energy_mev": np.ones((2, 2))}, "energy_mev: expected a number or shape (energy,), got (2, 2)"),
        ({"energy_mev": "high"}, "energy_mev: expected numbers, got 'high'"),
        ({"oscillation": {"s12sq": 0.3}}, "oscillation: expected OscillationParameters, got dict"),
        ({"oscillation": OscillationParameters(s12sq=1.2)}, "s12sq = 1.2 is out of range (allowed: 0 to 1)"),
        ({"oscillation": OscillationParameters(s13sq=float("nan"))}, "oscillation: s13sq: expected a finite number, got nan"),
        ({"oscillation": OscillationParameters(dm21=0.0)}, "dm21 = 0 is out of range"),
        ({"matrix": np.zeros((3, 3)), "kind": "majorana", "alpha1": np.inf}, "alpha1: expected a finite number, got inf"),
        ({"matrix": np.diag([1, 1, 2.0]), "solar": "seed_faithful"}, "for a matrix proportional to the unit matrix"),
        ({"m_n_mev": 0.01}, "plasmon_mass_mev: a massive N needs the mass of the plasmon that decays, in MeV"),
        ({"m_n_mev": np.nan}, "m_n_mev: masses are finite and at least 0 MeV, got nan"),
        (
            {"m_n_mev": [0.1, 0.2], "plasmon_mass_mev": 1.0},
            "m_n_mev: expected a number or one for each of the 3 N, got shape (2,)",
        ),
        ({"m_n_mev": "heavy"}, "m_n_mev: expected numbers, got 'heavy'"),
        ({"m_n_mev": 0.01, "plasmon_mass_mev": [0.1]}, "plasmon_mass_mev: expected a number, got shape (1,)"),
        ({"m_n_mev": 0.01, "plasmon_mass_mev": -0.1}, "plasmon_mass_mev: expected finite and above 0 MeV, got -0.1"),
        ({"matrix": np.zeros((3, 3)), "kind": "majorana", "m_n_mev": 0.01}, "m_n_mev: Majorana moments are between the three"),
        ({"matrix": random_majorana(1), "kind": "majorana", "solar": "seed_faithful"}, "for three moments of one size"),
    ],
)
def test_wrong_input_is_refused_in_one_line(arguments, message):
    with pytest.raises(UserInputError) as caught:
        effective_moments(**({"matrix": np.eye(3), "kind": "dirac"} | arguments))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_docstring_example():
    failed, tried = doctest.testmod(importlib.import_module("nmmfit.moments"))
    assert (failed, tried > 0) == (0, True)
