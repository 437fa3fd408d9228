"""Effective moments of a matrix of neutrino moments: what reactors, the SNS, the Sun and plasmons in stars see of it.

The matrices themselves (from coefficients, between bases, parametrised) are made by `nmmfit.physics.dipole_matrix`.
"""

from __future__ import annotations

import functools
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit.checks import finite_number
from nmmfit.errors import UserInputError, unknown
from nmmfit.physics.dipole_matrix import (
    COUNTINGS,
    checked_matrix,
    majorana_phases,
    mass_state_moment_squared,
    moment_squared,
    plasmon_squared,
    real_numbers,
    to_flavour_basis,
    to_mass_basis,
)
from nmmfit.physics.moments import MOMENTS, named_density, root_of_square
from nmmfit.physics.oscillation import OscillationParameters, pmns_matrix, solar_mass_probabilities
from nmmfit.physics.plasmon import plasmon_mass_factor
from nmmfit.physics.solar import SOLAR_COMPONENTS, SOLAR_LINES, SOLAR_MODELS, production_region, solar_sources
from nmmfit.precision import require_double_precision
from nmmfit.priors import LARGEST_NUMBER
from nmmfit.shapes import Array

Basis = Literal["flavour", "mass"]
BASES: tuple[Basis, ...] = ("flavour", "mass")
SolarMethod = Literal["density_matrix", "mass_states", "seed_faithful"]
SOLAR_METHODS: tuple[SolarMethod, ...] = ("density_matrix", "mass_states", "seed_faithful")
LARGEST_ENERGY_MEV = 20.0
"""Beyond the end of the solar spectrum, 18.8 MeV."""
EQUALITY_TOLERANCE = 1e-9
"""How equal moments must be, relative to the largest, for the identity of arXiv:2206.13122, eq. (3.7)."""


def effective_moments(
    matrix: Any,
    kind: str,
    *,
    basis: str = "flavour",
    oscillation: OscillationParameters | None = None,
    alpha1: Any = 0.0,
    alpha2: Any = 0.0,
    component: str = "be7",
    energy_mev: Any = None,
    solar_model: str = "b16_gs98",
    solar: str = "density_matrix",
    plasmon: str = "pairs",
    m_n_mev: Any = 0.0,
    plasmon_mass_mev: Any = None,
) -> dict[str, Array]:
    """Effective moments of a matrix of moments, in mu_B.

    >>> import nmmfit
    >>> moments = nmmfit.effective_moments([[1e-11, 0, 0], [0, 2e-11, 0], [0, 0, 2e-11]], kind="dirac")
    >>> f"{moments['reactor_e']:.3g} {moments['sns_mu']:.3g} {moments['solar']:.3g} {moments['plasmon']:.3g}"
    '1e-11 2e-11 1.56e-11 3e-11'

    Args:
        matrix: mu_B, complex: (..., 3, n) for "dirac", antisymmetric (..., 3, 3) for "majorana"; rows are the neutrino that
            arrives. Leading axes batch. Conventions: `nmmfit.physics.dipole_matrix`.
        kind: "dirac" or "majorana".
        basis: "flavour", or "mass" for U^dagger mu U_R (U^dagger mu U^*); for Dirac neutrinos U_R does not matter.
        oscillation: mixing parameters; the preset "capozzi2025" if absent.
        alpha1, alpha2: phases of Majorana neutrinos, radians, scalars; they matter in the mass basis only.
        component, energy_mev, solar_model: solar neutrinos: component of the flux, energy in MeV (scalar or (energy,); absent:
            the strongest line, or the mean over a continuous spectrum) and solar model. The default is 7Be at 0.862 MeV.
        solar: "density_matrix", Tr[rho mu mu^dagger]; "mass_states", the same as a sum over mass states that arrive
            incoherently; or "seed_faithful", mu_solar = |2 L| or |4 L| of one entry (arXiv:2206.13122, eq. (3.7)), for Dirac
            moments proportional to the unit matrix, where it is exact, and Majorana moments of one size, where it is too small
            by sqrt(2) if they are those of the mass basis.
        plasmon: "pairs" or "entries", how Majorana pairs are counted (`physics.dipole_matrix.plasmon_squared`).
        m_n_mev: masses of the N of the columns, MeV, scalar or (n,); where they differ, the columns are mass states of N in both
            bases. They enter plasmon decay (`physics.plasmon.plasmon_mass_factor`). The other moments are sizes of couplings,
            whatever the masses; what scattering makes of a massive N is `dsigma_dt(m_n_mev=...)`. Majorana neutrinos have none.
        plasmon_mass_mev: invariant mass K of the plasmon, MeV, scalar; needed where an N has a mass.
    Returns: `reactor_e`, `sns_mu`, `sns_e`, `solar`, `plasmon`, each (...), >= 0; `solar` has a last axis for an axis of
        energies. Differentiable in matrix, oscillation, phases and energy; the gradient at zero is given as 0. What is traced is
        not checked.
    Raises: UserInputError for an unknown name, a wrong shape, entries that are not finite or not antisymmetric, mixing
        parameters, phases, energies or masses out of range, and "seed_faithful" for a matrix that its assumption does not cover.
    """
    require_double_precision()
    mu = checked_matrix(matrix, kind)
    named = (("basis", basis, BASES), ("solar method", solar, SOLAR_METHODS), ("solar component", component, SOLAR_COMPONENTS))
    for what, given, allowed in (*named, ("solar model", solar_model, SOLAR_MODELS), ("counting of pairs", plasmon, COUNTINGS)):
        if given not in allowed:
            raise unknown(what, given, allowed)
    parameters = _checked_oscillation(OscillationParameters() if oscillation is None else oscillation)
    for where, value in (("alpha1", alpha1), ("alpha2", alpha2)):
        if not isinstance(value, jax.core.Tracer) and finite_number(value, where) != 0.0 and kind == "dirac":
            raise UserInputError(f"{where} = {value:g}: Dirac neutrinos have no Majorana phases; leave it out")
    if not isinstance(mu, jax.core.Tracer):
        if np.max(np.abs(np.asarray(mu)), initial=0.0) > LARGEST_NUMBER:
            raise UserInputError(f"matrix: moments must lie within +-{LARGEST_NUMBER:g} mu_B; their squares overflow")
        if solar == "seed_faithful":
            _check_universal(np.asarray(mu), kind)
    factor = _plasmon_factor(m_n_mev, plasmon_mass_mev, kind, mu.shape[-1])
    energy, weight = _energies(component, energy_mev, solar_model)
    region = production_region(component, solar_model)
    squares = _squares(
        mu, parameters, jnp.asarray(alpha1), jnp.asarray(alpha2), energy, weight, region, factor, kind, basis, solar, plasmon
    )
    if energy_mev is None or np.ndim(energy_mev) == 0:
        squares["solar"] = squares["solar"][..., 0]
    return {name: root_of_square(squares[name]) for name in MOMENTS}


