"""The competitors without templates: direct quadrature of the default run's two experiments in numpy and in numba.

As papers do it, in its best case: cross sections folded with fluxes beforehand, the responses computed anew at every point, in
numpy whole arrays at once, in numba with loops that leave out what no event reaches. Kernels and tables are those of the
experiments, so that values can be compared to rounding; the formulae are written out here a second time.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numba
import numpy as np
from numba_templates import TABLE, amplitude_map
from scipy.special import erf, erfc, gammaln

from likelihoods.borexino_phase2 import inputs as borexino
from likelihoods.borexino_phase2.response import LIGHT_YIELD, RESOLUTION, hit_edges
from likelihoods.coherent_csi_2021 import response as csi
from likelihoods.coherent_csi_2021.timing import TIMING
from nmmfit.inference.joint import JointLikelihood
from nmmfit.physics.form_factors import HELM_SKIN_FM
from nmmfit.physics.oscillation import (
    DM21_ERROR,
    OSCILLATION_PULLS,
    S12SQ_DM21_CORRELATION,
    S12SQ_ERROR,
    S13SQ_ERROR,
    OscillationParameters,
    matter_potential_ev,
)
from nmmfit.physics.solar import SOLAR_COMPONENTS, production_region
from nmmfit.units import HBAR_C_MEV_FM

_BANDS = 8.0
"""Standard deviations beyond which numba leaves out bins: 1e-15 of an electron's hits."""


def inside(function: Callable[..., Any]) -> Mapping[str, Any]:
    """What a function of an experiment is made of."""
    return inspect.getclosurevars(function).nonlocals


@dataclass(frozen=True)
class Scales:
    """Scales exp(slopes @ x), and softplus(k (1 + width x)) / norm where the pull's place is not -1."""

    slopes: np.ndarray
    soft: np.ndarray
    """(component, 4): place, k, width, norm."""

    @classmethod
    def of(cls, components: Any, names: Mapping[str, int]) -> Scales:
        slopes, soft = np.zeros((len(components), len(names))), np.full((len(components), 4), -1.0)
        for row, c in enumerate(components):
            (pull,) = c.scale_pulls
            known = inside(c.scale)
            if "k" in known:
                soft[row] = names[pull], known["k"], known["width"], known["norm"]
            else:
                one = {pull: jnp.asarray(1.0)}
                slopes[row, names[pull]] = math.log(float(c.scale(one)))
        return cls(slopes, soft)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        scales = np.exp(self.slopes @ x)
        for row in np.flatnonzero(self.soft[:, 0] >= 0.0):
            place, k, width, norm = self.soft[row]
            scales[row] = np.logaddexp(0.0, k * (1.0 + width * x[int(place)])) / norm
        return scales


class Borexino:
    """Solar components: kernels of all density nodes side by side, (recoil, (3 flavours of the SM and each form) x node)."""

    def __init__(self, template: Any, names: Mapping[str, int]) -> None:
        (channel,) = template.channels
        components = {c.name: c for c in channel.channel.components}
        found = [inside(components[name].factors[0].function) for name in SOLAR_COMPONENTS]
        directions = {name: np.asarray(f) for name, f in template.monomials.forms.items()}
        used = [n for n in found[0]["kernel"].forms if np.any(directions[n] != 0.0)]
        assert all(found[0]["kernel"].forms[n].ndim == 2 for n in used)
        self.forms = np.stack([directions[n] for n in used], axis=1)
        """(monomial, form, 3, 3)."""
        self.sm = directions["sm"]
        kernels = [np.concatenate([k.sm, np.stack([k.forms[n] for n in used])]) for k in (f["kernel"] for f in found)]
        self.kernels = np.ascontiguousarray(np.moveaxis(np.concatenate(kernels, axis=2), 1, 0))
        self.n_kinds = self.kernels.shape[1]
        self.kernels = self.kernels.reshape(len(self.kernels), -1)
        self.energy = np.concatenate([f["kernel"].energy_mev for f in found])
        self.component = np.repeat(np.arange(len(found)), [len(f["kernel"].energy_mev) for f in found])
        regions = [production_region(name) for name in SOLAR_COMPONENTS]
        most = max(len(r.weight) for r in regions)
        self.potential = np.stack([np.pad(matter_potential_ev(r.n_e_mol_cm3), (0, most - len(r.weight))) for r in regions])
        self.weight = np.stack([np.pad(r.weight, (0, most - len(r.weight))) for r in regions])
        self.t_mev = np.asarray(inside(found[0]["response"])["grid"].t_mev)
        self.edges = hit_edges()
        self.solar = Scales.of([components[n] for n in SOLAR_COMPONENTS], names)
        backgrounds = [components[n] for n in borexino.BACKGROUNDS]
        self.background = Scales.of(backgrounds, names)
        curves = [inside(c.factors[0].function) for c in backgrounds]
        self.exposure = np.stack([np.broadcast_to(c["exposure"], c["hits"].shape) for c in curves])
        self.stretch = np.array([[names[c["pull"]], c["width"], c["curve"].first, c["curve"].last] for c in curves])
        terms = [(k, t) for k, c in enumerate(curves) for t in c["curve"].terms]
        self.of_term = np.array([k for k, _ in terms])
        longest = max(len(t) for _, t in terms)
        self.terms = np.stack([np.pad(t, (0, longest - len(t))) for _, t in terms])
        self.places = np.array([names[n] for n in (*OSCILLATION_PULLS, LIGHT_YIELD, RESOLUTION)])
        self.observed = np.asarray(channel.channel.observed, dtype=float)
        self.hits = np.arange(borexino.FIRST_HITS, borexino.LAST_HITS + 1.0)


