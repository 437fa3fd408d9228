"""What enters rates: Hermitian flavour matrices, quadratic in the low-energy couplings or linear in those that meet the SM.

A neutrino in the flavour state rho scatters with probability sum_k Tr[rho Q_k] K_k(E, T). With an amplitude matrix
A[p, r] of the operator (nubar_p ... N_r), the incoming neutrino is annihilated by the Hermitian-conjugate operator, so that
sum_r |sum_p c_p A*[p, r]|^2 = Tr[rho A A^dagger]; for an antineutrino rho is that of the antineutrino and Q becomes its
transpose. Final states: columns 0-2 are N_1, N_2, N_3 (lepton number conserved), columns 3-5 the charge conjugates of
nu_e, nu_mu, nu_tau (lepton number broken); they never interfere, so that one product serves both. Experiments with a massive N
take the two apart (`split_forms`).

Vector couplings have final states of their own: columns 0-2 nu_e, nu_mu, nu_tau, a Hermitian matrix E that is added to the
Standard Model's diagonal one, D; columns 3-5 conjugates of N_1, N_2, N_3. Nothing but the Standard Model interferes with them.
A millicharge is one of these, with a kernel of its own.
Tr[rho (D + E)^2] has the part Tr[rho (D E + E D)]: with a kernel that is quadratic in D_a for the Standard Model, the form is E
itself (SM_FORMS) and its kernel depends on the flavour, entry (a, b) of the form having the mean of the kernels of a and b.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit import precision as precision
from nmmfit.shapes import Array

N_FLAVOUR = 3
N_FINAL = 6

NUCLEAR_FORMS = (
    "dipole",
    "tensor_pp", "tensor_pn", "tensor_nn",
    "dipole_tensor_p", "dipole_tensor_n",
    "scalar_pp", "scalar_pn", "scalar_nn",
    "scalar_tensor_pp", "scalar_tensor_pn", "scalar_tensor_np", "scalar_tensor_nn",
    "dipole_scalar_p", "dipole_scalar_n",
)  # fmt: skip
ELECTRON_FORMS = (
    "dipole",
    "electron_s1_s1", "electron_s2_s2", "electron_s1_s2",
    "electron_tensor", "electron_s1_tensor",
    "electron_dipole_scalar", "electron_dipole_tensor",
)  # fmt: skip
NUCLEAR_VECTOR_FORMS = (
    "vector_pp", "vector_pn", "vector_nn",
    "sm_vector_pp", "sm_vector_pn", "sm_vector_np", "sm_vector_nn",
)  # fmt: skip
ELECTRON_VECTOR_FORMS = (
    "electron_left_left", "electron_right_right", "electron_left_right",
    "sm_electron_left", "sm_electron_right",
)  # fmt: skip
NUCLEAR_CHARGE_FORMS = ("charge", "charge_vector_p", "charge_vector_n", "sm_charge_p", "sm_charge_n")
ELECTRON_CHARGE_FORMS = ("charge", "charge_electron_left", "charge_electron_right", "sm_charge_electron")
"""Those with the neutrino's electric charge: its square, and its products with the vectors and with the Standard Model."""
_CHARGE_FORMS = NUCLEAR_CHARGE_FORMS + ELECTRON_CHARGE_FORMS[1:]
SM_FORMS = tuple(name for name in NUCLEAR_VECTOR_FORMS + ELECTRON_VECTOR_FORMS + _CHARGE_FORMS if name.startswith("sm_"))
"""Forms linear in a coupling, from interference with the Standard Model; their kernels have a leading axis of flavours."""
MESONS = ("omega", "phi")
DECAY_FORMS = ("plasmon", *MESONS)
"""Forms of decays into a pair of neutrinos, whose trace counts all flavours: `plasmon` is `dipole` with half of what breaks
lepton number, because a pair {p, r} of Majorana neutrinos stands in the antisymmetric matrix twice and is made once. Those of
mesons, likewise, are squares of amplitudes (`physics.mesons`)."""
ALL_FORMS = NUCLEAR_FORMS + ELECTRON_FORMS[1:] + NUCLEAR_VECTOR_FORMS + ELECTRON_VECTOR_FORMS + _CHARGE_FORMS + DECAY_FORMS

