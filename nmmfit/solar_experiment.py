"""What experiments on solar neutrinos and electrons share: components of the eight sources, with massive N or without."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax.numpy as jnp
import numpy as np

from nmmfit.experiment import Component, Factor, Pulls
from nmmfit.physics.forms import LIGHT, MASSLESS_ELECTRON_FORMS, Forms
from nmmfit.physics.massive_electrons import HEAVY_FORMS, HeavyKernel, heavy_spectrum
from nmmfit.physics.oscillation import OSCILLATION_PULLS
from nmmfit.physics.rates import recoil_spectrum
from nmmfit.physics.solar import flux_pull_name, solar_flux_scale
from nmmfit.physics.solar_electrons import FoldedKernel, source_flavour
from nmmfit.physics.sources import NeutrinoSource
from nmmfit.shapes import Array

Response = Callable[[Pulls], Array | np.ndarray]
"""pulls -> (bin, recoil): what the detector makes of counts at recoil nodes."""


def solar_factor(
    source: NeutrinoSource,
    kernel: FoldedKernel,
    response: Response | None,
    response_pulls: tuple[str, ...] = (),
    heavy: HeavyKernel | None = None,
    heavy_response: Response | None = None,
    names: tuple[str, ...] = MASSLESS_ELECTRON_FORMS,
) -> Factor:
    """Counts per bin of one component at its nominal flux, as a factor with the pulls of response and mixing.

    Args:
        source, kernel: of the component.
        response: of the kernel's recoils; None: the kernel is one of bins.
        response_pulls: pulls that bend a response.
        heavy, heavy_response: kernels of a massive N and the response at their recoils; None for massless N.
        names: forms of the kernel.
    """
    prefix = "" if heavy is None else LIGHT

    def counts(forms: Forms, pulls: Pulls) -> Array:
        nodes = source_flavour(source, kernel.energy_mev, pulls)
        kernels = {prefix + n: jnp.asarray(k) for n, k in kernel.forms.items()}
        light = recoil_spectrum(forms, nodes, jnp.asarray(kernel.sm), kernels)
        if response is not None:
            light = jnp.asarray(response(pulls)) @ light
        if heavy is None or heavy_response is None:
            return light
        spectrum = heavy_spectrum(
            forms, source_flavour(source, heavy.energy_mev, pulls), heavy.at(forms.get("m_n_mev", jnp.asarray(0.0)))
        )
        return light + jnp.asarray(heavy_response(pulls)) @ spectrum

    read = tuple(prefix + name for name in names)
    forms = read if heavy is None else read + HEAVY_FORMS
    return Factor(counts, response_pulls + OSCILLATION_PULLS, forms, light_pulls=OSCILLATION_PULLS if response_pulls else ())


def solar_components(factors: Mapping[str, Factor], model: str, widths: Mapping[str, str]) -> tuple[Component, ...]:
    """One component for each source, name -> factor, with its flux.

    Args:
        factors: counts at the nominal fluxes of the model.
        model, widths: solar model, and the width of each flux pull, as in `solar.solar_flux_scale`.
    """
    return tuple(
        Component(name, (factor,), solar_flux_scale(name, model, widths[name]), (flux_pull_name(name),))
        for name, factor in factors.items()
    )
