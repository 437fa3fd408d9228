"""The theory above m_W as a whole: run, match at m_W, and what a dipole means for the neutrino's mass.

Operators: `smneft_operators`; running: `smneft_running`; matching: `smneft_matching`; inputs: `smneft_inputs`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import jax.numpy as jnp

from nmmfit import inputs as sm
from nmmfit.constants import bohr_magneton_per_gev
from nmmfit.eft import smneft_inputs as electroweak_inputs
from nmmfit.eft.smneft_inputs import ElectroweakInputs, vacuum_value_gev
from nmmfit.eft.smneft_matching import match_at_m_w, rotate_quark_basis
from nmmfit.eft.smneft_operators import parse_all
from nmmfit.eft.smneft_running import LOOP, SmneftEvolution, check_scale, couplings_at_m_w, evolved_from, smneft_evolution
from nmmfit.inputs import StandardModelInputs
from nmmfit.shapes import Array


def apply_smneft_evolution(
    coefficients: Mapping[str, complex | Array], evolved: SmneftEvolution, electroweak: ElectroweakInputs
) -> dict[str, Array]:
    """Coefficients at the second scale, with all that running generates.

    Args:
        coefficients: name -> value at the first scale, GeV^-2, in the basis of Q that `electroweak.quark_basis` names.
        evolved: from `smneft_evolution`.
        electroweak: CKM and basis.
    Returns: name -> complex value, in the same basis.
    Raises: UserInputError for a name that is wrong.
    """
    parse_all(coefficients)
    up = electroweak.quark_basis == "up"
    given = {name: jnp.asarray(value, dtype=complex) for name, value in coefficients.items()}
    if up:
        given = rotate_quark_basis(given, electroweak, "down")
    out: dict[str, Array] = {}
    for c, value in zip(parse_all(given), given.values(), strict=True):
        for name, factor in evolved_from(c, evolved).items():
            out[name] = out.get(name, 0.0) + factor * value
    return rotate_quark_basis(out, electroweak, "up") if up else out


def smneft_to_lneft(
    coefficients: Mapping[str, complex | Array],
    scale_gev: float | Array,
    inputs: StandardModelInputs,
    electroweak: ElectroweakInputs,
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Coefficients at m_W, just above and just below, of coefficients at a scale above.

    Args:
        coefficients: SMNEFT name -> complex value at `scale_gev`, GeV^-2.
        scale_gev: in [m_W, 1e10 GeV]; differentiable, as are values and inputs.
        inputs, electroweak: Standard Model inputs.
    Returns: (SMNEFT names, in the basis `electroweak.quark_basis`; LNEFT names, GeV^-1 or GeV^-2).
    Raises: UserInputError for a wrong name, scale or input.
    """
    evolved = _evolution_to_m_w(coefficients, scale_gev, inputs, electroweak)
    return _across_m_w(coefficients, evolved, electroweak)


def _evolution_to_m_w(
    names: Iterable[str], scale_gev: float | Array, inputs: StandardModelInputs, electroweak: ElectroweakInputs
) -> SmneftEvolution:
    """Evolution from a scale to m_W. Raises: UserInputError for a wrong name, scale or input."""
    parse_all(names)
    sm.check(inputs)
    electroweak_inputs.check(electroweak)
    check_scale(scale_gev, inputs, "scale_from")
    return smneft_evolution(scale_gev, inputs.m_w_gev, inputs, electroweak)


def _across_m_w(
    coefficients: Mapping[str, complex | Array], evolved: SmneftEvolution, electroweak: ElectroweakInputs
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Coefficients at m_W, just above and just below."""
    above = apply_smneft_evolution(coefficients, evolved, electroweak)
    down = rotate_quark_basis(above, electroweak, "down") if electroweak.quark_basis == "up" else above
    return above, match_at_m_w(down, electroweak)


def smneft_weights(
    names: tuple[str, ...], scale_gev: float | Array, inputs: StandardModelInputs, electroweak: ElectroweakInputs
) -> tuple[tuple[str, ...], Array]:
    """The linear map from coefficients above m_W to those just below it.

    Args:
        names: SMNEFT names.
        scale_gev, inputs, electroweak: as for `smneft_to_lneft`.
    Returns: LNEFT names that anything reaches, and complex weights (operator above, operator below), L_j = sum_i C_i weights_ij.
    Raises: UserInputError for a wrong name, scale or input.
    """
    evolved = _evolution_to_m_w(names, scale_gev, inputs, electroweak)
    below = [_across_m_w({name: 1.0}, evolved, electroweak)[1] for name in names]
    reached = tuple(sorted(set().union(*below))) if below else ()
    nothing = jnp.zeros((), dtype=complex)
    rows = [jnp.stack([column.get(name, nothing) for name in reached]) if reached else jnp.zeros(0, complex) for column in below]
    return reached, jnp.stack(rows) if rows else jnp.zeros((0, 0), dtype=complex)


def neutrino_mass_gev(c_nh: Array | complex, electroweak: ElectroweakInputs) -> Array:
    """Dirac mass that a coefficient of NH gives, v^3 / (2 sqrt 2) |C_NH|, in GeV.

    Args:
        c_nh: GeV^-2, at m_W.
        electroweak: G_F.
    """
    return vacuum_value_gev(electroweak) ** 3 / (2.0 * math.sqrt(2.0)) * jnp.abs(jnp.asarray(c_nh))


def mass_naturalness(
    scale_gev: float | Array, inputs: StandardModelInputs, electroweak: ElectroweakInputs
) -> dict[str, dict[str, Array]]:
    """How large a neutrino mass a dipole above m_W brings with it: leading logarithm of NB, NW -> NH from a scale to v.

        delta m_nu / mu_nu = v^2 / 4 ln(Lambda / v) / 16 pi^2 {3 g' (g'^2 + g^2) / c_W  [NB],  3 g (g'^2 + 3 g^2) / s_W  [NW]}

    with couplings at m_W and mu_nu = 2 |L_gamma|. DERIVED; hep-ph/0504134 quotes mu < 1e-14 mu_B from its own estimate (SEEN,
    abstract). An estimate to report: masses may cancel against others, and nothing here enters a likelihood.

    Args:
        scale_gev: Lambda, GeV, > v for a positive result.
        inputs, electroweak: Standard Model inputs.
    Returns: by operator `NB` and `NW`: `mass_per_moment_gev2` (90.7 and 765 at 1 TeV), and `moment_mub_at_1_ev`, the moment
        in mu_B whose contribution to the mass is 1 eV.
    """
    v = vacuum_value_gev(electroweak)
    g1, g2 = couplings_at_m_w(inputs, electroweak).gauge[:2]
    s = jnp.sqrt(jnp.asarray(electroweak.sin2_theta_w, dtype=float))
    c = jnp.sqrt(1.0 - s**2)
    common = v**2 / 4.0 * jnp.log(jnp.asarray(scale_gev, dtype=float) / v) / LOOP
    ratio = {"NB": common * 3.0 * g1 * (g1**2 + g2**2) / c, "NW": common * 3.0 * g2 * (g1**2 + 3.0 * g2**2) / s}
    return {
        name: {"mass_per_moment_gev2": x, "moment_mub_at_1_ev": 1e-9 / jnp.abs(x) / bohr_magneton_per_gev()}
        for name, x in ratio.items()
    }
