"""Running as arXiv:2206.13122 does it, eqs. (2.4)-(2.6): leading QCD powers times one electromagnetic logarithm.

    L_I(mu_l) = L_J(mu_h) lambda^a_J (delta_JI - (alpha / 4 pi) gamma_JI f_JI ln(mu_h / mu_l)),

with lambda = alpha_s(mu_h) / alpha_s(mu_l),
five-flavour exponents a_T = 4/23, a_S = -12/23, a_gamma = 0 throughout, and light-quark masses and e frozen at 2 GeV. The
numbers 0.08, 0.18 and 3.55 of its tables need f_JI = 1, although (2.6) gives 1.097: both can be had. Only u, d and s are known.
"""

from __future__ import annotations

from collections.abc import Iterable

import jax.numpy as jnp

from nmmfit.eft.operators import Coefficient
from nmmfit.eft.qcd import REFERENCE_SCALE_GEV, alpha_s
from nmmfit.eft.running import MIXING, Evolution, check_scale
from nmmfit.eft.theories import CHARGE, FERMIONS, inverse_alpha
from nmmfit.errors import UserInputError
from nmmfit.inputs import StandardModelInputs, check
from nmmfit.shapes import Array

A_TENSOR = 4.0 / 23.0
"""gamma_T / 2 beta_0 with gamma_T = 2 C_F and five flavours."""
A_SCALAR = -12.0 / 23.0
_B_0E = -80.0 / 9.0


def reduction_factor(lam: Array, a_high: float, a_low: float) -> Array:
    """f_JI of eq. (2.6), 1 at lambda = 1.

    Args:
        lam: ratio of strong couplings.
        a_high, a_low: exponents of the operator mixing and of the operator mixed into.
    """
    lam = jnp.asarray(lam, dtype=float)
    near = jnp.abs(1.0 - lam) < 1e-8
    safe = jnp.where(near, 0.5, lam)
    return jnp.where(near, 1.0, (safe ** (a_low - a_high) - safe) / ((1.0 - safe) * (1.0 + a_high - a_low)))


def seed_evolution(
    scale_from: Array | float, scale_to: Array | float, inputs: StandardModelInputs, reduced: bool = False
) -> Evolution:
    """Evolution by eqs. (2.4)-(2.6); upwards, the inverse of the downward map.

    Args:
        scale_from, scale_to: GeV, in [2 GeV, m_W].
        inputs: alpha_s and its order fix lambda; masses at 2 GeV; alpha is that of 2 GeV.
        reduced: True uses f_JI of eq. (2.6); False sets it to 1, with which the printed tables come out.
    Returns: `Evolution`, zero mixing for fermions other than u, d, s, and no penguin: vector coefficients do not run there.
    Raises: UserInputError for a scale or an input out of range.
    """
    check(inputs)
    check_scale(scale_from, inputs, "scale_from")
    check_scale(scale_to, inputs, "scale_to")
    first, second = jnp.asarray(scale_from, dtype=float), jnp.asarray(scale_to, dtype=float)
    down = first >= second
    high, low = jnp.maximum(first, second), jnp.minimum(first, second)
    lam = alpha_s(high, inputs) / alpha_s(low, inputs)
    log_ratio = jnp.log(high / low)
    alpha_4pi = 1.0 / (4.0 * jnp.pi * inverse_alpha(REFERENCE_SCALE_GEV, inputs))
    e = jnp.sqrt(16.0 * jnp.pi**2 * alpha_4pi)
    f = reduction_factor(lam, A_TENSOR, 0.0) if reduced else 1.0

    dipole = 1.0 + _B_0E * alpha_4pi * log_ratio
    tensor = {k: lam**A_TENSOR * (1.0 - 2.0 * q**2 * alpha_4pi * log_ratio) for k, q in CHARGE.items() if k != "e"}
    scalar = {k: lam**A_SCALAR * (1.0 + 6.0 * q**2 * alpha_4pi * log_ratio) for k, q in CHARGE.items() if k != "e"}
    tensor["e"] = 1.0 - 2.0 * alpha_4pi * log_ratio
    scalar["e"] = 1.0 + 6.0 * alpha_4pi * log_ratio
    masses = {"u": inputs.m_u_gev, "d": inputs.m_d_gev, "s": inputs.m_s_gev}
    mixing = {}
    for name in FERMIONS:
        value = -(lam**A_TENSOR) * f * MIXING[name] * e * masses.get(name, 0.0) * log_ratio
        kind = "u" if name == "u" else "d"
        mixing[name] = jnp.where(down, value, -value / (dipole * tensor[kind]))
    return Evolution(
        dipole=jnp.where(down, dipole, 1.0 / dipole),
        tensor={k: jnp.where(down, x, 1.0 / x) for k, x in tensor.items()},
        scalar={k: jnp.where(down, x, 1.0 / x) for k, x in scalar.items()},
        mixing=mixing,
        bottom=jnp.zeros(()),
    )


def check_seed(coefficients: Iterable[Coefficient]) -> None:
    """Refuse coefficients with fermions that arXiv:2206.13122 does not have.

    Raises: UserInputError that names the first one.
    """
    for c in coefficients:
        op = c.operator
        heavy = op.fermion == "e" or any(f == "u" and k > 1 for f, k in zip(op.fields, c.flavours, strict=True))
        if heavy or c.involves_bottom:
            raise UserInputError(f"coefficient {c.name!r}: method 'seed' knows u, d and s only (allowed: method 'exact')")
