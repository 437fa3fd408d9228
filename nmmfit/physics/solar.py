"""Solar neutrinos: spectra, B16 fluxes with their errors, production regions, and the gallium sum rule.

Components are `pp, pep, be7, b8, hep, n13, o15, f17`; models `b16_gs98` and `b16_agss09met` (arXiv:1611.09867). A flux pull
`solar.<component>` moves its flux by a factor (1 + relative error)^pull, positive at any pull.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib.resources import files

import jax
import jax.numpy as jnp
import numpy as np
from numpyro import distributions as dist

from nmmfit import precision as precision
from nmmfit.errors import DataError, unknown
from nmmfit.physics.beta_spectrum import SmoothSpectrum
from nmmfit.physics.oscillation import (
    OscillationParameters,
    ProductionRegion,
    oscillation_from_pulls,
    solar_density_matrix,
    survival_probability,
)
from nmmfit.physics.sources import Density, NeutrinoSource
from nmmfit.shapes import Array, Scalar
from nmmfit.tables import Table, read_table

SOLAR_COMPONENTS = ("pp", "pep", "be7", "b8", "hep", "n13", "o15", "f17")
SOLAR_MODELS = ("b16_gs98", "b16_agss09met")

# Electron capture: lines in MeV with their branching fractions. 7Be to the ground and first excited state of 7Li, pep;
# J. N. Bahcall, Phys. Rev. D 49, 3923 (1994) and Neutrino Astrophysics (1989); branching from memory of the paper; unverified
# (0.897 and 0.8956 are found as well). Thermal widths (1 keV) and shifts are left out.
SOLAR_LINES: Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "be7": ((0.8618, 0.3843), (0.896, 0.104)),
    "pep": ((1.442,), (1.0,)),
}

# How far a flux pull reaches: the solar model's own error, or a factor of two per unit, which leaves fluxes free within data.
FLUX_WIDTHS = ("ssm", "free")
FREE_RELATIVE_ERROR = 1.0

Widths = str | Mapping[str, str]
"""One of FLUX_WIDTHS for all components, or one for each (component -> width; "ssm" where it is not named)."""

# Gallium sum rule. Measured rate and unoscillated contributions of the B16-GS98 fluxes in SNU with Bahcall's cross sections, and
# the theory error from the cross sections: arXiv:1707.09355 and references there; from memory of the papers; unverified.
GALLIUM_RATE_SNU, GALLIUM_ERROR_SNU, GALLIUM_THEORY_ERROR = 66.1, 3.1, 0.04
GALLIUM_STATUS = "from memory of arXiv:1707.09355 and references there; unverified"
GALLIUM_REFERENCE_MODEL = "b16_gs98"
# component: (unoscillated SNU, energy in MeV at which P_ee stands for the component's capture-weighted mean)
GALLIUM_CONTRIBUTIONS: Mapping[str, tuple[float, float]] = {
    "pp": (69.7, 0.34),
    "be7": (34.8, 0.8618),
    "pep": (2.8, 1.442),
    "n13": (1.7, 0.84),
    "o15": (3.4, 1.19),
    "b8": (12.0, 9.0),
}


def flux_pull_name(component: str) -> str:
    """Name of the pull shared by every experiment that sees this component: `solar.<component>`."""
    return f"solar.{_component(component)}"


def solar_pull_priors(components: tuple[str, ...] = SOLAR_COMPONENTS) -> dict[str, dist.Distribution]:
    """Priors of the flux pulls, unit normals. Raises: UserInputError for an unknown component."""
    return {flux_pull_name(c): dist.Normal(0.0, 1.0) for c in components}


def solar_fluxes(model: str = "b16_gs98") -> dict[str, tuple[float, float]]:
    """Fluxes at the Earth before oscillation, component -> (cm^-2 s^-1, relative one-sigma error); arXiv:1611.09867.

    The errors of a solar model are correlated; only their sizes are kept here. Raises: UserInputError for an unknown model.
    """
    _model(model)
    table = _table("solar_fluxes.csv")
    rows = zip(table["model"], table["component"], table["flux_cm2_s"], table["relative_error"], strict=True)
    return {str(component): (float(flux), float(error)) for name, component, flux, error in rows if name == model}


def solar_spectrum(component: str) -> SmoothSpectrum:
    """Spectrum of a continuous component (pp, b8, hep, n13, o15, f17), normalised to 1, per MeV; a function of numpy arrays.

    Raises: UserInputError for a line or an unknown component.
    """
    continuous = [c for c in SOLAR_COMPONENTS if c not in SOLAR_LINES]
    if component not in continuous:
        raise unknown("continuous solar component", component, continuous)
    table = _table(f"solar_spectrum_{component}.csv")
    return SmoothSpectrum(table.number("endpoint_mev"), round(table.number("daughter_charge")), table["coefficient"])


def production_region(component: str, model: str = "b16_gs98") -> ProductionRegion:
    """Electron density where a component is born, as a quadrature. Raises: UserInputError for an unknown name."""
    _component(component)
    _model(model)
    table = _table(f"solar_production_{model}.csv")
    chosen = table["component"] == component
    if not chosen.any():
        raise DataError(f"{table.where}: no rows for {component!r}")
    weight = table["weight"][chosen]
    return ProductionRegion(table["n_e_mol_cm3"][chosen], weight / weight.sum())


def solar_density(component: str, model: str = "b16_gs98") -> Density:
    """Density matrix of one component as a function of (energy in MeV, mixing parameters or None for the default)."""
    region = production_region(component, model)

    def density(energy_mev: Array, oscillation: OscillationParameters | None) -> Array:
        return solar_density_matrix(OscillationParameters() if oscillation is None else oscillation, energy_mev, region)

    return density


def solar_sources(model: str = "b16_gs98") -> dict[str, NeutrinoSource]:
    """All solar components, name -> source normalised to 1 (fluxes: `solar_fluxes`, pulls: `solar_flux_scale`).

    Raises: UserInputError for an unknown model.
    """
    sources = {}
    for component in SOLAR_COMPONENTS:
        density = solar_density(component, model)
        if component in SOLAR_LINES:
            lines, branching = SOLAR_LINES[component]
            sources[component] = NeutrinoSource(component, False, max(lines), density, lines_mev=lines, branching=branching)
        else:
            spectrum = solar_spectrum(component)
            sources[component] = NeutrinoSource(component, False, spectrum.endpoint_mev, density, spectrum=spectrum)
    return sources


def solar_flux_scale(component: str, model: str = "b16_gs98", width: str = "ssm") -> Callable[[Mapping[str, Array]], Scalar]:
    """Flux relative to the model's as a function of the pulls: (1 + error)^pull, positive, 1 at pull 0, 1 + error at pull 1.

    Args:
        width: "ssm", error = the solar model's; "free", error = 1 (a factor of two per unit), for fits that let the data and
            the gallium sum rule decide.
    Raises: UserInputError for an unknown component, model or width.
    """
    name = flux_pull_name(component)
    log_width = _log_width(component, model, width)

    def scale(pulls: Mapping[str, Array]) -> Scalar:
        return jnp.exp(log_width * pulls[name])

    return scale


def gallium_rate_snu(pulls: Mapping[str, Array], model: str = "b16_gs98", width: Widths = "ssm") -> Scalar:
    """Capture rate on 71Ga in SNU: sum_i R_i (Phi_i / Phi_i^GS98) P_ee,i, with R_i the unoscillated rate of the GS98 flux.

    Pulls that are not there (fluxes or mixing parameters that an analysis keeps fixed) stay at 0. hep and 17F (below
    0.1 SNU) are left out. P_ee is taken at one energy per component, within 0.002 of its capture-weighted mean.
    """
    nominal, reference = solar_fluxes(model), solar_fluxes(GALLIUM_REFERENCE_MODEL)
    components = tuple(GALLIUM_CONTRIBUTIONS)
    rates = np.asarray([GALLIUM_CONTRIBUTIONS[c][0] * nominal[c][0] / reference[c][0] for c in components])
    widths = np.asarray([_log_width(c, model, _width_of(c, width)) for c in components])
    energies = np.asarray([GALLIUM_CONTRIBUTIONS[c][1] for c in components])
    # all components at once: second derivatives of a constraint are then a small program
    regions = [production_region(c, model) for c in components]
    nodes = max(len(region.weight) for region in regions)
    padded = ProductionRegion(
        jnp.asarray([np.pad(region.n_e_mol_cm3, (0, nodes - len(region.weight))) for region in regions]),
        jnp.asarray([np.pad(region.weight, (0, nodes - len(region.weight))) for region in regions]),
    )
    oscillation = oscillation_from_pulls(pulls)
    p_ee = jax.vmap(lambda e, region: survival_probability(oscillation, e, region))(jnp.asarray(energies), padded)
    zero = jnp.asarray(0.0)
    flux_pulls = jnp.stack([jnp.asarray(pulls.get(flux_pull_name(c), zero)) for c in components])
    return jnp.sum(rates * jnp.exp(widths * flux_pulls) * p_ee)


def gallium_log_density(pulls: Mapping[str, Array], model: str = "b16_gs98", width: Widths = "ssm") -> Scalar:
    """Log density of the measured gallium rate, 66.1 +- 3.1 SNU with a 4 % theory error in quadrature (4.1 SNU together).

    Args:
        pulls: flux pulls `solar.*` and mixing pulls `oscillation.*`; those not there stay at 0. Differentiable.
        model, width: as in `solar_flux_scale`; they must be those that the rates use.
    Status of the numbers: `GALLIUM_STATUS`.
    """
    sigma = math.hypot(GALLIUM_ERROR_SNU, GALLIUM_THEORY_ERROR * GALLIUM_RATE_SNU)
    return dist.Normal(GALLIUM_RATE_SNU, sigma).log_prob(gallium_rate_snu(pulls, model, width))


@lru_cache(maxsize=16)
def _table(name: str) -> Table:
    text = ("model", "component") if name == "solar_fluxes.csv" else ("component",) if "production" in name else ()
    table = read_table(files("nmmfit.physics") / "data" / name, text=text)
    for column in table.columns.values():
        column.flags.writeable = False
    return table


def _component(component: str) -> str:
    if component not in SOLAR_COMPONENTS:
        raise unknown("solar component", component, SOLAR_COMPONENTS)
    return component


def _model(model: str) -> str:
    if model not in SOLAR_MODELS:
        raise unknown("solar model", model, SOLAR_MODELS)
    return model


def _width_of(component: str, width: Widths) -> str:
    return width if isinstance(width, str) else width.get(component, "ssm")


def _log_width(component: str, model: str, width: str) -> float:
    if width not in FLUX_WIDTHS:
        raise unknown("flux width", width, FLUX_WIDTHS)
    return math.log1p(solar_fluxes(model)[component][1] if width == "ssm" else FREE_RELATIVE_ERROR)