class CsI:
    """Signals of every source and nucleus on their recoil nodes; those with the same nodes share one response."""

    def __init__(self, template: Any, names: Mapping[str, int]) -> None:
        with_beam, without = template.channels
        signals = [c for c in with_beam.channel.components if c.name.startswith("cevns")]
        found = [inside(c.factors[0].function) for c in signals]
        directions = {name: jnp.asarray(f) for name, f in template.monomials.forms.items()}
        self.kernels = np.stack([_by_form_factor(f["recoils"], directions) for f in found])
        """(signal, 3, monomial, recoil): times F_p^2, F_p F_n, F_n^2."""
        recoils = [f["recoils"] for f in found]
        self.f_p, self.q_fm, self.r_n = (np.stack([np.asarray(v) for v in column]) for column in zip(
            *((r.f_p, r.q_mev / HBAR_C_MEV_FM, r.r_n_fm) for r in recoils), strict=True
        ))  # fmt: skip
        self.radius = np.array([names[f["radius"]] for f in found])
        self.rn_width = float(found[0]["rn_width"])
        self.t_mev, self.grid = np.unique(np.stack([np.asarray(r.t_mev) for r in recoils]), axis=0, return_inverse=True)
        self.grid = self.grid.ravel()
        response = found[0]["response"]
        self.quenching = np.stack([response.quenching, *response.quenching_directions])
        self.efficiency = np.stack([response.efficiency, response.efficiency_direction])
        self.x = np.asarray(response.nodes.x)
        self.matrix = np.ascontiguousarray(response.nodes.matrix())
        timing = jnp.asarray(TABLE)
        sources = [str(inside(c.factors[1].function)["source"]) for c in signals]
        self.times = np.stack(
            [np.asarray(jax.jit(jax.vmap(lambda v, c=c: c.factors[1].function({}, {TIMING: v})))(timing)) for c in signals[::2]]
        )
        """(source, table, time bin): arrival times at values of their pull."""
        assert sources[::2] == sources[1::2]
        self.flux = Scales.of(signals[:1], names)
        rest = [c for c in with_beam.channel.components if not c.name.startswith("cevns")]
        self.background = Scales.of(rest, names)
        shapes = [np.outer(*(np.asarray(inside(f.function)["fixed"]) for f in c.factors)).ravel() for c in rest]
        self.shapes = np.stack(shapes)
        self.steady = np.array([c.name.startswith("ssb") for c in rest])
        self.places = np.array([names[n] for n in (csi.QF0, csi.QF1, csi.EFFICIENCY, TIMING)])
        self.observed = np.asarray(with_beam.channel.observed, dtype=float)
        self.observed_without = np.asarray(without.channel.observed, dtype=float)


def _by_form_factor(recoils: Any, directions: Mapping[str, Any]) -> np.ndarray:
    """(3, monomial, recoil) counts of each monomial's kernel, to be multiplied by F_p^2, F_p F_n and F_n^2."""

    def at(f_p: float, f_n: float) -> np.ndarray:
        f_p, f_n = (jnp.full(len(recoils.t_mev), f) for f in (f_p, f_n))
        return np.asarray(jax.jit(jax.vmap(lambda forms: recoils.kernels.spectrum(forms, f_p, f_n)))(directions))

    pp, nn, both = at(1.0, 0.0), at(0.0, 1.0), at(1.0, 1.0)
    return np.stack([pp, both - pp - nn, nn]) * np.asarray(recoils.weight)