@functools.partial(jax.jit, static_argnames=("kind", "basis", "solar", "plasmon"))
def _squares(
    mu: Array,
    parameters: OscillationParameters,
    alpha1: Array,
    alpha2: Array,
    energy: Array,
    weight: Array,
    region: Any,
    factor: Array,
    kind: str,
    basis: str,
    solar: str,
    plasmon: str,
) -> dict[str, Array]:
    """Squared moments; `solar` with an axis for the rows of `energy`, (row, node), each averaged with `weight`."""
    u = pmns_matrix(parameters) * majorana_phases(alpha1, alpha2)
    flavour = mu if basis == "flavour" else to_flavour_basis(mu, u, kind)
    found = {name: moment_squared(flavour, *named_density(name)) for name in ("reactor_e", "sns_mu", "sns_e")}
    if solar == "seed_faithful":
        entries = 3 if kind == "dirac" else 6
        one = jnp.sum(jnp.real(mu * jnp.conj(mu)), axis=(-2, -1)) / entries
        found["solar"] = jnp.broadcast_to(one[..., None], (*one.shape, energy.shape[0]))
    else:
        probabilities = jnp.einsum("en,enk->ek", weight, solar_mass_probabilities(parameters, energy, region))
        if solar == "density_matrix":
            density = jnp.einsum("ek,ak,bk->eab", probabilities.astype(jnp.complex128), u, jnp.conj(u))
            found["solar"] = moment_squared(flavour[..., None, :, :], density)
        else:
            mass = mu if basis == "mass" else to_mass_basis(mu, u, kind)
            found["solar"] = mass_state_moment_squared(mass[..., None, :, :], probabilities)
    found["plasmon"] = plasmon_squared(mu, kind, plasmon, factor)
    return found