LIGHT, HEAVY = "light_", "heavy_"
"""Prefixes of a form's name: what of it leads to massless neutrinos, and what to N (`restricted`)."""
MASSLESS_NUCLEAR_FORMS = NUCLEAR_FORMS + NUCLEAR_VECTOR_FORMS + NUCLEAR_CHARGE_FORMS
MASSLESS_ELECTRON_FORMS = ELECTRON_FORMS + ELECTRON_VECTOR_FORMS + ELECTRON_CHARGE_FORMS
"""Forms that lead to massless final states: all that scattering on nuclei, or on electrons, reads."""
MASSIVE_NUCLEAR_FORMS = NUCLEAR_FORMS + tuple(name for name in NUCLEAR_VECTOR_FORMS if name not in SM_FORMS)
MASSIVE_ELECTRON_FORMS = ELECTRON_FORMS + tuple(name for name in ELECTRON_VECTOR_FORMS if name not in SM_FORMS)
"""Forms that lead to N: all but those of interference with the Standard Model and those of the neutrino's charge."""
VECTORS = ("vector_p", "vector_n", "electron_left", "electron_right", "charge")
"""The couplings of `TargetCouplings` whose columns are those of vectors."""

_PAIRS_ONCE = np.sqrt(np.repeat([1.0, 0.5], N_FLAVOUR))

