"""The scalar leptoquarks S_1 and R~_2, which couple N to down quarks."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from nmmfit.checks import broadcasting
from nmmfit.eft.models.arguments import check_couplings, check_masses, check_threshold
from nmmfit.eft.models.loops import scalar_threshold
from nmmfit.eft.models.matching import Matching
from nmmfit.eft.operators import FERMION_NAMES, GENERATIONS
from nmmfit.eft.theories import quark_mass
from nmmfit.errors import UserInputError
from nmmfit.inputs import StandardModelInputs
from nmmfit.shapes import Array, ArrayLike


def leptoquark_s1(
    y_left: ArrayLike,
    y_right: ArrayLike,
    mass_gev: ArrayLike,
    scale_gev: ArrayLike | None = None,
    inputs: StandardModelInputs | None = None,
) -> Matching:
    """The scalar leptoquark S_1 ~ (3bar, 1, 1/3): L = y_left^ij (Qbar^c_i eps L_j) S_1 + y_right^ij (dbar^c_i N_j) S_1 + h.c.

    At tree level, with eps_12 = +1 and d_L mass eigenstates (DERIVED):

        C_LNQd^prst = conj(y_left^sp) y_right^tr / 2 M^2,    C_LNQd3^prst = -conj(y_left^sp) y_right^tr / 8 M^2.

    Products of two y_left or two y_right give vector operators, which are not returned.

    Args:
        y_left, y_right: Yukawa couplings, complex, shape (..., 3, 3), generations of quark and lepton; Lagrangian as above.
        mass_gev: GeV, > 0, shape (...).
        scale_gev: one number, GeV, from m_W to the mass; m_W if absent.
        inputs: quark masses, m_W and alpha; the defaults if absent.
    Returns: SMNEFT coefficients and the dipoles of the broken phase; `to_lneft` gives LNEFT names.
    Raises: UserInputError for anything out of range.
    """
    left, right, mass, scale, inputs = _leptoquark("leptoquark_s1", y_left, y_right, mass_gev, scale_gev, inputs)
    product = jnp.einsum("...sp,...tr->...prst", jnp.conj(left), right) / mass[..., None, None, None, None] ** 2
    return _leptoquark_matching(product / 2.0, -product / 8.0, mass, scale, inputs)


def leptoquark_r2_tilde(
    y_left: ArrayLike,
    y_right: ArrayLike,
    mass_gev: ArrayLike,
    scale_gev: ArrayLike | None = None,
    inputs: StandardModelInputs | None = None,
) -> Matching:
    """The scalar leptoquark R~_2 ~ (3, 2, 1/6): L = -y_left^ij (dbar_i R^a eps_ab L^b_j) + y_right^ij (Qbar^a_i R^a N_j) + h.c.

    At tree level C_LdQN = conj(y_left^tp) y_right^sr / M^2 of (Lbar^j d) eps_jk (Qbar^k N), eps_12 = +1; after Fierz (DERIVED)

        C_LNQd^prst = -conj(y_left^tp) y_right^sr / 2 M^2,    C_LNQd3^prst = -conj(y_left^tp) y_right^sr / 8 M^2.

    Arguments, returns and errors as in `leptoquark_s1`.
    """
    left, right, mass, scale, inputs = _leptoquark("leptoquark_r2_tilde", y_left, y_right, mass_gev, scale_gev, inputs)
    product = jnp.einsum("...tp,...sr->...prst", jnp.conj(left), right) / mass[..., None, None, None, None] ** 2
    return _leptoquark_matching(-product / 2.0, -product / 8.0, mass, scale, inputs)


def _leptoquark(
    where: str,
    y_left: ArrayLike,
    y_right: ArrayLike,
    mass_gev: ArrayLike,
    scale_gev: ArrayLike | None,
    inputs: StandardModelInputs | None,
) -> tuple[Array, Array, Array, Array, StandardModelInputs]:
    """Checked arguments as arrays."""
    inputs = StandardModelInputs() if inputs is None else inputs
    scale = inputs.m_w_gev if scale_gev is None else scale_gev
    for name, value in (("y_left", y_left), ("y_right", y_right)):
        if np.shape(value)[-2:] != (3, 3):
            raise UserInputError(f"{where}: {name}: expected shape (..., 3, 3), quark and lepton, got {np.shape(value)}")
    if np.shape(scale) != ():
        raise UserInputError(f"{where}: scale_gev: expected one number, got shape {np.shape(scale)}")
    check_couplings(where, y_left=y_left, y_right=y_right)
    check_masses(where, mass_gev=mass_gev, scale_gev=scale)
    batches = {"y_left": jnp.zeros(np.shape(y_left)[:-2]), "y_right": jnp.zeros(np.shape(y_right)[:-2]), "mass_gev": mass_gev}
    broadcasting(batches, where)
    check_threshold(where, "mass_gev", mass_gev, scale)
    check_threshold(where, "scale_gev", scale, inputs.m_w_gev, "m_W,", "names are those of the theory above m_W")
    left, right = (jnp.asarray(y, dtype=complex) for y in (y_left, y_right))
    return left, right, jnp.asarray(mass_gev, dtype=float), jnp.asarray(scale, dtype=float), inputs


def _leptoquark_matching(scalar: Array, tensor: Array, mass: Array, scale: Array, inputs: StandardModelInputs) -> Matching:
    """Named coefficients from arrays (..., p, r, s, t), and the dipoles: the sum over quarks in the loop, s = t."""
    tree, threshold = {}, {}
    at = jnp.minimum(scale, inputs.m_w_gev)
    masses = {q: quark_mass(q, at, inputs) for q in FERMION_NAMES["d"]}
    for p in GENERATIONS["nu"]:
        for r in GENERATIONS["N"]:
            total = jnp.zeros(())
            for s in (1, 2, 3):
                for t in (1, 2, 3):
                    tree[f"LNQd_{p}{r}{s}{t}"] = scalar[..., p - 1, r - 1, s - 1, t - 1]
                    tree[f"LNQd3_{p}{r}{s}{t}"] = tensor[..., p - 1, r - 1, s - 1, t - 1]
                quark = FERMION_NAMES["d"][s - 1]
                one = tensor[..., p - 1, r - 1, s - 1, s - 1]
                total = total + scalar_threshold(quark, masses[quark], one, mass, scale, inputs)
            threshold[f"nuNgamma_{p}{r}"] = total
    return Matching(scale, tree, threshold, "SMNEFT")