def _plasmon_factor(m_n_mev: Any, plasmon_mass_mev: Any, kind: str, columns: int) -> Array:
    """What each column of the matrix counts in plasmon decay, scalar or (n,); masses being traced are not looked at."""
    mass = real_numbers(m_n_mev, "m_n_mev")
    if mass.ndim > 1 or (mass.ndim == 1 and mass.shape[0] != columns):
        raise UserInputError(f"m_n_mev: expected a number or one for each of the {columns} N, got shape {mass.shape}")
    # Under jit the array is traced even where the numbers given are not.
    if not _traced(m_n_mev):
        values = np.asarray(m_n_mev, dtype=float)
        if not np.all(np.isfinite(values)) or np.any(values < 0.0):
            raise UserInputError(
                f"m_n_mev: masses are finite and at least 0 MeV, got {', '.join(f'{m:g}' for m in values.ravel())}"
            )
        if kind == "majorana" and np.any(values > 0.0):
            raise UserInputError("m_n_mev: Majorana moments are between the three light neutrinos; leave it out")
        if not np.any(values > 0.0):
            return jnp.ones(())
    if plasmon_mass_mev is None:
        raise UserInputError("plasmon_mass_mev: a massive N needs the mass of the plasmon that decays, in MeV")
    invariant = real_numbers(plasmon_mass_mev, "plasmon_mass_mev")
    if invariant.ndim > 0:
        raise UserInputError(f"plasmon_mass_mev: expected a number, got shape {invariant.shape}")
    if not _traced(plasmon_mass_mev) and not 0.0 < float(plasmon_mass_mev) < np.inf:
        raise UserInputError(f"plasmon_mass_mev: expected finite and above 0 MeV, got {float(plasmon_mass_mev):g}")
    return plasmon_mass_factor(mass, invariant)


def _traced(given: Any) -> bool:
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(given))


def _energies(component: str, energy_mev: Any, model: str) -> tuple[Array, Array]:
    """Energies (row, node) in MeV and weights with sum 1 in each row."""
    if energy_mev is None:
        if component in SOLAR_LINES:
            lines, branching = SOLAR_LINES[component]
            return jnp.asarray([[lines[int(np.argmax(branching))]]]), jnp.ones((1, 1))
        nodes, weight = solar_sources(model)[component].quadrature()
        return jnp.asarray(nodes)[None], jnp.asarray(weight / weight.sum())[None]
    energy = real_numbers(energy_mev, "energy_mev")
    if energy.ndim > 1:
        raise UserInputError(f"energy_mev: expected a number or shape (energy,), got {energy.shape}")
    if not isinstance(energy, jax.core.Tracer):
        values = np.asarray(energy)
        given = ", ".join(f"{e:g}" for e in values.ravel()[:5])
        if not np.all((values >= 0.0) & (values <= LARGEST_ENERGY_MEV)):
            allowed = f"between 0 and {LARGEST_ENERGY_MEV:g} MeV"
            raise UserInputError(f"energy_mev: energies of solar neutrinos lie {allowed}, got {given}")
    column = jnp.reshape(energy, (-1, 1))
    return column, jnp.ones_like(column)


def _checked_oscillation(parameters: OscillationParameters) -> OscillationParameters:
    """Mixing parameters that make U unitary and conversion meaningful; those traced are not looked at."""
    if not isinstance(parameters, OscillationParameters):
        raise UserInputError(f"oscillation: expected OscillationParameters, got {type(parameters).__name__}")
    for name in ("s12sq", "s13sq", "s23sq", "delta_cp", "dm21"):
        given = getattr(parameters, name)
        if isinstance(given, jax.core.Tracer):
            continue
        value = finite_number(given, f"oscillation: {name}")
        if name.endswith("sq") and not 0.0 <= value <= 1.0:
            raise UserInputError(f"oscillation: {name} = {value:g} is out of range (allowed: 0 to 1); the mixing is not unitary")
        if name == "dm21" and value <= 0.0:
            raise UserInputError(f"oscillation: dm21 = {value:g} is out of range (allowed: above 0 eV^2)")
    return parameters


def _check_universal(mu: np.ndarray, kind: str) -> None:
    """Refuse matrices that arXiv:2206.13122, eq. (3.7), says nothing about."""
    size = np.abs(mu)
    largest = size.max(axis=(-2, -1), keepdims=True, initial=0.0)
    if kind == "majorana":
        expected = largest * (1.0 - np.eye(3))
        fits = bool(np.all(np.abs(size - expected) <= EQUALITY_TOLERANCE * largest))
    else:
        expected = mu[..., :1, :1] * np.eye(3)[:, : mu.shape[-1]]
        fits = mu.shape[-1] == 3 and bool(np.all(np.abs(mu - expected) <= EQUALITY_TOLERANCE * largest))
    if not fits:
        wanted = "three moments of one size" if kind == "majorana" else "a matrix proportional to the unit matrix"
        raise UserInputError(f"solar = 'seed_faithful': the identity is for {wanted}; take 'density_matrix' for this matrix")
