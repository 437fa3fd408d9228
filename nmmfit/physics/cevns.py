"""Coherent elastic neutrino-nucleus scattering: Standard Model, dipole, scalar and tensor, with all interferences.

Nuclear couplings are those of `TargetCouplings` on protons and neutrons, summed coherently: with n_p = Z F_p and n_n = N F_n,
the charge is n_p, the scalar C_S = n_p s_p + n_n s_n and, in the option "coherent", the tensor t = n_p t_p + n_n t_n of a
spin-1/2 target, the convention of nearly all of the literature (arXiv:2206.13122, eqs. (3.8)-(3.11)). "nonrelativistic"
keeps only what is spin independent: the dipole is shifted, d n_p -> d n_p + M T / e sum_X t_X n_X / m_X, where t_X carries the
combination F_1 - 2 F_2 - 4 F_3 of tensor form factors (`nucleons.target_couplings` with the same option).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit import precision as precision
from nmmfit.constants import FERMI, M_NEUTRON_MEV, M_PROTON_MEV, SIN2_THETA_W_0, electron_charge
from nmmfit.errors import UserInputError, unknown
from nmmfit.physics import spin_half, spin_zero
from nmmfit.physics.nuclei import Nucleus
from nmmfit.physics.nucleons import TENSOR_COHERENCE
from nmmfit.shapes import Array, ArrayLike


@dataclass(frozen=True)
class WeakCharges:
    """Vector couplings of the proton (for nu_e, nu_mu, nu_tau) and of the neutron to the Z, and where they come from."""

    g_p: tuple[float, float, float]
    g_n: float
    source: str


_TREE_G_P = 0.5 - 2.0 * SIN2_THETA_W_0.value
WEAK_CHARGES = {
    "tree": WeakCharges((_TREE_G_P,) * 3, -0.5, "tree level, sin^2 theta_W at zero momentum transfer"),
    "radiative": WeakCharges(
        (0.0382, 0.0300, 0.0256),
        -0.5117,
        "arXiv:1303.5522 as used in arXiv:2303.09360 (from memory; reproduced, nu_tau included, by the formulae of 1303.5522)",
    ),
}
"""By the name that a run file gives. The flavour dependence of "radiative" is the Standard Model charge radius at q^2 = 0."""


def weak_charges_of(name: str) -> WeakCharges:
    """Weak charges by name, "radiative" or "tree". Raises: UserInputError for an unknown name."""
    if name not in WEAK_CHARGES:
        raise unknown("set of weak charges", name, WEAK_CHARGES, "weak_charges")
    return WEAK_CHARGES[name]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Target:
    """What coherent scattering asks of a nucleus: protons, neutrons, mass. A pytree, so that one program serves all nuclei."""

    z: ArrayLike
    n: ArrayLike
    mass_mev: ArrayLike

    @classmethod
    def of(cls, nucleus: Nucleus) -> Target:
        """Numbers of a nuclide."""
        return cls(nucleus.z, nucleus.n, nucleus.mass_mev)


def check_spin(spin: float) -> None:
    """Refuse a target spin other than 0 and 1/2. Raises: UserInputError."""
    if spin not in (0, 0.5):
        raise UserInputError(f"spin: {spin!r} is not implemented; allowed: 0, 0.5 (0.5 stands for every nucleus with spin)")


def check_tensor(tensor_coherence: str, spin: float) -> None:
    """Refuse an unknown tensor coherence, a spin but 0 and 1/2, and a coherent tensor on spin 0. Raises: UserInputError."""
    check_spin(spin)
    if tensor_coherence not in TENSOR_COHERENCE:
        raise unknown("tensor coherence", tensor_coherence, TENSOR_COHERENCE, "tensor_coherence")
    if tensor_coherence == "coherent" and spin == 0:
        raise UserInputError(
            "spin: a spin-0 nucleus has no coherent tensor coupling; use tensor_coherence 'nonrelativistic' or spin 0.5"
        )


def sm_kernel(
    e_nu_mev: ArrayLike,
    t_mev: ArrayLike,
    nucleus: Nucleus | Target,
    f_p: ArrayLike,
    f_n: ArrayLike,
    weak_charges: str = "radiative",
    spin: float = 0.5,
) -> Array:
    """Standard Model d sigma / dT for each flavour, in cm^2/MeV; the same for antineutrinos.

    G_F^2 M / pi [g_V^p Z F_p + g_V^n N F_n]^2 (1 - T/E - M T / (2 E^2) + [spin 1/2: T^2 / (2 E^2)]).

    Args:
        e_nu_mev, t_mev: neutrino and recoil energy, MeV, broadcastable.
        nucleus: the target.
        f_p, f_n: form factors of protons and neutrons at this recoil, broadcastable.
        weak_charges: "radiative" (flavour dependent, arXiv:1303.5522) or "tree".
        spin: 0.5 or 0; the difference, T^2 / (2 E^2), is below 1e-6 of the total.
    Returns: (3, ...); 0 above T_max.
    Raises: UserInputError for an unknown option.
    """
    check_spin(spin)
    charges = weak_charges_of(weak_charges)
    per_proton = jnp.asarray(f_p) * nucleus.z
    per_neutron = jnp.asarray(f_n) * nucleus.n
    axes = jnp.broadcast_shapes(*(jnp.shape(x) for x in (e_nu_mev, t_mev, nucleus.mass_mev, f_p, f_n)))
    g_p = np.reshape(charges.g_p, (3, *(1 for _ in axes)))
    g_v = math.sqrt(2.0) * FERMI.value * (g_p * per_proton + charges.g_n * per_neutron)
    if spin == 0:
        return spin_zero.vector(e_nu_mev, t_mev, nucleus.mass_mev, g_v)
    return spin_half.vector(e_nu_mev, t_mev, nucleus.mass_mev, g_v, g_v)


def vector_kernels(
    e_nu_mev: ArrayLike,
    t_mev: ArrayLike,
    nucleus: Nucleus | Target,
    f_p: ArrayLike,
    f_n: ArrayLike,
    weak_charges: str = "radiative",
    spin: float = 0.5,
) -> dict[str, Array]:
    """d sigma / dT per unit of each form of `forms.NUCLEAR_VECTOR_FORMS`, in cm^2/MeV; the same for antineutrinos.

    The Standard Model with couplings v_p, v_n added has g_V = -sqrt(2) G_F (g_V^p n_p + g_V^n n_n) + v_p n_p + v_n n_n for
    (nubar_L gamma nu_L)(Abar gamma A), so that interference is linear in v_X with a kernel that depends on the flavour.

    Args: as for `sm_kernel`.
    Returns: name -> broadcast shape, or (3, ...), one for each flavour, for the forms linear in a coupling.
    Raises: UserInputError for an unknown option.
    """
    quadratic = quadratic_vector_kernels(e_nu_mev, t_mev, nucleus, f_p, f_n, spin)
    charges = weak_charges_of(weak_charges)
    n_p, n_n = jnp.asarray(f_p) * nucleus.z, jnp.asarray(f_n) * nucleus.n
    point = point_vector(e_nu_mev, t_mev, nucleus, spin)
    axes = jnp.broadcast_shapes(jnp.shape(point), jnp.shape(n_p), jnp.shape(n_n))
    norm = -2.0 * math.sqrt(2.0) * FERMI.value
    by_proton = norm * jnp.reshape(jnp.asarray(charges.g_p), (3, *(1 for _ in axes))) * n_p * point
    by_neutron = norm * jnp.full((3, *(1 for _ in axes)), charges.g_n) * n_n * point
    return quadratic | {
        "sm_vector_pp": by_proton * n_p,
        "sm_vector_pn": by_proton * n_n,
        "sm_vector_np": by_neutron * n_p,
        "sm_vector_nn": by_neutron * n_n,
    }


def quadratic_vector_kernels(
    e_nu_mev: ArrayLike,
    t_mev: ArrayLike,
    nucleus: Nucleus | Target,
    f_p: ArrayLike,
    f_n: ArrayLike,
    spin: float = 0.5,
    m_n_mev: ArrayLike = 0.0,
) -> dict[str, Array]:
    """Those of `vector_kernels` that are quadratic in the couplings, for an outgoing neutral lepton of mass m, MeV.

    A mass belongs to the conjugate of N, which operators (nubar_L^c gamma N_R) make.
    """
    check_spin(spin)
    n_p, n_n = jnp.asarray(f_p) * nucleus.z, jnp.asarray(f_n) * nucleus.n
    point = point_vector(e_nu_mev, t_mev, nucleus, spin, m_n_mev)
    return {"vector_pp": point * n_p**2, "vector_pn": 2.0 * point * n_p * n_n, "vector_nn": point * n_n**2}


def point_vector(
    e_nu_mev: ArrayLike, t_mev: ArrayLike, nucleus: Nucleus | Target, spin: float = 0.5, m_n_mev: ArrayLike = 0.0
) -> Array:
    """d sigma / dT in cm^2/MeV of a vector coupling of 1 GeV^-2 to a point; arguments as for `quadratic_vector_kernels`."""
    if spin == 0:
        return spin_zero.vector(e_nu_mev, t_mev, nucleus.mass_mev, 1.0, m_n_mev)
    return spin_half.vector(e_nu_mev, t_mev, nucleus.mass_mev, 1.0, 1.0, m_n_mev)


def kernels(
    e_nu_mev: ArrayLike,
    t_mev: ArrayLike,
    nucleus: Nucleus | Target,
    f_p: ArrayLike,
    f_n: ArrayLike,
    antineutrino: bool = False,
    tensor_coherence: str = "coherent",
    spin: float = 0.5,
    m_n_mev: ArrayLike = 0.0,
) -> dict[str, Array]:
    """d sigma / dT per unit of each form of `forms.NUCLEAR_FORMS`, in cm^2/MeV.

    Args:
        e_nu_mev, t_mev: neutrino and recoil energy, MeV, broadcastable.
        nucleus: the target.
        f_p, f_n: form factors of protons and neutrons at this recoil, broadcastable.
        antineutrino: whether an antineutrino comes in; flips dipole-scalar and scalar-tensor.
        tensor_coherence: "coherent" or "nonrelativistic" (spin-independent part only); see the module's text.
        spin: 0.5 or 0; the coherent tensor exists for 0.5 only.
        m_n_mev: mass of the outgoing neutral lepton, MeV.
    Returns: name -> broadcast shape; 0 outside the allowed recoils. `dipole` is infinite at T = 0.
    Raises: UserInputError for an unknown option or a coherent tensor on spin 0.
    """
    check_tensor(tensor_coherence, spin)
    coherent = tensor_coherence == "coherent"
    n_p = jnp.asarray(f_p) * nucleus.z
    n_n = jnp.asarray(f_n) * nucleus.n
    arguments = (e_nu_mev, t_mev, nucleus.mass_mev, m_n_mev, antineutrino)
    if spin == 0:
        zero = spin_zero.kernels(*arguments)
        scalar, dipole_scalar, dipole_times_t, dipole = zero.scalar, zero.dipole_scalar, zero.dipole_times_t, zero.dipole
    else:
        half = spin_half.kernels(*arguments)  # with S_1 = S_2 = C_S
        scalar, dipole_scalar = 2.0 * half.s_s + half.s1_s2, 2.0 * half.dipole_scalar
        dipole_times_t, dipole = half.dipole_times_t, half.dipole

    if coherent:
        t_p, t_n = n_p, n_n
        tensor, dipole_tensor, scalar_tensor = half.tensor, n_p * half.dipole_tensor, half.s1_tensor
    else:
        # shift of the dipole amplitude per MeV of recoil and per unit of t_X, in GeV
        shift = nucleus.mass_mev / electron_charge()
        per_mev = 1.0e-3
        t_p = n_p * shift / M_PROTON_MEV.value * per_mev
        t_n = n_n * shift / M_NEUTRON_MEV.value * per_mev
        t = jnp.asarray(t_mev)
        tensor, dipole_tensor, scalar_tensor = dipole_times_t * t, 2.0 * n_p * dipole_times_t, dipole_scalar * t

    return {
        "dipole": dipole * n_p**2,
        "tensor_pp": tensor * t_p**2,
        "tensor_pn": 2.0 * tensor * t_p * t_n,
        "tensor_nn": tensor * t_n**2,
        "dipole_tensor_p": dipole_tensor * t_p,
        "dipole_tensor_n": dipole_tensor * t_n,
        "scalar_pp": scalar * n_p**2,
        "scalar_pn": 2.0 * scalar * n_p * n_n,
        "scalar_nn": scalar * n_n**2,
        "scalar_tensor_pp": scalar_tensor * n_p * t_p,
        "scalar_tensor_pn": scalar_tensor * n_p * t_n,
        "scalar_tensor_np": scalar_tensor * n_n * t_p,
        "scalar_tensor_nn": scalar_tensor * n_n * t_n,
        "dipole_scalar_p": dipole_scalar * n_p * n_p,
        "dipole_scalar_n": dipole_scalar * n_p * n_n,
    }
