"""Invisible decays of vector mesons: the width from traces, decay constants from measured widths, signs of both amplitudes."""

from __future__ import annotations

import dataclasses
import math

import jax.numpy as jnp
import numpy as np
import pytest
from dirac import E_CHARGE, METRIC, P_R, SIGMA_LOWER, bar, slash

from nmmfit.eft.couplings import QuarkCouplings
from nmmfit.physics.forms import MESONS, quadratic_forms
from nmmfit.physics.mesons import OMEGA, PHI, VectorMeson
from nmmfit.physics.nucleons import nucleon_charges, target_couplings

BOTH = pytest.mark.parametrize("meson", [OMEGA, PHI], ids=MESONS)


def quark_couplings(**values: tuple[int, int, complex]) -> QuarkCouplings:
    """One entry (p, r, value) of each matrix that is named."""
    nothing = {f.name: jnp.zeros((3, 6), dtype=complex) for f in dataclasses.fields(QuarkCouplings)}
    return QuarkCouplings(**nothing | {n: nothing[n].at[p, r].set(v) for n, (p, r, v) in values.items()})


def width_from_traces(m: float, amplitude: complex) -> float:
    """Gamma(V -> nu Nbar and nubar N) of i A (eps^mu p^nu - eps^nu p^mu) ubar sigma_mu_nu P_R v: spins summed, rest frame."""
    p = np.array([m, 0.0, 0.0, 0.0])
    k1, k2 = 0.5 * m * np.array([1.0, 0.0, 0.6, 0.8]), 0.5 * m * np.array([1.0, 0.0, -0.6, -0.8])
    total = 0.0
    for axis in (1, 2, 3):
        eps = np.eye(4)[axis]
        tensor = 1j * amplitude * (np.outer(eps, p) - np.outer(p, eps))
        vertex = np.einsum("mn,mnij->ij", tensor, SIGMA_LOWER) @ P_R
        total += np.trace(slash(k1) @ vertex @ slash(k2) @ bar(vertex)).real / 3.0
    return 2.0 * total / (16.0 * math.pi * m)  # both charge-conjugate channels


@BOTH
def test_width_is_that_of_the_traces(meson: VectorMeson) -> None:
    amplitude = 0.3 - 0.4j
    width = width_from_traces(meson.mass_gev.value, amplitude)
    assert meson.branching_fraction() * abs(amplitude) ** 2 == pytest.approx(width / meson.width_gev.value, rel=1e-12)


@pytest.mark.parametrize(("meson", "gamma_ee_kev"), [(OMEGA, 0.641), (PHI, 1.266)])
def test_decay_constants_are_those_of_the_electronic_widths(meson: VectorMeson, gamma_ee_kev: float) -> None:
    """Gamma_ee = 4 pi alpha^2 c^2 f^2 / (3 m); f is given to three digits."""
    alpha = E_CHARGE**2 / (4.0 * math.pi)
    gamma = 4.0 * math.pi * alpha**2 * (meson.charge * meson.f_gev.value) ** 2 / (3.0 * meson.mass_gev.value)
    assert gamma * 1e6 == pytest.approx(gamma_ee_kev, rel=5e-3)


def test_charges_and_quark_contents_belong_together() -> None:
    """The current sum_q Q_q qbar gamma q has matrix element sum_q Q_q kappa_q = c in units of the meson's own f m."""
    for meson in (OMEGA, PHI):
        assert np.dot([2 / 3, -1 / 3, -1 / 3], meson.quarks) == pytest.approx(meson.charge, rel=1e-12)
        assert np.linalg.norm(meson.quarks) == pytest.approx(1.0, rel=1e-12)


@BOTH
def test_photon_of_a_meson_solves_maxwells_equations(meson: VectorMeson) -> None:
    """L = - F^2 / 4 - e J A gives d_mu F^mu_nu = e J^nu; F = i x (eps^mu p^nu - eps^nu p^mu) is what L_gamma multiplies."""
    m, e = meson.mass_gev.value, E_CHARGE
    p, eps = np.array([m, 0.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0, 0.0])
    unit = 1j * (np.outer(eps, p) - np.outer(p, eps))
    divergence = np.einsum("m,mn->n", -1j * METRIC @ p, unit)
    current = e * meson.charge * meson.f_gev.value * m * eps
    x = (current @ eps) / (divergence @ eps)
    np.testing.assert_allclose(x * divergence, current, atol=1e-15)
    seen = meson.amplitude(quark_couplings(dipole=(2, 1, 1.0)))
    assert complex(seen[2, 1]) == pytest.approx(complex(x), rel=1e-12)
    assert int(np.sum(np.asarray(seen) != 0.0)) == 1


def test_mesons_make_most_of_the_condensate_with_its_sign() -> None:
    """Poles at zero momentum: sum_V kappa_q c f_T f / m against - 2 Q_q Lambda_1 (c_T = -2.9; -3.6 for s), rho like omega."""
    lambda_1 = 0.0923**2 / (4.0 * math.pi * 0.0923)
    pole = {meson.name: meson.f_t_gev.value * meson.f_gev.value / meson.mass_gev.value for meson in (OMEGA, PHI)}
    for charge, by_poles, c_t in (
        (2 / 3, pole["omega"] * (1 / 6 + 1 / 2), -2.9),
        (-1 / 3, pole["omega"] * (1 / 6 - 1 / 2), -2.9),
        (-1 / 3, pole["phi"] * PHI.charge, -3.6),
    ):
        assert 0.6 < by_poles / (-2.0 * charge * c_t * lambda_1) < 1.2


def test_tensors_of_light_quarks_in_omega_and_of_strange_ones_in_phi() -> None:
    quark = quark_couplings(tensor_u=(0, 1, 2.0), tensor_d=(0, 1, 1.0j), tensor_s=(1, 4, 3.0))
    omega, phi = np.asarray(OMEGA.amplitude(quark)), np.asarray(PHI.amplitude(quark))
    assert complex(omega[0, 1]) == pytest.approx(0.135 * (2.0 + 1.0j) / math.sqrt(2.0), rel=1e-12)
    assert complex(phi[1, 4]) == pytest.approx(0.175 * 3.0, rel=1e-12)
    assert np.count_nonzero(omega) == np.count_nonzero(phi) == 1


def test_forms_count_pairs_of_majorana_neutrinos_once() -> None:
    quark = quark_couplings(tensor_s=(0, 1, 2.0))
    antisymmetric = quark.tensor_s.at[0, 4].set(1.5j).at[1, 3].set(-1.5j)
    target = target_couplings(dataclasses.replace(quark, tensor_s=antisymmetric), nucleon_charges("flag2021"))
    assert float(jnp.trace(quadratic_forms(target)["phi"]).real) == pytest.approx(0.175**2 * (2.0**2 + 1.5**2), rel=1e-12)
    np.testing.assert_array_equal(quadratic_forms(target)["omega"], 0.0)