Forms = dict[str, Array]
"""`sm`: scalar, 1 for the Standard Model (a signal strength of its rate); every other name: Hermitian (3, 3)."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TargetCouplings:
    """Couplings at 2 GeV on protons, neutrons and electrons; each complex, shape (3, 6) = (flavour p, final state r).

    `dipole` in GeV^-1, the rest in GeV^-2. LNV entries already carry the factor 2 of the two identical fields, so
    that |mu_pr| = 2 |dipole[p, r]| holds for every column. Tensor and scalar nucleon couplings are
    t_X = sum_q L^T_q delta_q^X and s_X = C_S^X of the nucleon-level Lagrangian; electron_s1, electron_s2, electron_tensor
    are L^{S,RR}, L^{S,RL}, L^{T,RR} of the electron. vector_X multiplies (nubar_L gamma nu_L)(Xbar gamma X), electron_left and
    electron_right are L^{V,LL} and L^{V,LR}, all added to the Standard Model; their columns are those of vectors (module's text),
    as are those of `charge`, the neutrino's electric charge in units of e. `omega` and `phi` are the amplitudes of these mesons'
    decays, GeV^-1.
    """

    dipole: Array
    tensor_p: Array
    tensor_n: Array
    scalar_p: Array
    scalar_n: Array
    electron_s1: Array
    electron_s2: Array
    electron_tensor: Array
    omega: Array
    phi: Array
    vector_p: Array
    vector_n: Array
    electron_left: Array
    electron_right: Array
    charge: Array

    @staticmethod
    def zero() -> TargetCouplings:
        """The Standard Model: all couplings vanish."""
        nil = jnp.zeros((N_FLAVOUR, N_FINAL), dtype=jnp.complex128)
        return TargetCouplings(*(nil for _ in fields(TargetCouplings)))


def hermitian_product(a: Array, b: Array) -> Array:
    """(A B^dagger + B A^dagger) / 2 over the last two axes: the form whose trace with rho is sum_r Re(a_r b_r*)."""
    product = a @ jnp.conj(jnp.swapaxes(b, -1, -2))
    return 0.5 * (product + jnp.conj(jnp.swapaxes(product, -1, -2)))


def quadratic_forms(couplings: TargetCouplings, sm: float | Array = 1.0) -> Forms:
    """All quadratic forms of a set of couplings.

    Args:
        couplings: target-level couplings; leading axes batch.
        sm: strength of the Standard Model part, 1 for the Standard Model.
    Returns: `Forms`; `x_y` names the product of x and y, so that a rate is sum_k Tr[rho Q_k] K_k with
        Q(x_y) = (X Y^dagger + Y X^dagger) / 2. `electron_dipole_scalar` uses S_1 + S_2. A cross term counts once: the factor 2
        of |x + y|^2 is in the kernel. `scalar_tensor_pn` is the product of s_p and t_n. `sm_vector_pn` is that of the Standard
        Model's coupling to protons, with strength sqrt(sm), and v_n; its kernel has the Standard Model's coupling.
    """
    c = couplings
    pair = hermitian_product
    strength = jnp.asarray(sm, dtype=jnp.float64)
    present = strength > 0.0
    amplitude = jnp.where(present, jnp.sqrt(jnp.where(present, strength, 1.0)), 0.0)

    def linear(a: Array) -> Array:
        square = a[..., :N_FLAVOUR]
        return 0.5 * amplitude * (square + jnp.conj(jnp.swapaxes(square, -1, -2)))

    by_proton, by_neutron, by_charge = linear(c.vector_p), linear(c.vector_n), linear(c.charge)
    once = {"plasmon": c.dipole * _PAIRS_ONCE, "omega": c.omega * _PAIRS_ONCE, "phi": c.phi * _PAIRS_ONCE}
    return {
        "sm": strength,
        "dipole": pair(c.dipole, c.dipole),
        "tensor_pp": pair(c.tensor_p, c.tensor_p),
        "tensor_pn": pair(c.tensor_p, c.tensor_n),
        "tensor_nn": pair(c.tensor_n, c.tensor_n),
        "dipole_tensor_p": pair(c.dipole, c.tensor_p),
        "dipole_tensor_n": pair(c.dipole, c.tensor_n),
        "scalar_pp": pair(c.scalar_p, c.scalar_p),
        "scalar_pn": pair(c.scalar_p, c.scalar_n),
        "scalar_nn": pair(c.scalar_n, c.scalar_n),
        "scalar_tensor_pp": pair(c.scalar_p, c.tensor_p),
        "scalar_tensor_pn": pair(c.scalar_p, c.tensor_n),
        "scalar_tensor_np": pair(c.scalar_n, c.tensor_p),
        "scalar_tensor_nn": pair(c.scalar_n, c.tensor_n),
        "dipole_scalar_p": pair(c.dipole, c.scalar_p),
        "dipole_scalar_n": pair(c.dipole, c.scalar_n),
        "electron_s1_s1": pair(c.electron_s1, c.electron_s1),
        "electron_s2_s2": pair(c.electron_s2, c.electron_s2),
        "electron_s1_s2": pair(c.electron_s1, c.electron_s2),
        "electron_tensor": pair(c.electron_tensor, c.electron_tensor),
        "electron_s1_tensor": pair(c.electron_s1, c.electron_tensor),
        "electron_dipole_scalar": pair(c.dipole, c.electron_s1 + c.electron_s2),
        "electron_dipole_tensor": pair(c.dipole, c.electron_tensor),
        "vector_pp": pair(c.vector_p, c.vector_p),
        "vector_pn": pair(c.vector_p, c.vector_n),
        "vector_nn": pair(c.vector_n, c.vector_n),
        "sm_vector_pp": by_proton,
        "sm_vector_pn": by_neutron,
        "sm_vector_np": by_proton,
        "sm_vector_nn": by_neutron,
        "electron_left_left": pair(c.electron_left, c.electron_left),
        "electron_right_right": pair(c.electron_right, c.electron_right),
        "electron_left_right": pair(c.electron_left, c.electron_right),
        "sm_electron_left": linear(c.electron_left),
        "sm_electron_right": linear(c.electron_right),
        "charge": pair(c.charge, c.charge),
        "charge_vector_p": pair(c.charge, c.vector_p),
        "charge_vector_n": pair(c.charge, c.vector_n),
        "sm_charge_p": by_charge,
        "sm_charge_n": by_charge,
        "charge_electron_left": pair(c.charge, c.electron_left),
        "charge_electron_right": pair(c.charge, c.electron_right),
        "sm_charge_electron": by_charge,
        **{name: pair(amplitude, amplitude) for name, amplitude in once.items()},
    }


def split_names() -> tuple[str, ...]:
    """Names of `split_forms` beside `sm`: all forms of massless final states, then those of N."""
    return tuple(prefix + name for prefix in (LIGHT, HEAVY) for name in ALL_FORMS)


def restricted(couplings: TargetCouplings, heavy: bool) -> TargetCouplings:
    """Couplings that lead to N alone, or to massless neutrinos alone; the other columns are 0.

    N is in the columns 0-2, of vectors (its conjugate) in 3-5.
    """
    first = np.arange(N_FINAL) < N_FLAVOUR
    kept = {f.name: (first != (f.name in VECTORS)) == heavy for f in fields(TargetCouplings)}
    return TargetCouplings(**{name: jnp.where(kept[name], getattr(couplings, name), 0.0) for name in kept})


def split_forms(couplings: TargetCouplings, m_n_mev: float | Array = 0.0, sm: float | Array = 1.0) -> Forms:
    """Quadratic forms by the mass of the final state, for experiments that are built with a massive N.

    N and massless neutrinos do not interfere, so that every form is a sum of the two.

    Args:
        couplings: target-level couplings.
        m_n_mev: mass of N, which comes along as `m_n_mev` for experiments in which it floats.
        sm: strength of the Standard Model part.
    Returns: `sm`, `m_n_mev`, and "light_" + name and "heavy_" + name for every form.
    """
    light, heavy = (quadratic_forms(restricted(couplings, part), sm) for part in (False, True))
    forms: Forms = {"sm": light["sm"], "m_n_mev": jnp.asarray(m_n_mev)}
    for name in ALL_FORMS:
        forms[LIGHT + name], forms[HEAVY + name] = light[name], heavy[name]
    return forms


_UPPER = ((0, 1), (0, 2), (1, 2))
_ROW, _COLUMN = np.array([(i, i) for i in range(N_FLAVOUR)] + [*_UPPER, *_UPPER]).T
"""(9,) entries of a Hermitian matrix that its real coordinates come from: diagonal, real parts above, imaginary parts above."""
_N_REAL = N_FLAVOUR + len(_UPPER)


def _unit_matrices() -> np.ndarray:
    """(9, 3, 3): the Hermitian matrix of each real coordinate."""
    units = np.zeros((9, N_FLAVOUR, N_FLAVOUR), dtype=complex)
    for k, (i, j) in enumerate(zip(_ROW, _COLUMN, strict=True)):
        units[k, i, j] = 1.0 if k < _N_REAL else 1.0j
        units[k, j, i] = np.conj(units[k, i, j])
    return units


def forms_to_vector(forms: Forms, names: tuple[str, ...]) -> Array:
    """Real coordinates of the forms `names`: (sm, then for each name 3 diagonals, 3 real and 3 imaginary parts above)."""
    sm = jnp.reshape(forms["sm"], (1,))
    if not names:
        return sm
    entries = jnp.stack([forms[name] for name in names])[:, _ROW, _COLUMN]
    real, imaginary = jnp.real(entries[:, :_N_REAL]), jnp.imag(entries[:, _N_REAL:])
    return jnp.concatenate([sm, jnp.ravel(jnp.concatenate([real, imaginary], axis=1))])


def vector_to_forms(vector: Array, names: tuple[str, ...]) -> Forms:
    """Inverse of `forms_to_vector`; forms not named are zero."""
    forms: Forms = {name: jnp.zeros((N_FLAVOUR, N_FLAVOUR), dtype=jnp.complex128) for name in ALL_FORMS}
    forms["sm"] = vector[0]
    # One product for all forms: entry by entry, the program of a fit would have thousands of scatters to compile.
    matrices = jnp.einsum("nk,kij->nij", jnp.reshape(vector[1:], (len(names), 9)), jnp.asarray(_unit_matrices()))
    return forms | {name: matrices[k] for k, name in enumerate(names)}


def flavour_traces(density: Array, form: Array, antineutrino: bool) -> Array:
    """Re[(Q rho)_aa] for neutrinos, with Q^T for antineutrinos; (3, ...), the sum of which is `trace`.

    Weighted with K_a and summed it is sum_ab rho_ba Q_ab (K_a + K_b) / 2 for Hermitian Q.
    """
    subscripts = "...ij,...ij->i..." if antineutrino else "...ij,...ji->i..."
    return jnp.real(jnp.einsum(subscripts, form, density))


def is_linear(name: str) -> bool:
    """Whether a form, light or not taken apart, is linear in a coupling, so that its kernel depends on the flavour."""
    return name.removeprefix(LIGHT) in SM_FORMS


def trace(density: Array, form: Array, antineutrino: bool) -> Array:
    """Tr[rho Q] for neutrinos, Tr[rho Q^T] for antineutrinos; real; leading axes of `density` broadcast."""
    subscripts = "...ij,...ij->..." if antineutrino else "...ij,...ji->..."
    return jnp.real(jnp.einsum(subscripts, density, form))
