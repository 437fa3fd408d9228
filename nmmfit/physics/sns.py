"""Neutrinos of the Spallation Neutron Source: pion and muon decay at rest, with arrival times.

    pi+ -> mu+ nu_mu (prompt line),  mu+ -> e+ nu_e nubar_mu (delayed),

one of each per stopped pion. The released flux simulation puts 0.59 % of the nu_mu outside the 1-MeV bin of the line (0.22 %
below, 0.38 % above: pion decay in flight and muon capture), 1e-4 of the nubar_mu above the Michel endpoint, and 0.12 % of
nubar_e beside the nu_e (fractions in the header of `sns_arrival_time.csv`); decay at rest alone is used here, far inside
the 10 % error of the flux.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import jax
import jax.numpy as jnp
import numpy as np
from numpyro import distributions as dist

from nmmfit import precision as precision
from nmmfit.constants import M_MUON_MEV, M_PION_MEV
from nmmfit.errors import DataError, UserInputError, unknown
from nmmfit.numerics.interpolation import PiecewiseCubic, cubic_spline
from nmmfit.numerics.quadrature import composite_gauss_legendre
from nmmfit.physics.sources import NeutrinoSource, flavour_projector, pure_flavour
from nmmfit.shapes import Array, Scalar
from nmmfit.tables import read_table
from nmmfit.units import CM_PER_M

SNS_SOURCES = ("prompt_nu_mu", "delayed_nu_mu_bar", "delayed_nu_e")
PROMPT_ENERGY_MEV = (M_PION_MEV.value**2 - M_MUON_MEV.value**2) / (2.0 * M_PION_MEV.value)
"""Energy of the nu_mu line, 29.792 MeV."""
ENDPOINT_MEV = 0.5 * M_MUON_MEV.value
"""Endpoint of the muon-decay spectra, 52.829 MeV (the electron's mass is neglected, as in the spectra)."""

SNS_FLUX_PULL = "sns.flux"
# Shared by every COHERENT analysis: neutrinos per proton known to 10 %, arXiv:2110.07730 and arXiv:2109.11049; from memory
# of the papers; unverified.
SNS_FLUX_RELATIVE_ERROR = 0.10

SNS_EFFECTIVE_MOMENTS = {"sns_mu": (flavour_projector("mu"), False), "sns_e": (flavour_projector("e"), False)}
"""The moments that detectors at the SNS constrain: of nu_mu (nu_mu-bar changes nothing but the transpose) and of nu_e."""

# The time table may be asked for offsets up to this size without leaving it.
MAX_OFFSET_US = 1.0
_NODES_PER_STEP, _STEP_US = 6, 0.25


def michel_nu_mu_bar(e_nu_mev: np.ndarray) -> np.ndarray:
    """Spectrum of nubar_mu from mu+ decay at rest, per MeV: 64 / m_mu x^2 (3/4 - x), x = E / m_mu <= 1/2; mean 7/20 m_mu."""
    x = np.asarray(e_nu_mev, dtype=float) / M_MUON_MEV.value
    return np.where((x >= 0.0) & (x <= 0.5), 64.0 / M_MUON_MEV.value * x**2 * (0.75 - x), 0.0)


def michel_nu_e(e_nu_mev: np.ndarray) -> np.ndarray:
    """Spectrum of nu_e from mu+ decay at rest, per MeV: 192 / m_mu x^2 (1/2 - x), x = E / m_mu <= 1/2; mean 3/10 m_mu."""
    x = np.asarray(e_nu_mev, dtype=float) / M_MUON_MEV.value
    return np.where((x >= 0.0) & (x <= 0.5), 192.0 / M_MUON_MEV.value * x**2 * (0.5 - x), 0.0)


def sns_sources() -> dict[str, NeutrinoSource]:
    """The three sources, each normalised to 1: prompt_nu_mu (line), delayed_nu_mu_bar, delayed_nu_e. No oscillation over 30 m."""
    return {
        "prompt_nu_mu": NeutrinoSource(
            "prompt_nu_mu", False, PROMPT_ENERGY_MEV, pure_flavour("mu"), lines_mev=(PROMPT_ENERGY_MEV,), branching=(1.0,)
        ),
        "delayed_nu_mu_bar": NeutrinoSource(
            "delayed_nu_mu_bar", True, ENDPOINT_MEV, pure_flavour("mu"), spectrum=michel_nu_mu_bar, smooth_ends=False
        ),
        "delayed_nu_e": NeutrinoSource(
            "delayed_nu_e", False, ENDPOINT_MEV, pure_flavour("e"), spectrum=michel_nu_e, smooth_ends=False
        ),
    }


def flux_per_pot_cm2(distance_m: float, neutrinos_per_proton: float) -> float:
    """Fluence per flavour and proton on target, r / (4 pi L^2), in cm^-2.

    Args:
        distance_m: distance to the target, m, > 0 (19.3 for CsI).
        neutrinos_per_proton: r, neutrinos of one flavour per proton, > 0 (0.0848 for CsI 2021).
    Raises: UserInputError if one is not positive.
    """
    for name, value in (("distance_m", distance_m), ("neutrinos_per_proton", neutrinos_per_proton)):
        if not (math.isfinite(value) and value > 0.0):
            raise UserInputError(f"{name} must be positive, got {value}")
    return neutrinos_per_proton / (4.0 * math.pi * (distance_m * CM_PER_M) ** 2)


def sns_pull_priors() -> dict[str, dist.Distribution]:
    """Prior of the flux pull shared by all experiments at the SNS: unit normal."""
    return {SNS_FLUX_PULL: dist.Normal(0.0, 1.0)}


def sns_flux_scale(pulls: Mapping[str, Array]) -> Scalar:
    """Flux relative to nominal, 1.1^pull: positive, 1 at pull 0, 1.1 at pull 1."""
    return jnp.exp(math.log1p(SNS_FLUX_RELATIVE_ERROR) * pulls[SNS_FLUX_PULL])


@dataclass(frozen=True, eq=False)
class ArrivalTime:
    """Arrival times of one source after the protons: the cumulative distribution as a twice differentiable spline.

    `cdf` covers [0, 15] us, 0 before and 1 after: the distribution is normalised to what arrives in the first 15 us (all but 1e-3
    of the delayed neutrinos).
    """

    source: str
    cdf: PiecewiseCubic

    def cumulative(self, time_us: Array) -> Array:
        """Fraction that has arrived by `time_us` (any shape): 0 before the pulse, 1 after 15 us."""
        return self.cdf(jnp.clip(jnp.asarray(time_us), self.cdf.knots[0], self.cdf.knots[-1]))

    def fractions(
        self,
        edges_us: Sequence[float] | np.ndarray,
        offset_us: Array | float = 0.0,
        efficiency: Callable[[Array], Array] | None = None,
        breaks_us: Sequence[float] = (),
    ) -> Array:
        """Fraction of the neutrinos in each time bin: integral of pdf(t - offset) efficiency(t) over the bin.

        With an efficiency the integral is done by parts, F eff - int F eff', so that the result is twice differentiable
        in the offset as F is; eff' comes from automatic differentiation.

        Args:
            edges_us: (n + 1,) numbers, increasing, in detector time, us.
            offset_us: scalar, may be traced: neutrinos arrive this much later than in the table.
            efficiency: function of detector time (an array of any shape), smooth between `breaks_us`; None: 1.
            breaks_us: times where the efficiency has a kink (it must be continuous).
        Returns: (n,); sums to at most 1 for an efficiency of at most 1.
        Raises: UserInputError if the edges do not increase; DataError if they leave the table by more than an offset of 1 us.
        """
        edges = np.asarray(edges_us, dtype=float)
        if edges.ndim != 1 or len(edges) < 2 or not np.all(np.diff(edges) > 0):
            raise UserInputError(f"time edges must be at least two increasing numbers, got {edges.tolist()}")
        last = float(self.cdf.knots[-1])
        if edges[-1] > last - MAX_OFFSET_US:
            raise DataError(
                f"arrival times of {self.source}: bins to {edges[-1]:g} us, the table allows {last - MAX_OFFSET_US:g} us"
            )
        at_edges = self.cumulative(jnp.asarray(edges) - offset_us)
        if efficiency is None:
            return jnp.diff(at_edges)
        inner = [b for b in breaks_us if edges[0] < b < edges[-1]]
        steps = np.arange(edges[0], edges[-1], _STEP_US)
        nodes, weights = composite_gauss_legendre(_NODES_PER_STEP, np.unique(np.concatenate([edges, inner, steps])))
        t, w = jnp.asarray(nodes.ravel()), jnp.asarray(weights.ravel())
        _, slope = jax.jvp(efficiency, (t,), (jnp.ones_like(t),))
        which = np.searchsorted(edges, nodes.ravel(), side="right") - 1
        lost = jax.ops.segment_sum(w * self.cumulative(t - offset_us) * slope, which, num_segments=len(edges) - 1)
        return jnp.diff(at_edges * efficiency(jnp.asarray(edges))) - lost


def arrival_time(source: str) -> ArrivalTime:
    """Arrival times of one of `SNS_SOURCES`, from the released flux simulation. Raises: UserInputError for an unknown source."""
    if source not in SNS_SOURCES:
        raise unknown("SNS source", source, SNS_SOURCES)
    return _arrival_time(source)


def arrival_fraction(
    source: str,
    edges_us: Sequence[float] | np.ndarray,
    offset_us: Array | float = 0.0,
    efficiency: Callable[[Array], Array] | None = None,
    breaks_us: Sequence[float] = (),
) -> Array:
    """Fraction of a source's neutrinos in each time bin, (n,); see `ArrivalTime.fractions`."""
    return arrival_time(source).fractions(edges_us, offset_us, efficiency, breaks_us)


@lru_cache(maxsize=len(SNS_SOURCES))
def _arrival_time(source: str) -> ArrivalTime:
    table = read_table(files("nmmfit.physics") / "data" / "sns_arrival_time.csv")
    return ArrivalTime(source, cubic_spline(table["time_us"], table[f"cdf_{source}"], "clamped", table.where))
