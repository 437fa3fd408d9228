"""One cross section for those who want no more than that: `dsigma_dt`, for an electron or a nuclide."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit.checks import broadcasting
from nmmfit.constants import FERMI, M_ELECTRON_MEV
from nmmfit.errors import UserInputError, unknown
from nmmfit.physics import cevns, electron, spin_half, spin_zero
from nmmfit.physics.form_factors import form_factor as named_form_factor
from nmmfit.physics.kinematics import momentum_transfer
from nmmfit.physics.nuclei import (
    NUCLEAR_SPINS,
    Nucleus,
    element_names,
    natural_mixture,
    nucleus,
    nuclide_names,
    target_spin,
)
from nmmfit.physics.photon import ELECTRON_CHARGE_NUMBER, coupling_per_charge
from nmmfit.precision import require_double_precision
from nmmfit.shapes import Array, ArrayLike

FLAVOURS = ("e", "mu", "tau")
NORM = -2.0 * math.sqrt(2.0) * FERMI.value
"""g_LL / g_L of the Standard Model, GeV^-2."""


def dsigma_dt(
    target: str | Nucleus,
    e_nu_mev: ArrayLike,
    t_mev: ArrayLike,
    *,
    flavour: str = "e",
    antineutrino: bool = False,
    sm: bool = True,
    dipole: ArrayLike = 0,
    s1: ArrayLike = 0,
    s2: ArrayLike = 0,
    tensor: ArrayLike = 0,
    vector_left: ArrayLike = 0,
    vector_right: ArrayLike = 0,
    charge_radius_cm2: ArrayLike = 0,
    millicharge: ArrayLike = 0,
    transition_radius_cm2: ArrayLike = 0,
    transition_millicharge: ArrayLike = 0,
    m_n_mev: ArrayLike = 0,
    spin: float | None = None,
    form_factor: str | ArrayLike | tuple[ArrayLike, ArrayLike] | None = None,
    weak_charges: str = "radiative",
    radiative: str = "bks",
    nuclear_spin: str = "half",
) -> Array:
    """Differential cross section d sigma / dT of nu X -> N X off a free target at rest, in cm^2/MeV.

    |Standard Model + vectors + charge radius + millicharge|^2 plus |transition radius + transition millicharge|^2 plus
    |dipole + scalar + tensor|^2, with all interferences, for the Lagrangian of `spin_half` with one final state of each kind: the
    neutrino's own flavour, another flavour, and N. Example, a moment of 1e-11 mu_B:
    `dsigma_dt("e", 0.42, 0.1, sm=False, dipole=1.48152e-9)` is 1.9007e-46.

    Args:
        target: "e", the name of a nuclide such as "Cs133", a `Nucleus`, or a natural element such as "Ge": the mean over its
            isotopes, weighted with their abundances, so that the result is per nucleus of the mixture. s1, s2, tensor and vectors
            then are the same for every isotope; where they depend on N, add the isotopes of `nuclei.natural_mixture` by hand.
        e_nu_mev, t_mev: neutrino energy, > 0, and recoil energy, >= 0, MeV; all arrays broadcast.
        flavour: "e", "mu" or "tau"; only the Standard Model part depends on it.
        antineutrino: whether an antineutrino comes in.
        sm: whether to include the Standard Model (always with a massless final neutrino).
        dipole: d = L_gamma, complex, GeV^-1; |mu| = 2 |d|. Double it for an operator that breaks lepton number.
        s1, s2, tensor: couplings L^{S,RR}, L^{S,RL}, L^{T,RR} to the target as a whole, complex, GeV^-2; for a nuclide, nuclear
            couplings at zero momentum transfer (Z and N included: t = sum_q L^T_q (Z delta_q^p + N delta_q^n), and so on).
        vector_left, vector_right: what is added to g_LL and g_LR of the target as a whole, real, GeV^-2; for a nuclide as s1,
            with Z and N included. A coupling that changes the flavour adds no interference: give its absolute value with
            sm=False.
        charge_radius_cm2: <r^2> beyond the Standard Model's (which is in its couplings), real, cm^2; adds
            (2 pi alpha / 3) <r^2> Q to g_LL and g_LR of a target of charge Q, in a nuclide Z F_p.
        millicharge: charge of the neutrino in units of e, real; as a charge radius of 6 q / q^2, q^2 = -2 M T.
        transition_radius_cm2, transition_millicharge: the same between the incoming flavour and another one, complex; they
            interfere with each other only. For a second final flavour add the cross section of its own, with sm=False.
        m_n_mev: mass of the outgoing N, MeV, >= 0; vector couplings have massless final states.
        spin: 0.5 or 0 (nuclides; C_S = (s1 + s2) / 2, no tensor); None: what `nuclear_spin` says.
        form_factor: nuclides only. None: "helm" with the nuclide's radii for protons and neutrons; another name of
            `form_factors.FORM_FACTORS`; a number or array for protons and neutrons alike (1: a point); a pair (F_p, F_n).
            The dipole, charge radius and millicharge come with Z F_p, the others with (Z F_p + N F_n) / A.
        weak_charges: of nuclides, "radiative" or "tree".
        radiative: corrections for electrons, "bks", "rho_kappa" or "none".
        nuclear_spin: "half", 0.5 for every target, the literature's convention; "true", 0 for nuclides of spin 0.
    Returns: broadcast shape; 0 outside the allowed recoils. A dipole and millicharges diverge at T = 0.
    Raises: UserInputError for an unknown name, a value that is not finite or out of range, shapes that do not fit together, or a
        combination that does not exist.
    """
    require_double_precision()
    if isinstance(target, str) and target in element_names():
        options: dict[str, Any] = {
            "flavour": flavour, "antineutrino": antineutrino, "sm": sm, "dipole": dipole, "s1": s1, "s2": s2, "tensor": tensor,
            "m_n_mev": m_n_mev, "spin": spin, "form_factor": form_factor, "weak_charges": weak_charges, "radiative": radiative,
            "nuclear_spin": nuclear_spin, "vector_left": vector_left, "vector_right": vector_right,
            "charge_radius_cm2": charge_radius_cm2, "millicharge": millicharge,
            "transition_radius_cm2": transition_radius_cm2, "transition_millicharge": transition_millicharge,
        }  # fmt: skip
        parts = [fraction * dsigma_dt(one, e_nu_mev, t_mev, **options) for one, fraction in natural_mixture(target)]
        return jnp.asarray(sum(parts))
    if flavour not in FLAVOURS:
        raise unknown("flavour", flavour, FLAVOURS, "flavour")
    if weak_charges not in cevns.WEAK_CHARGES:
        raise unknown("set of weak charges", weak_charges, cevns.WEAK_CHARGES, "weak_charges")
    if radiative not in electron.RADIATIVE:
        raise unknown("radiative correction", radiative, electron.RADIATIVE, "radiative")
    _check_range("e_nu_mev", e_nu_mev, positive=True)
    _check_range("t_mev", t_mev)
    _check_range("m_n_mev", m_n_mev)
    transition = {"transition_radius_cm2": transition_radius_cm2, "transition_millicharge": transition_millicharge}
    amplitudes = {"dipole": dipole, "s1": s1, "s2": s2, "tensor": tensor} | transition
    for name, value in amplitudes.items():
        _check_finite(name, value)
    if form_factor is not None and not isinstance(form_factor, str):
        for value in form_factor if isinstance(form_factor, tuple) else (form_factor,):
            _check_finite("form_factor", value)
    given = {"e_nu_mev": e_nu_mev, "t_mev": t_mev, "m_n_mev": m_n_mev} | amplitudes
    vectors = {
        "vector_left": vector_left,
        "vector_right": vector_right,
        "charge_radius_cm2": charge_radius_cm2,
        "millicharge": millicharge,
    }
    for name, value in vectors.items():
        _check_real(name, value)
    _check_shapes(given | vectors, form_factor)
    has_vectors = not all(_is_zero(value) for value in vectors.values())
    has_transition = not all(_is_zero(value) for value in transition.values())
    if nuclear_spin not in NUCLEAR_SPINS:
        raise unknown("nuclear spin", nuclear_spin, NUCLEAR_SPINS, "nuclear_spin")
    if spin is None:
        is_nuclide = isinstance(target, Nucleus) or target != "e"
        spin = target_spin(target if isinstance(target, Nucleus) else _nuclide(target), nuclear_spin) if is_nuclide else 0.5
    cevns.check_spin(spin)
    d, a, b, t = (jnp.asarray(x) for x in (dipole, s1, s2, tensor))
    index = FLAVOURS.index(flavour)
    total: Array | float = 0.0

    if isinstance(target, str) and target == "e":
        if spin != 0.5 or form_factor is not None:
            raise UserInputError("dsigma_dt: an electron is a point of spin 0.5; spin and form_factor are for nuclides")
        mass, charge = M_ELECTRON_MEV.value, jnp.asarray(ELECTRON_CHARGE_NUMBER)
        if has_vectors:
            left, right = (sm * NORM * g[index] for g in electron.couplings(t_mev, radiative))
            photon = charge * coupling_per_charge(charge_radius_cm2, millicharge, t_mev, mass)
            g_ll, g_lr = left + vector_left + photon, right + vector_right + photon
            total = electron.vector_pieces(e_nu_mev, t_mev, g_ll**2, g_lr**2, g_ll * g_lr, radiative, antineutrino)
        elif sm:
            total = electron.sm_kernel(e_nu_mev, t_mev, radiative, antineutrino)[index]
        if has_transition:
            other = charge * coupling_per_charge(transition_radius_cm2, transition_millicharge, t_mev, mass)
            square = _product(other, other)
            total = total + electron.vector_pieces(e_nu_mev, t_mev, square, square, square, radiative, antineutrino)
    else:
        nuclide = target if isinstance(target, Nucleus) else _nuclide(target)
        mass = nuclide.mass_mev
        f_p, f_n = _form_factors(form_factor, nuclide, t_mev)
        charge = nuclide.z * f_p
        mean = (nuclide.z * f_p + nuclide.n * f_n) / nuclide.a
        a, b, t = mean * a, mean * b, mean * t
        if has_vectors:
            weak = cevns.weak_charges_of(weak_charges)
            g_v = sm * 0.5 * NORM * (weak.g_p[index] * charge + weak.g_n * nuclide.n * f_n)
            g_v = g_v + charge * coupling_per_charge(charge_radius_cm2, millicharge, t_mev, mass)
            g_ll, g_lr = g_v + mean * jnp.asarray(vector_left), g_v + mean * jnp.asarray(vector_right)
            if spin == 0:
                total = spin_zero.vector(e_nu_mev, t_mev, mass, 0.5 * (g_ll + g_lr))
            else:
                g_ll, g_lr = (g_lr, g_ll) if antineutrino else (g_ll, g_lr)
                total = spin_half.vector(e_nu_mev, t_mev, mass, g_ll, g_lr)
        elif sm:
            total = cevns.sm_kernel(e_nu_mev, t_mev, nuclide, f_p, f_n, weak_charges, spin)[index]
        if has_transition:
            other = charge * coupling_per_charge(transition_radius_cm2, transition_millicharge, t_mev, mass)
            square = _product(other, other)
            total = total + square * cevns.point_vector(e_nu_mev, t_mev, nuclide, spin)

    if spin == 0:
        if not _is_zero(tensor):
            raise UserInputError("tensor: a spin-0 nucleus has no tensor coupling of its own; use spin 0.5, or shift the dipole")
        zero = spin_zero.kernels(e_nu_mev, t_mev, mass, m_n_mev, antineutrino)
        c_s = 0.5 * (a + b)
        total = total + zero.scalar * _product(c_s, c_s) + zero.dipole_scalar * charge * _product(d, c_s)
        kernel = zero.dipole
    else:
        half = spin_half.kernels(e_nu_mev, t_mev, mass, m_n_mev, antineutrino)
        total = (
            total
            + half.s_s * (_product(a, a) + _product(b, b))
            + half.s1_s2 * _product(a, b)
            + half.tensor * _product(t, t)
            + half.s1_tensor * _product(a, t)
            + half.dipole_scalar * charge * _product(d, a + b)
            + half.dipole_tensor * charge * _product(d, t)
        )
        kernel = half.dipole
    if not _is_zero(dipole):  # its kernel is infinite at T = 0
        total = total + kernel * charge**2 * _product(d, d)
    for value in (millicharge, transition_millicharge):
        if not _is_zero(value):
            total = jnp.where((jnp.asarray(t_mev) > 0.0) | (jnp.asarray(value) == 0.0), total, jnp.inf)
    return jnp.asarray(total)


def _product(x: Array, y: Array) -> Array:
    return jnp.real(x * jnp.conj(y))


def _nuclide(name: Any) -> Nucleus:
    names = nuclide_names()
    if not isinstance(name, str) or name not in names:
        raise unknown("target", str(name), ("e", *element_names(), *names), "target")
    return nucleus(name)


def _form_factors(choice: Any, nuclide: Nucleus, t_mev: ArrayLike) -> tuple[Array, Array]:
    """(F_p, F_n) at the given recoil energies."""
    if choice is None or isinstance(choice, str):
        function = named_form_factor("helm" if choice is None else choice)
        q = momentum_transfer(t_mev, nuclide.mass_mev)
        return function(q, nuclide.r_p_fm), function(q, nuclide.r_n_fm)
    if isinstance(choice, tuple):
        if len(choice) != 2:
            raise UserInputError(f"form_factor: a tuple is a pair (F_p, F_n); got {len(choice)} entries")
        return jnp.asarray(choice[0]), jnp.asarray(choice[1])
    return jnp.asarray(choice), jnp.asarray(choice)


def _concrete(value: Any) -> np.ndarray | None:
    """The value as a numpy array, None while it is being traced (traced code does not raise)."""
    return None if isinstance(value, jax.core.Tracer) else np.asarray(value)


def _is_zero(value: Any) -> bool:
    known = _concrete(value)
    return known is not None and not np.any(known)


def _check_finite(name: str, value: Any) -> None:
    known = _concrete(value)
    if known is not None and not (np.issubdtype(known.dtype, np.number) and np.all(np.isfinite(known))):
        raise UserInputError(f"{name}: must be a finite number; got {value!r}")


def _check_real(name: str, value: Any) -> None:
    _check_finite(name, value)
    known = _concrete(value)
    if known is not None and np.iscomplexobj(known):
        raise UserInputError(f"{name}: must be real, as the operator is Hermitian; got {value!r}")


def _check_shapes(given: dict[str, Any], form_factor: Any) -> None:
    """Refuse arrays that do not broadcast, naming their shapes."""
    if form_factor is not None and not isinstance(form_factor, str):
        given = {**given, "form_factor": form_factor[0] if isinstance(form_factor, tuple) else form_factor}
        if isinstance(form_factor, tuple):
            given["form_factor of neutrons"] = form_factor[-1]
    broadcasting(given, "dsigma_dt")


def _check_range(name: str, value: Any, positive: bool = False) -> None:
    _check_finite(name, value)
    known = _concrete(value)
    if known is None:
        return
    if np.iscomplexobj(known) or np.any(known < 0.0) or (positive and np.any(known == 0.0)):
        bad = known[(known <= 0.0) if positive else (known < 0.0)] if not np.iscomplexobj(known) else known
        raise UserInputError(f"{name}: must be real and {'> 0' if positive else '>= 0'}; got {np.ravel(bad)[0]}")
