"""Signal of COHERENT CsI[Na] 2021: coherent scattering for each source and nucleus."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpyro import distributions as dist

from nmmfit.cevns_signal import compound, signal_factors, sns_components
from nmmfit.components import unit_pulls
from nmmfit.experiment import Component, Factor, TheoryChoices
from nmmfit.physics.sns import flux_per_pot_cm2, sns_pull_priors, sns_sources

from .options import Options
from .response import EFFICIENCY, QF0, QF1, Response
from .timing import TIMING, signal_times

# arXiv:2110.07730, as quoted with its ancillary files. 3.198e23 protons are 13.99 GWh.
MASS_KG = 14.6
PROTONS_ON_TARGET = 3.198e23
NEUTRINOS_PER_PROTON = 0.0848
DISTANCE_M = 19.3

NUCLIDES = ("Cs133", "I127")


def fluence_per_cm2() -> float:
    """Neutrinos of each flavour per cm^2 during the whole exposure."""
    return PROTONS_ON_TARGET * flux_per_pot_cm2(DISTANCE_M, NEUTRINOS_PER_PROTON)


def nuclei_of_each_kind() -> float:
    """Number of Cs, and of I, nuclei in the detector."""
    return compound(MASS_KG, *NUCLIDES)[0].nuclides[0][1]


def signal(
    response: Response, time_edges_us: np.ndarray, theory: TheoryChoices, options: Options
) -> tuple[list[Component], Mapping[str, dist.Distribution], float | None]:
    """One component for each source and nucleus, `cevns_<source>_<nuclide>`, with their pulls; the largest mass of N."""
    sources, materials = sns_sources(), compound(MASS_KG, *NUCLIDES)
    energies, largest = signal_factors(
        sources, materials, fluence_per_cm2(), response, theory, response.weighting(), options.rn_width
    )

    def arrival(source: str) -> Factor:
        return signal_times(source, time_edges_us, options.timing_centre_ns, options.timing_width_ns)

    components = sns_components(sources, materials, energies, arrival)
    own = unit_pulls(QF0, QF1, EFFICIENCY, TIMING, *(m.radius_pull for m in materials))
    return components, {**sns_pull_priors(), **own}, largest
