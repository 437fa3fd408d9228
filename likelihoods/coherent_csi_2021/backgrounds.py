"""Backgrounds of COHERENT CsI[Na]: beam-related and neutrino-induced neutrons, and the steady-state background."""

from __future__ import annotations

import numpy as np
from numpyro import distributions as dist

from nmmfit.components import constant_factor, measured_by_control, scaled
from nmmfit.experiment import Component
from nmmfit.physics.detector import exponential_efficiency_integral
from nmmfit.tables import Table

from .response import NAME
from .timing import TIME_EFFICIENCY_ONSET_US, TIME_EFFICIENCY_RATE_PER_US

# Decay rate of the steady-state background, which only the first of several pulses starts: that of the time efficiency.
SSB_RATE_PER_US = 0.0494

# Yields in the window, without time efficiency: the integrals of the released arrival-time files over 0-6 us, scaled to 0-60 PE,
# are 18.45 and 5.62 without it. Relative uncertainties 25 and 36 %.
BRN_EVENTS, BRN_UNCERTAINTY = 18.4, 0.25
NIN_EVENTS, NIN_UNCERTAINTY = 5.6, 0.36

# Steady-state background of the published fit, used by the option "fixed_shape" only.
SSB_EVENTS, SSB_UNCERTAINTY = 1286.0, 0.021


def time_fractions(time: Table, name: str, edges_us: np.ndarray) -> np.ndarray:
    """Share of a neutron background in each time bin, with time efficiency, (bin,).

    The released density is constant within its bins of 10 ns, which analysis bins may cut.
    """
    low, high = time["time_low_us"], time["time_high_us"]
    density = time[name] / (high - low)
    lower = np.maximum(low[None, :], edges_us[:-1, None])
    upper = np.maximum(np.minimum(high[None, :], edges_us[1:, None]), lower)
    seen = exponential_efficiency_integral(lower, upper, TIME_EFFICIENCY_ONSET_US, TIME_EFFICIENCY_RATE_PER_US)
    return seen @ density


def neutrons(energy: Table, time: Table, time_edges_us: np.ndarray) -> tuple[list[Component], dict[str, dist.Distribution]]:
    """Beam-related (brn) and neutrino-induced (nin) neutrons, with their pulls."""
    components: list[Component] = []
    pulls: dict[str, dist.Distribution] = {}
    for name, events, width in (("brn", BRN_EVENTS, BRN_UNCERTAINTY), ("nin", NIN_EVENTS, NIN_UNCERTAINTY)):
        pull = f"{NAME}.{name}"
        factors = (constant_factor(events * energy[name]), constant_factor(time_fractions(time, name, time_edges_us)))
        components.append(scaled(name, factors, pull, width))
        pulls[pull] = dist.Normal(0.0, 1.0)
    return components, pulls


def steady_state_times(edges_us: np.ndarray) -> np.ndarray:
    """Share of the steady-state background in each time bin, sum 1: exp(-0.0494 t), t in us."""
    survival = np.exp(-SSB_RATE_PER_US * edges_us)
    return -np.diff(survival) / (survival[0] - survival[-1])


def steady_state(
    anticoincidence: np.ndarray, time_edges_us: np.ndarray, treatment: str
) -> tuple[list[Component], dict[str, dist.Distribution]]:
    """Steady-state background.

    Args:
        anticoincidence: anti-coincidence counts, (energy, time).
        time_edges_us: analysis bins.
        treatment: "free_shape": one component per energy bin, whose content is the anti-coincidence count times
            exp(pull / sqrt(count)), to be used in both channels; "fixed_shape": one component of 1286 events.
    """
    per_energy = anticoincidence.sum(axis=1).astype(float)
    times = constant_factor(steady_state_times(time_edges_us))
    if treatment == "fixed_shape":
        pull = f"{NAME}.ssb"
        shape = constant_factor(SSB_EVENTS * per_energy / per_energy.sum())
        return [scaled("ssb", (shape, times), pull, SSB_UNCERTAINTY)], {pull: dist.Normal(0.0, 1.0)}
    components, pulls = measured_by_control(f"{NAME}.ssb", per_energy, times)
    return components, dict(pulls)
