"""What the theory above m_W needs beyond `nmmfit.inputs`: sin^2 theta_W, G_F, masses of top quark and Higgs boson, CKM."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType

import jax
import jax.numpy as jnp

from nmmfit import precision as precision
from nmmfit.constants import ELECTROWEAK_INPUTS, Constant
from nmmfit.errors import UserInputError
from nmmfit.numerics.mixing import standard_mixing_matrix
from nmmfit.shapes import Array

BASES = ("down", "up")
NUMBERS: Mapping[str, Constant] = ELECTROWEAK_INPUTS
"""Default, unit, uncertainty and source of each number of `ElectroweakInputs`."""
_RANGES: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "sin2_theta_w": (0.2, 0.26),
        "fermi_gev2": (1.1e-5, 1.2e-5),
        "m_t_gev": (130.0, 190.0),
        "m_h_gev": (100.0, 150.0),
        "wolfenstein_lambda": (-0.5, 0.5),
        "wolfenstein_a": (-2.0, 2.0),
        "wolfenstein_rhobar": (-1.5, 1.5),
        "wolfenstein_etabar": (-1.5, 1.5),
    }
)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class ElectroweakInputs:
    """Inputs of the theory above m_W; every number is differentiable. Unit, uncertainty and source: `NUMBERS`.

    `sin2_theta_w` is the MS-bar value, given at m_Z and used at m_W: one-loop running between the two would lower it by 0.3 %.
    With e from 1/alpha(m_W) of the theory below, g = e / s_W and g' = e / c_W, so that e itself is continuous.

    `quark_basis` (static) says what Q is, with u_L and d_L mass eigenstates and V the CKM matrix:
    "down": Q_s = ((V^dagger u_L)_s, d_L^s), as in the Warsaw down basis of WCxf; "up": Q_s = (u_L^s, (V d_L)_s).
    """

    sin2_theta_w: float | Array = NUMBERS["sin2_theta_w"].value
    fermi_gev2: float | Array = NUMBERS["fermi_gev2"].value
    m_t_gev: float | Array = NUMBERS["m_t_gev"].value
    m_h_gev: float | Array = NUMBERS["m_h_gev"].value
    wolfenstein_lambda: float | Array = NUMBERS["wolfenstein_lambda"].value
    wolfenstein_a: float | Array = NUMBERS["wolfenstein_a"].value
    wolfenstein_rhobar: float | Array = NUMBERS["wolfenstein_rhobar"].value
    wolfenstein_etabar: float | Array = NUMBERS["wolfenstein_etabar"].value
    quark_basis: str = field(default="down", metadata={"static": True})

    def as_dict(self) -> dict[str, float | str]:
        """Numbers and the basis by name, as plain Python values."""
        return {f.name: getattr(self, f.name) if f.metadata.get("static") else float(getattr(self, f.name)) for f in fields(self)}


def check(inputs: ElectroweakInputs, where: str = "electroweak") -> None:
    """Refuse inputs out of range; numbers being traced are not looked at.

    Raises: UserInputError that names the first one.
    """
    if inputs.quark_basis not in BASES:
        raise UserInputError(f"{where}: quark_basis = {inputs.quark_basis!r} is not available (allowed: 'down', 'up')")
    for name, (low, high) in _RANGES.items():
        value = getattr(inputs, name)
        if isinstance(value, jax.core.Tracer):
            continue
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise UserInputError(f"{where}: {name} = {value!r} is not a number") from None
        if not low <= number <= high:
            raise UserInputError(f"{where}: {name} = {number:g} is out of range (allowed: between {low:g} and {high:g})")


def vacuum_value_gev(inputs: ElectroweakInputs) -> Array:
    """v = (sqrt(2) G_F)^(-1/2) in GeV, 246.22; H = (0, v / sqrt 2)."""
    return (math.sqrt(2.0) * jnp.asarray(inputs.fermi_gev2, dtype=float)) ** -0.5


def ckm_matrix(inputs: ElectroweakInputs) -> Array:
    """The CKM matrix, complex (3, 3) = (u c t, d s b), exactly unitary.

    The standard (PDG) parametrisation, with s_12 = lambda, s_23 = A lambda^2 and s_13 e^{i delta} =
    A lambda^3 (rhobar + i etabar) sqrt(1 - A^2 lambda^4) / {sqrt(1 - lambda^2) [1 - A^2 lambda^4 (rhobar + i etabar)]}
    (hep-ph/0406184, eq. (8) and following; formula from memory, its unitarity and |V_ij| are tested).
    """
    lam, a = (jnp.asarray(x, dtype=float) for x in (inputs.wolfenstein_lambda, inputs.wolfenstein_a))
    apex = inputs.wolfenstein_rhobar + 1j * jnp.asarray(inputs.wolfenstein_etabar, dtype=float)
    s12, s23 = lam, a * lam**2
    c12, c23 = jnp.sqrt(1.0 - s12**2), jnp.sqrt(1.0 - s23**2)
    w = s23 * lam * apex * c23 / (c12 * (1.0 - s23**2 * apex))
    c13 = jnp.sqrt(1.0 - jnp.real(w * jnp.conj(w)))
    return standard_mixing_matrix((s12, c12), (s23, c23), (w, c13))
