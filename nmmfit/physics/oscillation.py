"""Neutrino mixing, and what arrives at the Earth from the Sun: adiabatic conversion as a flavour density matrix.

A nu_e born at electron density n_e leaves the Sun adiabatically as a mixture of mass eigenstates, whose relative phases
average out on the way: rho = sum_i P_ei |nu_i><nu_i|. With |nu_i> = sum_a U_ai |nu_a> this is rho = U diag(P_e) U^dagger in the
flavour basis in which U has the form of the PDG review, so phases of couplings are relative to that basis.

    P_e1 = c13^2 (1 + <cos 2 theta_m>) / 2,  P_e2 = c13^2 (1 - <cos 2 theta_m>) / 2,  P_e3 = s13^2,
    cos 2 theta_m = (cos 2 theta_12 - beta) / sqrt((cos 2 theta_12 - beta)^2 + sin^2 2 theta_12),
    beta = 2 sqrt(2) G_F n_e c13^2 E / dm21

(arXiv:2204.03011, appendix A, whose phase convention puts delta into the 12 rotation: their flavour basis is ours with nu_e
rephased by exp(i delta)). Not included: regeneration in the Earth (a day-night effect of about 3 % of the 8B rate, below 0.1 %
at the energy of 7Be), non-adiabatic corrections (negligible in LMA), matter effects on theta_13 (below 0.003 in any element).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from numpyro import distributions as dist

from nmmfit import precision as precision
from nmmfit.constants import FERMI
from nmmfit.errors import unknown
from nmmfit.numerics.mixing import standard_mixing_matrix
from nmmfit.shapes import Array, Hermitian, Points
from nmmfit.units import AVOGADRO_PER_MOL, HBAR_C_MEV_FM

_DEGREE = math.pi / 180.0


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class OscillationParameters:
    """Mixing parameters, scalars: squared sines, CP phase in radians, mass splittings in eV^2 (dm21 > 0). A pytree.

    The defaults are the preset "capozzi2025".
    """

    s12sq: Array | float = 0.3085
    s13sq: Array | float = 0.02215
    s23sq: Array | float = 0.470
    delta_cp: Array | float = 212.0 * _DEGREE
    dm21: Array | float = 7.48e-5
    dm31: Array | float = 2.513e-3


@dataclass(frozen=True)
class OscillationPreset:
    """A published set of mixing parameters with its source and how far the numbers were checked."""

    parameters: OscillationParameters
    source: str
    status: str


_NUFIT60 = "NuFIT 6.0 (arXiv:2410.05380), normal ordering, IC24 with SK atmospheric data"
OSCILLATION_PRESETS: Mapping[str, OscillationPreset] = {
    "capozzi2025": OscillationPreset(
        OscillationParameters(),
        f"s12sq, dm21: arXiv:2511.21650, abstract (global fit with first JUNO data); the rest: {_NUFIT60}",
        "s12sq, dm21 read in the abstract; the rest seen in public codes",
    ),
    "juno2025": OscillationPreset(
        OscillationParameters(s12sq=0.3092, dm21=7.50e-5),
        f"s12sq, dm21: JUNO, 59.1 days, arXiv:2511.14593, abstract; the rest: {_NUFIT60}",
        "s12sq, dm21 read in the abstract; the rest seen in public codes",
    ),
    "nufit60_sk": OscillationPreset(
        OscillationParameters(s12sq=0.308, dm21=7.49e-5), _NUFIT60, "central values seen in public codes"
    ),
    "nufit60_nosk": OscillationPreset(
        OscillationParameters(0.307, 0.02195, 0.561, 177.0 * _DEGREE, 7.49e-5, 2.534e-3),
        "NuFIT 6.0 (arXiv:2410.05380), normal ordering, IC19 without SK atmospheric data",
        "angles and phase seen in third-party parameter files; dm31 from memory of the paper; unverified",
    ),
    "nufit61_sk": OscillationPreset(
        OscillationParameters(0.3088, 0.02248, 0.470, 212.0 * _DEGREE, 7.537e-5, 2.511e-3),
        "NuFIT 6.1 (www.nu-fit.org), normal ordering, IC24 with SK atmospheric data",
        "central values from a third-party note",
    ),
}

# One-sigma widths of the default constraint and their correlation: arXiv:2511.21650, abstract.
S12SQ_ERROR, DM21_ERROR, S12SQ_DM21_CORRELATION = 0.0073, 0.10e-5, -0.20
# NuFIT 6.0 with SK: +0.00056 -0.00058; +0.017 -0.013 (first octant); +26 -41 degrees; symmetrised. From memory of the paper;
# unverified.
S13SQ_ERROR, S23SQ_ERROR, DELTA_CP_ERROR = 0.00057, 0.015, 33.0 * _DEGREE

OSCILLATION_PULLS = ("oscillation.s12sq", "oscillation.dm21", "oscillation.s13sq")
OPTIONAL_OSCILLATION_PULLS = ("oscillation.s23sq", "oscillation.delta_cp")


def oscillation_preset(name: str) -> OscillationParameters:
    """Mixing parameters of a preset. Raises: UserInputError if there is no such preset."""
    if name not in OSCILLATION_PRESETS:
        raise unknown("oscillation preset", name, OSCILLATION_PRESETS)
    return OSCILLATION_PRESETS[name].parameters


def oscillation_pull_priors(names: tuple[str, ...] = OSCILLATION_PULLS) -> dict[str, dist.Distribution]:
    """Priors of the shared mixing pulls, independent unit normals. Raises: UserInputError for an unknown name."""
    allowed = OSCILLATION_PULLS + OPTIONAL_OSCILLATION_PULLS
    for name in names:
        if name not in allowed:
            raise unknown("oscillation pull", name, allowed)
    return {name: dist.Normal(0.0, 1.0) for name in names}


def oscillation_from_pulls(pulls: Mapping[str, Array]) -> OscillationParameters:
    """Mixing parameters at given pulls; 0 is the preset "capozzi2025"; a pull that is not there stays at 0.

    The published errors of s12sq and dm21 are correlated (-0.20). Cholesky makes the pulls independent:
    s12sq = 0.3085 + 0.0073 p1, dm21 = 7.48e-5 + 0.10e-5 (rho p1 + sqrt(1 - rho^2) p2), with p1 = oscillation.s12sq and
    p2 = oscillation.dm21, so p2 is what dm21 has of its own. The others are linear with their own errors; s23sq and
    delta_cp are a Gaussian picture of a non-Gaussian result (two octants), for off-diagonal or mu-tau-dependent couplings.
    """
    zero = jnp.asarray(0.0)
    p1, p2, p13, p23, pcp = (pulls.get(name, zero) for name in OSCILLATION_PULLS + OPTIONAL_OSCILLATION_PULLS)
    rho = S12SQ_DM21_CORRELATION
    nominal = OscillationParameters()
    return OscillationParameters(
        s12sq=nominal.s12sq + S12SQ_ERROR * p1,
        s13sq=nominal.s13sq + S13SQ_ERROR * p13,
        s23sq=nominal.s23sq + S23SQ_ERROR * p23,
        delta_cp=nominal.delta_cp + DELTA_CP_ERROR * pcp,
        dm21=nominal.dm21 + DM21_ERROR * (rho * p1 + math.sqrt(1.0 - rho**2) * p2),
        dm31=nominal.dm31,
    )


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class ProductionRegion:
    """Where neutrinos are born, as a quadrature over the electron density: `n_e_mol_cm3` (node,), `weight` (node,) with sum 1."""

    n_e_mol_cm3: Array
    weight: Array


def matter_potential_ev(n_e_mol_cm3: Points) -> Points:
    """Charged-current potential sqrt(2) G_F n_e in eV; 7.6324e-14 eV per mol/cm^3."""
    hbar_c_gev_cm = HBAR_C_MEV_FM * 1e-3 * 1e-13
    per_mol = math.sqrt(2.0) * FERMI.value * AVOGADRO_PER_MOL * hbar_c_gev_cm**3 * 1e9
    return per_mol * jnp.asarray(n_e_mol_cm3)


def pmns_matrix(parameters: OscillationParameters) -> Array:
    """Mixing matrix U, (3, 3) complex, rows e, mu, tau, in the PDG form R23 diag(1, 1, e^{i d}) R13 diag(1, 1, e^{-i d}) R12."""
    p = parameters
    s12, s13, s23 = (jnp.sqrt(jnp.asarray(x, dtype=jnp.float64)) for x in (p.s12sq, p.s13sq, p.s23sq))
    c12, c13, c23 = (jnp.sqrt(1.0 - jnp.asarray(x, dtype=jnp.float64)) for x in (p.s12sq, p.s13sq, p.s23sq))
    w = s13 * jnp.exp(1j * jnp.asarray(p.delta_cp, dtype=jnp.float64))
    return standard_mixing_matrix((s12, c12), (s23, c23), (w, c13))


def matter_cos_2theta(parameters: OscillationParameters, e_nu_mev: Points, n_e_mol_cm3: Points) -> Points:
    """Cosine of twice the 12 mixing angle at the place of birth; cos 2 theta_12 in vacuum, -1 at high density.

    Args:
        e_nu_mev: neutrino energy, MeV, >= 0; n_e_mol_cm3: electron density, mol/cm^3, >= 0; they broadcast.
    """
    p = parameters
    cos_2theta = 1.0 - 2.0 * jnp.asarray(p.s12sq)
    sin_2theta_sq = 4.0 * jnp.asarray(p.s12sq) * (1.0 - jnp.asarray(p.s12sq))
    e_ev = 1e6 * jnp.asarray(e_nu_mev)
    beta = 2.0 * matter_potential_ev(n_e_mol_cm3) * (1.0 - jnp.asarray(p.s13sq)) * e_ev / jnp.asarray(p.dm21)
    return (cos_2theta - beta) / jnp.sqrt((cos_2theta - beta) ** 2 + sin_2theta_sq)


def mean_matter_cos_2theta(parameters: OscillationParameters, e_nu_mev: Points, region: ProductionRegion) -> Points:
    """`matter_cos_2theta` averaged over a production region, shape of `e_nu_mev`."""
    e = jnp.asarray(e_nu_mev)[..., None]
    return jnp.sum(region.weight * matter_cos_2theta(parameters, e, region.n_e_mol_cm3), axis=-1)


def solar_mass_probabilities(parameters: OscillationParameters, e_nu_mev: Points, region: ProductionRegion) -> Array:
    """Probabilities (P_e1, P_e2, P_e3) to leave the Sun as a mass eigenstate, (..., 3), sum 1."""
    mean = mean_matter_cos_2theta(parameters, e_nu_mev, region)
    s13sq = jnp.asarray(parameters.s13sq, dtype=jnp.float64)
    p1 = (1.0 - s13sq) * 0.5 * (1.0 + mean)
    p2 = (1.0 - s13sq) * 0.5 * (1.0 - mean)
    return jnp.stack([p1, p2, jnp.broadcast_to(s13sq, p1.shape)], axis=-1)


def solar_density_matrix(parameters: OscillationParameters, e_nu_mev: Points, region: ProductionRegion) -> Hermitian:
    """Flavour density matrix of solar neutrinos at the Earth by day, (..., 3, 3); Hermitian, positive, trace 1.

    Args:
        parameters: mixing parameters (differentiable in all of them; dm31 does not enter).
        e_nu_mev: neutrino energy, MeV, any shape (...).
        region: production region of the component.
    Returns: rho_ab = sum_i P_ei U_ai U*_bi; rho_ee is the survival probability c13^4 P_ee^{2 nu} + s13^4.
    """
    u = pmns_matrix(parameters)
    p = solar_mass_probabilities(parameters, e_nu_mev, region)
    projectors = jnp.einsum("ai,bi->iab", u, jnp.conj(u))
    return jnp.einsum("...i,iab->...ab", p.astype(jnp.complex128), projectors)


def survival_probability(parameters: OscillationParameters, e_nu_mev: Points, region: ProductionRegion) -> Points:
    """Probability that a solar neutrino arrives as nu_e by day, sum_i P_ei |U_ei|^2, shape of `e_nu_mev`.

    The entry [e, e] of `solar_density_matrix`, without the phases that drop out: a constraint with second derivatives in it
    compiles several times faster.
    """
    s12sq, s13sq = (jnp.asarray(x, dtype=jnp.float64) for x in (parameters.s12sq, parameters.s13sq))
    arrival = jnp.stack([(1.0 - s12sq) * (1.0 - s13sq), s12sq * (1.0 - s13sq), s13sq])
    return solar_mass_probabilities(parameters, e_nu_mev, region) @ arrival
