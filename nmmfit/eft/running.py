"""Running of all coefficients between 2 GeV and m_W: the exact solution of the truncated equations.

Solved are

    16 pi^2 dL_gamma / d ln mu = -b_0e e^2 L_gamma - 8 e sum_f N_c Q_f m_f L^T_f,
    dL^T_f / d ln mu = [gamma_T(alpha_s) + 2 Q_f^2 e^2 / 16 pi^2] L^T_f,
    dL^S_f / d ln mu = [gamma_m(alpha_s) - 6 Q_f^2 e^2 / 16 pi^2] L^S_f

(arXiv:2206.13122, eqs. (4.1)-(4.2), with charm, bottom and charged leptons added; QCD to higher orders as in `qcd`). Only the
dipole is mixed into, so that the evolution matrix is diagonal up to the dipole's row: its diagonal is known in closed form and
the row is one integral over ln mu of (quark mass) x (tensor coefficient) x (QED factors), taken by Gauss-Legendre quadrature
in ln alpha_s. Every factor is normalised at m_b(m_b), where the theories with five and four flavours meet.
Vector coefficients do not run in QCD; the photon penguin mixes those of all fermions (`penguin`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from nmmfit.eft.operators import FERMION_NAMES, Coefficient, validate_all, vector_name
from nmmfit.eft.penguin import penguin_factors
from nmmfit.eft.qcd import REFERENCE_SCALE_GEV
from nmmfit.eft.theories import (
    CHARGE,
    COLOURS,
    FERMION_TYPE,
    FERMIONS,
    masses_at_threshold,
    reference_logs,
    split_logs,
    theories,
)
from nmmfit.errors import UserInputError
from nmmfit.inputs import StandardModelInputs, check
from nmmfit.shapes import Array

DIPOLE_OF_SECTOR: Mapping[str, str] = {"nuN": "nuNgamma", "nu": "nugamma", "N": "Ngamma"}

# 1/(16 pi^2) times -8 N_c Q: what the photon's coupling to a closed fermion loop gives, per unit of e m_f L^T_f.
MIXING: Mapping[str, float] = {f: -8.0 * COLOURS[t] * CHARGE[t] / (16.0 * math.pi**2) for f, t in FERMION_TYPE.items()}


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Evolution:
    """Evolution between two scales: a diagonal factor for each class of operators, and the dipole's row.

    L_gamma(to) = dipole L_gamma(from) + sum_f mixing_f L^T_f(from);  L^T_f(to) = tensor[type] L^T_f(from), and so for scalars.
    """

    dipole: Array
    tensor: dict[str, Array]
    """By fermion type `u`, `d`, `e`."""
    scalar: dict[str, Array]
    mixing: dict[str, Array]
    """By fermion, in GeV; zero for a quark that does not exist at the first scale."""
    bottom: Array
    """1 where operators with a b quark exist at both scales, else 0."""
    penguin: dict[str, Array] = field(default_factory=dict)
    """By fermion f: L^V_psiX(to) = L^V_psiX(from) + Q_psi sum_f penguin_f V_f(from), psi other than b; empty: no penguin."""
    penguin_bottom: dict[str, Array] = field(default_factory=dict)
    """The same for psi = b, where it exists at the second scale."""


def _is_concrete(x: object) -> bool:
    return not isinstance(x, jax.core.Tracer)


def check_within(
    scale_gev: Any,
    limits_gev: tuple[float | Array, float | Array],
    theory: str,
    allowed: Callable[[float, float], str],
    where: str,
) -> None:
    """Refuse a scale outside limits; where any of them is being traced, nothing is looked at.

    Args:
        scale_gev: GeV; `limits_gev`: lowest and highest.
        theory: whose range it is, for the message; `allowed`: the limits in words.
        where: what the scale is.
    Raises: UserInputError.
    """
    if not all(_is_concrete(x) for x in (scale_gev, *limits_gev)):
        return
    try:
        scale = float(scale_gev)
    except (TypeError, ValueError):
        raise UserInputError(f"{where}: {scale_gev!r} is not a scale in GeV") from None
    low, high = map(float, limits_gev)
    if not low <= scale <= high:
        raise UserInputError(f"{where}: {scale:g} GeV is outside the range of {theory} (allowed: {allowed(low, high)})")


def check_scale(scale_gev: Array | float, inputs: StandardModelInputs, where: str = "scale_gev") -> None:
    """Refuse a scale outside 2 GeV .. m_W; a scale being traced is not looked at.

    Raises: UserInputError.
    """

    def allowed(low: float, high: float) -> str:
        return f"{low:g} GeV, where quarks are matched onto mesons and nucleons, to m_W = {high:g} GeV"

    check_within(scale_gev, (REFERENCE_SCALE_GEV, inputs.m_w_gev), "this theory", allowed, where)


def evolution(scale_from: Array | float, scale_to: Array | float, inputs: StandardModelInputs) -> Evolution:
    """Evolution of all coefficients from one scale to another, in either direction.

    Args:
        scale_from, scale_to: GeV, in [2 GeV, m_W]; differentiable, as are the inputs.
        inputs: Standard Model inputs and orders.
    Returns: `Evolution`; the quadrature error is below 1e-13 relative.
    Raises: UserInputError for a scale or an input out of range, unless it is being traced.
    """
    check(inputs)
    check_scale(scale_from, inputs, "scale_from")
    check_scale(scale_to, inputs, "scale_to")
    return _evolution(jnp.stack([jnp.asarray(scale_from, dtype=float), jnp.asarray(scale_to, dtype=float)]), inputs)


@jax.jit
def _evolution(scales: Array, inputs: StandardModelInputs) -> Evolution:
    """`evolution` without the checks, scales = (from, to)."""
    five, four = theories(inputs)
    log_scales = jnp.log(scales / inputs.m_b_gev)
    above, below = split_logs(log_scales)
    below = jnp.concatenate([below, reference_logs(inputs)])
    a_5, a_4 = five.coupling(above), four.coupling(below)
    qed_5, qed_4 = five.qed_integral(above), four.qed_integral(below)
    mass_4 = four.exponent(a_4, four.mass_gamma)
    # Factors at the two scales: what was accumulated above the threshold and below it.
    strong_tensor = jnp.exp(five.exponent(a_5, five.tensor_gamma) + four.exponent(a_4[:2], four.tensor_gamma))
    strong_scalar = jnp.exp(five.exponent(a_5, five.mass_gamma) + mass_4[:2])
    qed_total, dipole = qed_5 + qed_4[:2], jnp.exp(-(five.b_0e * qed_5 + four.b_0e * qed_4[:2]))
    tensor, scalar, tensor_from = {}, {}, {}
    for kind, charge in CHARGE.items():
        qed_tensor = jnp.exp(2.0 * charge**2 * qed_total)
        t = qed_tensor if kind == "e" else strong_tensor * qed_tensor
        s = qed_tensor**-3 if kind == "e" else strong_scalar * qed_tensor**-3
        tensor[kind], scalar[kind], tensor_from[kind] = t[1] / t[0], s[1] / s[0], t[0]

    mass_above, mass_below = masses_at_threshold(mass_4[2:], qed_4[2:], five.a_b, inputs)
    source_above, source_below = five.source_integrals(a_5), four.source_integrals(a_4[:2])
    e_b = jnp.sqrt(4.0 * jnp.pi / five.inv_alpha_b)
    bottom_from, bottom_to = log_scales[0] >= 0.0, log_scales[1] >= 0.0
    mixing = {}
    for f in FERMIONS:
        kind = FERMION_TYPE[f]
        source = mass_above[f] * source_above[kind] + mass_below[f] * source_below[kind]
        mixing[f] = MIXING[f] * e_b * source * dipole[1] / tensor_from[kind]
    mixing["b"] = jnp.where(bottom_from, mixing["b"], 0.0)
    penguin, penguin_bottom = penguin_factors(bottom_from, (qed_5[1] - qed_5[0], qed_4[1] - qed_4[0]))
    return Evolution(
        dipole=dipole[1] / dipole[0],
        tensor=tensor,
        scalar=scalar,
        mixing=mixing,
        bottom=jnp.where(bottom_from & bottom_to, 1.0, 0.0),
        penguin=penguin,
        penguin_bottom=penguin_bottom,
    )


def diagonal_factor(coefficient: Coefficient, evolved: Evolution) -> Array:
    """Ratio of a coefficient at the second scale to that at the first; 0 if it contains a b quark and one scale is below m_b."""
    op = coefficient.operator
    if op.lorentz == "dipole":
        return evolved.dipole
    if op.lorentz in ("vector", "charge_radius", "millicharge"):
        factor = jnp.ones(())
    else:
        factor = (evolved.tensor if op.lorentz == "tensor" else evolved.scalar)[str(op.fermion)]
    return factor * evolved.bottom if coefficient.involves_bottom else factor


def mixing_factor(coefficient: Coefficient, evolved: Evolution) -> Array | None:
    """Dipole at the second scale per unit of a tensor coefficient at the first, GeV; None for what does not mix.

    The mass matrix closes the loop and is diagonal, so that tensors with two different quarks do not mix.
    """
    fermion = coefficient.fermion if coefficient.operator.lorentz == "tensor" else None
    return None if fermion is None else evolved.mixing[fermion]


def dipole_name(coefficient: Coefficient) -> str:
    """Name of the dipole with the same neutrinos."""
    p, r = coefficient.neutrinos
    return f"{DIPOLE_OF_SECTOR[coefficient.operator.sector]}_{p}{r}"


def penguin_additions(c: Coefficient, per_source: Mapping[str, Array], fermions: Iterable[str]) -> dict[str, Array]:
    """What a photon penguin adds to vector coefficients per unit of one of them: representative's name -> factor.

    Args:
        c: the coefficient; one that is no vector or has two different fermions adds nothing.
        per_source: addition to L_psiX / Q_psi per unit of V_f, by fermion f.
        fermions: the psi to list, both chiralities.
    """
    if c.operator.lorentz != "vector" or c.fermion is None or c.fermion not in per_source:
        return {}
    factor = per_source[c.fermion]
    return {
        vector_name(c.operator.sector, left, psi, c.neutrinos): CHARGE[FERMION_TYPE[psi]] * factor
        for psi in fermions
        for left in (True, False)
    }


def representative_value(c: Coefficient, value: complex | Array) -> Array:
    """Value of the representative of a coefficient that was given by another name of its symmetry class."""
    x = c.sign * jnp.asarray(value, dtype=complex)
    return jnp.conj(x) if c.conjugated else x


def apply_evolution(
    coefficients: Mapping[str, complex | Array], evolved: Evolution, bottom_exists: bool = True
) -> dict[str, Array]:
    """Coefficients at the second scale, with the dipoles and vectors that mixing generates.

    Args:
        coefficients: name -> value at the first scale, GeV^-1 (dipoles) or GeV^-2; any representative of a symmetry class.
        evolved: from `evolution`.
        bottom_exists: False leaves operators with a b quark out of the result.
    Returns: name of the independent representative -> complex value.
    Raises: UserInputError for a name that is wrong.
    """
    out: dict[str, Array] = {}
    for c, value in zip(validate_all(coefficients), coefficients.values(), strict=True):
        x = representative_value(c, value)
        if bottom_exists or not c.involves_bottom:
            out[c.name] = out.get(c.name, 0.0) + diagonal_factor(c, evolved) * x
        mixing = mixing_factor(c, evolved)
        if mixing is not None:
            out[dipole_name(c)] = out.get(dipole_name(c), 0.0) + mixing * x
        light = [f for names in FERMION_NAMES.values() for f in names if f != "b"]
        generated = penguin_additions(c, evolved.penguin, light)
        if bottom_exists:
            generated |= penguin_additions(c, evolved.penguin_bottom, ["b"])
        for name, added in generated.items():
            out[name] = out.get(name, 0.0) + added * x
    return out