class Monomials:
    """Merged monomials of both experiments."""

    def __init__(self, joint: JointLikelihood) -> None:
        self.start, self.nominal, self.slopes, self.places = amplitude_map(joint)
        self.n = joint.n_coefficients
        self.weights = [np.asarray(t.monomials.weights) for t in joint.templates]
        self.first, self.second = np.triu_indices(len(self.nominal))

    def __call__(self, x: np.ndarray) -> list[np.ndarray]:
        a = (self.nominal + np.tensordot(x[self.places] - self.start, self.slopes, 1)) @ x[: self.n]
        products = np.concatenate([[1.0], a[self.first] * a[self.second]])
        return [w @ products for w in self.weights]


@dataclass(frozen=True)
class Parts:
    """Everything that a quadrature needs of the default run."""

    monomials: Monomials
    borexino: Borexino
    csi: CsI

    @classmethod
    def of(cls, joint: JointLikelihood) -> Parts:
        names = {name: i for i, name in enumerate(joint.names)}
        one, other = joint.templates
        assert (one.experiment.name, other.experiment.name) == ("borexino_phase2", "coherent_csi_2021")
        return cls(Monomials(joint), Borexino(one, names), CsI(other, names))

    @property
    def constant(self) -> float:
        counts = (self.borexino.observed, self.csi.observed, self.csi.observed_without)
        return -float(sum(np.sum(gammaln(n + 1.0)) for n in counts))


_DELTA_CP = float(OscillationParameters().delta_cp)
_S23SQ = float(OscillationParameters().s23sq)


def mixing(x: np.ndarray, places: np.ndarray) -> tuple[float, float, float]:
    """s12sq, s13sq, dm21 at the pulls."""
    p = OscillationParameters()
    p1, p2, p3 = x[places[:3]]
    rho = S12SQ_DM21_CORRELATION
    dm21 = float(p.dm21) + DM21_ERROR * (rho * p1 + math.sqrt(1.0 - rho**2) * p2)
    return float(p.s12sq) + S12SQ_ERROR * p1, float(p.s13sq) + S13SQ_ERROR * p3, dm21


def mixing_matrix(s12sq: float, s13sq: float) -> np.ndarray:
    """(3, 3) complex, PDG form."""
    s12, s13, s23 = np.sqrt([s12sq, s13sq, _S23SQ])
    c12, c13, c23 = np.sqrt([1.0 - s12sq, 1.0 - s13sq, 1.0 - _S23SQ])
    w = s13 * np.exp(1j * _DELTA_CP)
    return np.array(
        [
            [c12 * c13, s12 * c13, np.conj(w)],
            [-s12 * c23 - c12 * s23 * w, c12 * c23 - s12 * s23 * w, s23 * c13],
            [s12 * s23 - c12 * c23 * w, -c12 * s23 - s12 * c23 * w, c23 * c13],
        ]
    )


def strengths(b: Borexino, x: np.ndarray, monomials: np.ndarray, mean: np.ndarray, s12sq: float, s13sq: float) -> np.ndarray:
    """What multiplies each kernel of each density node, (kind * node,), the flux of its component included."""
    u = mixing_matrix(s12sq, s13sq)
    p1 = 0.5 * (1.0 - s13sq) * (1.0 + mean)
    arrival = np.stack([p1, 1.0 - s13sq - p1, np.full_like(p1, s13sq)])
    flavours = np.abs(u) ** 2 * (monomials @ b.sm)
    forms = np.tensordot(monomials, b.forms, 1)
    traces = np.real(np.einsum("ai,kab,bi->ki", np.conj(u), forms, u))
    return (np.concatenate([flavours, traces]) @ arrival * b.solar(x)[b.component]).ravel()


