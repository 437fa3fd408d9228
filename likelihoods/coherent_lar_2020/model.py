"""Components of COHERENT LAr 2020: signal of each source, beam-related neutrons, steady-state background.

The released signal distribution over energy, F90 and time is that of the Standard Model. Of it are kept the distribution over F90
in each bin of reconstructed energy, P(F90 | E), with its variation, and the pulse whose pion and muon decays make its time
distribution; the energy distribution is replaced by the folded rate of whatever couplings there are, source by source:

    n(E, F90, t) = sum_source N_source(E) P(F90 | E) f_source(t)

What this neglects: within a bin of 10 keVee, F90 depends on the recoil energy, so that a spectrum that is steeper inside a bin
than the Standard Model's would have a somewhat broader F90.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import jax.numpy as jnp
import numpy as np
from numpyro import distributions as dist

from nmmfit.cevns_signal import compound, signal_factors
from nmmfit.components import constant_factor, scaled, unit_pulls
from nmmfit.experiment import Component, Factor, Pulls, TheoryChoices
from nmmfit.physics.detector import smooth_positive
from nmmfit.physics.forms import Forms
from nmmfit.physics.sns import SNS_FLUX_PULL, flux_per_pot_cm2, sns_flux_scale, sns_pull_priors, sns_sources
from nmmfit.shapes import Array
from nmmfit.tables import Table

from .options import Options
from .response import NAME, QF_OFFSET, QF_SLOPE, read_response
from .shapes import Morph, gaussian_times, pulse_times

NUCLIDE = "Ar40"

# Release (LArParametersAnlA.yaml).
MASS_KG = 24.4
PROTONS_ON_TARGET = 13.8e22
NEUTRINOS_PER_PROTON = 0.09
DISTANCE_M = 27.5

SIGNAL, F90, TIMING = f"{NAME}.signal", f"{NAME}.f90", f"{NAME}.timing"
BRN, BRN_ENERGY, BRN_TIMING, BRN_WIDTH = f"{NAME}.brn", f"{NAME}.brn_energy", f"{NAME}.brn_timing", f"{NAME}.brn_width"
DELAYED_BRN, STEADY_STATE = f"{NAME}.delayed_brn", f"{NAME}.steady_state"

# Relative errors of the released predictions: 128 +- 17, 497 +- 160, 33 +- 33, 3154 +- 25. The flux's 10 % is a pull of its own.
SIGNAL_UNCERTAINTY = math.sqrt((17.0 / 128.0) ** 2 - 0.10**2)
BRN_UNCERTAINTY = 160.0 / 497.0
DELAYED_BRN_UNCERTAINTY = 33.0 / 33.0
STEADY_STATE_UNCERTAINTY = 25.0 / 3154.0
# The delayed neutrons' 100 % reaches 0: the scale is the positive part of 1 + pull, its kink smeared by this width.
_KINK_WIDTH = 0.2

# Pulse of protons: mean and width fitted to the released time distribution of the signal (the release says "well approximated" by
# 0.440 and 0.150 us); its error of the mean is the release's.
PULSE_MEAN_US, PULSE_MEAN_ERROR_US, PULSE_WIDTH_US = 0.453, 0.200, 0.151
# Part of prompt neutrinos in the Standard Model's counts at any time, for the option "common".
PROMPT_SHARE = 0.223
# Prompt neutrons: the Gaussian that has the released contents of the three time bins in which there are any, those of the two
# shifted means, and that of the other width, in the logarithm of which the pull is linear.
BRN_MEAN_US, BRN_MEAN_ERROR_US, BRN_WIDTH_US, BRN_OTHER_WIDTH_US, BRN_BINS = 0.7092, 0.0972, 0.2557, 0.1602, 3

# Bins of energy with less than this many signal events, whose F90 is that of a handful of simulated events, take the F90 of the
# last one with more.
_FEW_EVENTS = 0.01


def fluence_per_cm2() -> float:
    """Neutrinos of each flavour per cm^2 during the whole exposure."""
    return PROTONS_ON_TARGET * flux_per_pot_cm2(DISTANCE_M, NEUTRINOS_PER_PROTON)


def f90_shares(contents: np.ndarray) -> np.ndarray:
    """(energy, F90) contents in which energies with few events repeat the row of the last one with enough."""
    last = int(np.flatnonzero(contents.sum(axis=1) >= _FEW_EVENTS)[-1])
    return contents[np.minimum(np.arange(len(contents)), last)]


def f90_morph(outer: Table, shape: tuple[int, int]) -> tuple[Morph, np.ndarray]:
    """Variation of the signal over (energy * F90,), and P(F90 | E) at nominal."""
    nominal, plus, minus = (f90_shares(outer[n].reshape(shape)) for n in ("cevns", "cevns_f90_plus", "cevns_f90_minus"))
    found = Morph.through(nominal.ravel(), plus.ravel(), minus.ravel())
    # Kept is the total of what is expected in the Standard Model, in which rows that repeat have no share.
    share = outer["cevns"] / outer["cevns"].sum()
    return Morph(share, found.slope, found.curvature), (nominal / nominal.sum(axis=1, keepdims=True)).ravel()


def signal(
    efficiency: Table, outer: Table, edges: Mapping[str, np.ndarray], theory: TheoryChoices, options: Options
) -> tuple[list[Component], dict[str, dist.Distribution], float | None]:
    """One component for each source, `cevns_<source>_ar40`, with their pulls; the largest mass of N."""
    time_edges = edges["time_us"]
    shape = (len(edges["energy_kee"]) - 1, len(edges["f90"]) - 1)
    morph, share = f90_morph(outer, shape)
    response = read_response(efficiency, edges["energy_kee"], np.flatnonzero(share) // shape[1])
    sources, materials = sns_sources(), compound(MASS_KG, NUCLIDE)
    factors, largest = signal_factors(
        sources, materials, fluence_per_cm2(), response, theory, morph.weighting(F90, share), options.rn_width
    )

    def scale(pulls: Pulls) -> Array:
        return sns_flux_scale(pulls) * jnp.exp(math.log1p(SIGNAL_UNCERTAINTY) * pulls[SIGNAL])

    components = []
    for key, source in zip(factors, sources, strict=True):
        shares = {source: 1.0}
        if options.signal_times == "common":
            shares = {"prompt_nu_mu": PROMPT_SHARE, "delayed_nu_mu_bar": 1.0 - PROMPT_SHARE}
        if options.time_window == "any_time":
            inside = float(jnp.sum(_times(shares, time_edges)({}, {TIMING: jnp.asarray(0.0)})))
            shares = {name: share / inside for name, share in shares.items()}
        factor = Factor(_times(shares, time_edges), shape_pulls=(TIMING,))
        components.append(Component(f"cevns_{key}", (factors[key], factor), scale, (SNS_FLUX_PULL, SIGNAL)))
    pulls = {**sns_pull_priors(), **unit_pulls(SIGNAL, QF_OFFSET, QF_SLOPE, F90, TIMING, materials[0].radius_pull)}
    return components, pulls, largest


def _times(shares: Mapping[str, float], time_edges_us: np.ndarray) -> Callable[[Forms, Pulls], Array]:
    return pulse_times(shares, time_edges_us, PULSE_MEAN_US, PULSE_MEAN_ERROR_US, PULSE_WIDTH_US, TIMING)


def backgrounds(outer: Table, time: Table, time_edges_us: np.ndarray) -> tuple[list[Component], dict[str, dist.Distribution]]:
    """Prompt (brn) and delayed beam-related neutrons and the steady-state background, with their pulls."""
    morph = Morph.through(outer["brn"], outer["brn_energy_plus"], outer["brn_energy_minus"])
    nominal = constant_factor(np.ones(np.count_nonzero(outer["brn"]))).function
    log_width = math.log(BRN_OTHER_WIDTH_US / BRN_WIDTH_US)
    times = gaussian_times(
        time_edges_us, BRN_MEAN_US, BRN_MEAN_ERROR_US, BRN_WIDTH_US, log_width, (BRN_TIMING, BRN_WIDTH), BRN_BINS
    )
    prompt = (
        Factor(nominal, weighting=morph.weighting(BRN_ENERGY, outer["brn"])),
        Factor(times, shape_pulls=(BRN_TIMING, BRN_WIDTH)),
    )

    def delayed_scale(pulls: Pulls) -> Array:
        return smooth_positive(1.0 + DELAYED_BRN_UNCERTAINTY * pulls[DELAYED_BRN], _KINK_WIDTH)

    delayed = (constant_factor(outer["delayed_brn"]), constant_factor(time["delayed_brn"]))
    steady = (constant_factor(outer["steady_state"]), constant_factor(time["steady_state"]))
    components = [
        scaled("brn", prompt, BRN, BRN_UNCERTAINTY),
        Component("delayed_brn", delayed, delayed_scale, (DELAYED_BRN,)),
        scaled("steady_state", steady, STEADY_STATE, STEADY_STATE_UNCERTAINTY),
    ]
    return components, unit_pulls(BRN, BRN_ENERGY, BRN_TIMING, BRN_WIDTH, DELAYED_BRN, STEADY_STATE)