def numpy_quadrature(joint: JointLikelihood) -> Callable[[np.ndarray], float]:
    """Data log-likelihood of a vector (parameter,) of the default run."""
    parts = Parts.of(joint)
    b, c, constant = parts.borexino, parts.csi, parts.constant
    log_x, span, low = np.log(c.x), b.stretch[:, 3] - b.stretch[:, 2], b.stretch[:, 2]
    step = TABLE[1] - TABLE[0]

    def spectrum(x: np.ndarray, monomials: np.ndarray) -> np.ndarray:
        s12sq, s13sq, dm21 = mixing(x, b.places)
        beta = 2e6 * (1.0 - s13sq) / dm21 * b.potential[b.component] * b.energy[:, None]
        far = 1.0 - 2.0 * s12sq - beta
        mean = np.sum(b.weight[b.component] * far / np.sqrt(far**2 + 4.0 * s12sq * (1.0 - s12sq)), axis=1)
        light = b.kernels @ strengths(b, x, monomials, mean, s12sq, s13sq)
        m0, m1, m2, m3 = borexino.MEAN_HITS
        hits = (m0 + b.t_mev * (m1 + b.t_mev * (m2 + b.t_mev * m3))) * np.exp(borexino.LIGHT_YIELD_WIDTH * x[b.places[3]])
        s0, s1, s2 = borexino.SIGMA_HITS
        sigma = (s0 + s1 * np.sqrt(hits) + s2 * hits) * np.exp(borexino.RESOLUTION_WIDTH * x[b.places[4]])
        cumulative = erf((b.edges[:, None] - hits) / (math.sqrt(2.0) * sigma))
        counts = np.diff(cumulative @ (0.5 * light))
        inverse = np.exp(-b.stretch[:, 1] * x[b.stretch[:, 0].astype(int)])
        z = (2.0 * (b.hits * inverse[:, None] - low[:, None]) / span[:, None] - 1.0)[b.of_term]
        curves = np.exp(_chebyshev_sums(b.terms, z)) * (b.exposure * (inverse * b.background(x))[:, None])[b.of_term]
        return counts + curves.sum(axis=0)

    def beam(x: np.ndarray, monomials: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        qf0, qf1, efficiency, timing = x[c.places]
        q = c.quenching[0] + qf0 * c.quenching[1] + qf1 * c.quenching[2]
        t = c.t_mev
        light = 1e3 * t * (q[0] + t * (q[1] + t * (q[2] + t * q[3])))
        excess = csi.SHAPE_PER_KEV * light
        rate = (1.0 + excess) * csi.KEV_PER_PHOTOELECTRON / light
        level = (1.0 + excess) * np.log(rate) - gammaln(1.0 + excess)
        density = np.exp(level[:, None] + excess[:, None] * log_x[:, None] - rate[:, None] * c.x[:, None])
        r = np.sqrt(5.0 / 3.0 * ((c.r_n * (1.0 + c.rn_width * x[c.radius, None])) ** 2 - 3.0 * HELM_SKIN_FM**2))
        y = c.q_fm * r
        f_n = 3.0 * (np.sin(y) - y * np.cos(y)) / y**3 * np.exp(-0.5 * (c.q_fm * HELM_SKIN_FM) ** 2)
        folded = np.tensordot(monomials, c.kernels, (0, 2))
        recoils = folded[:, 0] * c.f_p**2 + folded[:, 1] * c.f_p * f_n + folded[:, 2] * f_n**2
        seen = (density[c.grid] @ recoils[:, :, None])[:, :, 0]
        e = c.efficiency[0] + efficiency * c.efficiency[1]
        z = (e[0] / (1.0 + np.exp(-e[1] * (c.x - e[2]))) + e[3]) / csi.KINK_WIDTH
        weight = csi.KINK_WIDTH * (0.5 * z * erfc(-z / math.sqrt(2.0)) + np.exp(-0.5 * z**2) / math.sqrt(2.0 * math.pi))
        energies = (weight * (seen[::2] + seen[1::2])) @ c.matrix.T
        position = (timing - TABLE[0]) / step
        k = int(position)
        u = position - k
        cubic = np.array([-u * (u - 1) * (u - 2) / 6, (u + 1) * (u - 1) * (u - 2) / 2, -(u + 1) * u * (u - 2) / 2,
                          (u + 1) * u * (u - 1) / 6])  # fmt: skip
        times = np.einsum("k,skt->st", cubic, c.times[:, k - 1 : k + 3])
        scales = c.background(x)
        signal = c.flux(x)[0] * np.einsum("se,st->et", energies, times).ravel()
        steady = scales[c.steady] @ c.shapes[c.steady]
        return signal + scales[~c.steady] @ c.shapes[~c.steady] + steady, steady

    def value(x: np.ndarray) -> float:
        one, other = parts.monomials(x)
        solar, (with_beam, without) = spectrum(x, one), beam(x, other)
        total = constant
        for expected, observed in ((solar, b.observed), (with_beam, c.observed), (without, c.observed_without)):
            total += float(observed @ np.log(expected) - expected.sum())
        return total

    return value


def _chebyshev_sums(terms: np.ndarray, z: np.ndarray) -> np.ndarray:
    """(term, bin): sum_k terms[:, k] T_k(z) by Clenshaw."""
    older, newer = np.zeros_like(z), np.zeros_like(z)
    for k in range(terms.shape[1] - 1, 0, -1):
        older, newer = newer, terms[:, k, None] + 2.0 * z * newer - older
    return terms[:, 0, None] + z * newer - older


_fast = numba.njit(fastmath=True, error_model="numpy")


@_fast
def _mean_cosines(energy: Any, component: Any, potential: Any, weight: Any, s12sq: float, s13sq: float, dm21: float) -> Any:
    mean = np.zeros(len(energy))
    sine = 4.0 * s12sq * (1.0 - s12sq)
    for n in range(len(energy)):
        factor = 2e6 * (1.0 - s13sq) / dm21 * energy[n]
        births, weights = potential[component[n]], weight[component[n]]
        total = 0.0
        for k in range(len(births)):
            far = 1.0 - 2.0 * s12sq - factor * births[k]
            total += weights[k] * far / np.sqrt(far * far + sine)
        mean[n] = total
    return mean


@_fast
def _solar_counts(t: Any, light: Any, edges: Any, yield_: float, resolution: float, mean_hits: Any, sigma_hits: Any) -> Any:
    """Counts (bin,): an electron's hits reach bins within _BANDS standard deviations."""
    counts = np.zeros(len(edges) - 1)
    last = len(edges) - 1
    for k in range(len(t)):
        hits = (mean_hits[0] + t[k] * (mean_hits[1] + t[k] * (mean_hits[2] + t[k] * mean_hits[3]))) * yield_
        sigma = (sigma_hits[0] + sigma_hits[1] * np.sqrt(hits) + sigma_hits[2] * hits) * resolution
        first = max(0, int(hits - _BANDS * sigma - edges[0]))
        end = min(last, int(hits + _BANDS * sigma - edges[0]) + 2)
        if first >= end:
            continue
        scale = 1.0 / (math.sqrt(2.0) * sigma)
        half = 0.5 * light[k]
        below = math.erf((edges[first] - hits) * scale)
        for j in range(first, end):
            above = math.erf((edges[j + 1] - hits) * scale)
            counts[j] += half * (above - below)
            below = above
    return counts


@_fast
def _add_curves(counts: Any, hits: Any, of_term: Any, terms: Any, stretch: Any, inverse: Any, scale: Any, exposure: Any) -> None:
    for n in range(len(of_term)):
        k = of_term[n]
        for j in range(len(hits)):
            z = 2.0 * (hits[j] * inverse[k] - stretch[k, 2]) / (stretch[k, 3] - stretch[k, 2]) - 1.0
            older, newer = 0.0, 0.0
            for i in range(terms.shape[1] - 1, 0, -1):
                older, newer = newer, terms[n, i] + 2.0 * z * newer - older
            counts[j] += scale[k] * exposure[k, j] * np.exp(terms[n, 0] + z * newer - older)


@_fast
def _smeared(
    t: Any, x: Any, log_x: Any, quenching: Any, grid: Any, kernels: Any, monomials: Any, f_p: Any, q_fm: Any, r_n: Any
) -> Any:
    """Reconstructed spectra (signal, node) before efficiency; `r_n` (signal, recoil)."""
    n_signals, n_recoils = f_p.shape
    seen = np.zeros((n_signals, len(x)))
    recoils = np.zeros((n_signals, n_recoils))
    for s in range(n_signals):
        for k in range(n_recoils):
            y = q_fm[s, k] * np.sqrt(5.0 / 3.0 * (r_n[s, k] * r_n[s, k] - 3.0 * HELM_SKIN_FM**2))
            skin = q_fm[s, k] * HELM_SKIN_FM
            f_n = 3.0 * (np.sin(y) - y * np.cos(y)) / (y * y * y) * np.exp(-0.5 * skin * skin)
            pp, pn, nn = 0.0, 0.0, 0.0
            for m in range(len(monomials)):
                pp += monomials[m] * kernels[s, 0, m, k]
                pn += monomials[m] * kernels[s, 1, m, k]
                nn += monomials[m] * kernels[s, 2, m, k]
            recoils[s, k] = pp * f_p[s, k] * f_p[s, k] + pn * f_p[s, k] * f_n + nn * f_n * f_n
    row = np.zeros(len(x))
    for g in range(len(t)):
        for k in range(n_recoils):
            e = t[g, k]
            light = 1e3 * e * (quenching[0] + e * (quenching[1] + e * (quenching[2] + e * quenching[3])))
            excess = csi.SHAPE_PER_KEV * light
            rate = (1.0 + excess) * csi.KEV_PER_PHOTOELECTRON / light
            level = (1.0 + excess) * np.log(rate) - math.lgamma(1.0 + excess)
            for j in range(len(x)):
                row[j] = np.exp(level + excess * log_x[j] - rate * x[j])
            for s in range(n_signals):
                if grid[s] == g:
                    strength = recoils[s, k]
                    out = seen[s]
                    for j in range(len(x)):
                        out[j] += strength * row[j]
    return seen


@_fast
def _binned(x: Any, matrix: Any, seen: Any, e: Any) -> Any:
    """(source, bin): efficiency at the nodes, two nuclei of a source together, summed into bins."""
    weight = np.zeros(len(x))
    for j in range(len(x)):
        z = (e[0] / (1.0 + np.exp(-e[1] * (x[j] - e[2]))) + e[3]) / csi.KINK_WIDTH
        tail = np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
        weight[j] = csi.KINK_WIDTH * (0.5 * z * math.erfc(-z / math.sqrt(2.0)) + tail)
    out = np.zeros((len(seen) // 2, len(matrix)))
    for s in range(len(out)):
        for b in range(len(matrix)):
            total = 0.0
            for j in range(len(x)):
                total += matrix[b, j] * weight[j] * (seen[2 * s, j] + seen[2 * s + 1, j])
            out[s, b] = total
    return out


@_fast
def _poisson(observed: Any, expected: Any) -> float:
    total = 0.0
    for j in range(len(observed)):
        total += observed[j] * np.log(expected[j]) - expected[j]
    return total


def numba_quadrature(joint: JointLikelihood) -> Callable[[np.ndarray], float]:
    """Data log-likelihood of a vector (parameter,) of the default run; what is long runs in numba, what is short in numpy."""
    parts = Parts.of(joint)
    b, c, constant = parts.borexino, parts.csi, parts.constant
    log_x, step = np.log(c.x), TABLE[1] - TABLE[0]
    mean_hits, sigma_hits = np.array(borexino.MEAN_HITS), np.array(borexino.SIGMA_HITS)
    places, steady, rest = b.stretch[:, 0].astype(int), c.shapes[c.steady], c.shapes[~c.steady]

    def value(x: np.ndarray) -> float:
        one, other = parts.monomials(x)
        s12sq, s13sq, dm21 = mixing(x, b.places)
        mean = _mean_cosines(b.energy, b.component, b.potential, b.weight, s12sq, s13sq, dm21)
        light = b.kernels @ strengths(b, x, one, mean, s12sq, s13sq)
        yield_, resolution = (
            math.exp(borexino.LIGHT_YIELD_WIDTH * x[b.places[3]]), math.exp(borexino.RESOLUTION_WIDTH * x[b.places[4]])
        )  # fmt: skip
        solar = _solar_counts(b.t_mev, light, b.edges, yield_, resolution, mean_hits, sigma_hits)
        inverse = np.exp(-b.stretch[:, 1] * x[places])
        _add_curves(solar, b.hits, b.of_term, b.terms, b.stretch, inverse, inverse * b.background(x), b.exposure)
        qf0, qf1, efficiency, timing = x[c.places]
        q = c.quenching[0] + qf0 * c.quenching[1] + qf1 * c.quenching[2]
        r_n = c.r_n * (1.0 + c.rn_width * x[c.radius, None])
        seen = _smeared(c.t_mev, c.x, log_x, q, c.grid, c.kernels, other, c.f_p, c.q_fm, r_n)
        energies = _binned(c.x, c.matrix, seen, c.efficiency[0] + efficiency * c.efficiency[1])
        position = (timing - TABLE[0]) / step
        k = int(position)
        u = position - k
        cubic = np.array([-u * (u - 1) * (u - 2) / 6, (u + 1) * (u - 1) * (u - 2) / 2, -(u + 1) * u * (u - 2) / 2,
                          (u + 1) * u * (u - 1) / 6])  # fmt: skip
        times = np.tensordot(c.times[:, k - 1 : k + 3], cubic, (1, 0))
        scales = c.background(x)
        without = scales[c.steady] @ steady
        with_beam = c.flux(x)[0] * (energies.T @ times).ravel() + scales[~c.steady] @ rest + without
        return _poisson(b.observed, solar) + _poisson(c.observed, with_beam) + _poisson(c.observed_without, without) + constant

    return value
