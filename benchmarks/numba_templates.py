"""The competitor in its best case: the same compressed templates, one point at a time, in numba as an expert would write it.

One straight-line program is written out for a likelihood: all matrices lie one after the other in one array, all that is in
between in another, and nothing is allocated or decided at a point but Chebyshev polynomials, products and logarithms.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numba
import numpy as np
from scipy.special import gammaln

from nmmfit.inference.joint import JointLikelihood
from nmmfit.physics.oscillation import (
    DM21_ERROR,
    OSCILLATION_PULLS,
    S12SQ_DM21_CORRELATION,
    S12SQ_ERROR,
    S13SQ_ERROR,
    OscillationParameters,
    matter_potential_ev,
)
from nmmfit.physics.solar import (
    GALLIUM_CONTRIBUTIONS,
    GALLIUM_ERROR_SNU,
    GALLIUM_RATE_SNU,
    GALLIUM_THEORY_ERROR,
    production_region,
    solar_fluxes,
)
from nmmfit.physics.solar_pulls import flux_widths
from nmmfit.templates import HALF_WIDTH
from nmmfit.templates.shapes import Leaf, LongLeaf

# Scales that are no exponential of their pulls, and weightings, are tabulated; cubic interpolation costs less than their formulae
# and is good to 1e-11.
TABLE_END, TABLE_STEP = 16.0, 1.0 / 128.0
TABLE = np.arange(-TABLE_END, TABLE_END + 0.5 * TABLE_STEP, TABLE_STEP)

Many = Callable[[np.ndarray], np.ndarray]
"""(point, parameter) -> (point,)."""

_fast = numba.njit(fastmath=True, error_model="numpy")


@_fast
def _product(s: np.ndarray, a: int, n: int, w: np.ndarray, at: int, m: int, to: int) -> None:
    """s[to : to + m] = s[a : a + n] @ (n, m) matrix."""
    left, out = s[a : a + n], s[to : to + m]
    for j in range(m):
        out[j] = 0.0
    i = 0
    while i + 4 <= n:
        p, q, r, t = left[i], left[i + 1], left[i + 2], left[i + 3]
        rows = w[at + i * m : at + (i + 4) * m]
        one, two, three, four = rows[:m], rows[m : 2 * m], rows[2 * m : 3 * m], rows[3 * m : 4 * m]
        for j in range(m):
            out[j] += p * one[j] + q * two[j] + r * three[j] + t * four[j]
        i += 4
    while i < n:
        p = left[i]
        row = w[at + i * m : at + (i + 1) * m]
        for j in range(m):
            out[j] += p * row[j]
        i += 1


@_fast
def _outer(s: np.ndarray, a: int, n: int, b: int, m: int, to: int) -> None:
    right = s[b : b + m]
    for i in range(n):
        p = s[a + i]
        out = s[to + i * m : to + (i + 1) * m]
        for j in range(m):
            out[j] = p * right[j]


@_fast
def _times(s: np.ndarray, a: int, b: int, n: int, to: int) -> None:
    left, right, out = s[a : a + n], s[b : b + n], s[to : to + n]
    for j in range(n):
        out[j] = left[j] * right[j]


@_fast
def _add(s: np.ndarray, a: int, n: int, to: int) -> None:
    left, out = s[a : a + n], s[to : to + n]
    for j in range(n):
        out[j] += left[j]


@_fast
def _copy(s: np.ndarray, a: int, n: int, to: int) -> None:
    left, out = s[a : a + n], s[to : to + n]
    for j in range(n):
        out[j] = left[j]


@_fast
def _contract(s: np.ndarray, a: int, n: int, b: int, m: int, to: int) -> None:
    """s[to : to + m] = s[a : a + n] @ s[b : b + n * m]."""
    out = s[to : to + m]
    for j in range(m):
        out[j] = 0.0
    for i in range(n):
        p = s[a + i]
        row = s[b + i * m : b + (i + 1) * m]
        for j in range(m):
            out[j] += p * row[j]


@_fast
def _chebyshev(s: np.ndarray, x: float, degree: int, to: int) -> None:
    x = min(1.0, max(-1.0, x))
    s[to] = 1.0
    if degree > 0:
        s[to + 1] = x
    for k in range(2, degree + 1):
        s[to + k] = 2.0 * x * s[to + k - 1] - s[to + k - 2]


@_fast
def _look_up(s: np.ndarray, x: float, w: np.ndarray, at: int, m: int, to: int) -> None:
    """s[to : to + m] = row of a table (TABLE, m) at x, cubic in four neighbours."""
    position = (min(TABLE_END - 2 * TABLE_STEP, max(-TABLE_END + 2 * TABLE_STEP, x)) + TABLE_END) / TABLE_STEP
    below = int(position)
    u = position - below
    p, q = -u * (u - 1.0) * (u - 2.0) / 6.0, 0.5 * (u + 1.0) * (u - 1.0) * (u - 2.0)
    r, t = -0.5 * (u + 1.0) * u * (u - 2.0), (u + 1.0) * u * (u - 1.0) / 6.0
    rows = w[at + (below - 1) * m : at + (below + 3) * m]
    one, two, three, four = rows[:m], rows[m : 2 * m], rows[2 * m : 3 * m], rows[3 * m : 4 * m]
    out = s[to : to + m]
    for j in range(m):
        out[j] = p * one[j] + q * two[j] + r * three[j] + t * four[j]


@_fast
def _poisson(s: np.ndarray, a: int, n: int, w: np.ndarray, at: int) -> float:
    expected, observed = s[a : a + n], w[at : at + n]
    total = 0.0
    for j in range(n):
        total += observed[j] * np.log(expected[j]) - expected[j]
    return total


@_fast
def _gallium(x: np.ndarray, w: np.ndarray, at: int, n: int, births: int) -> float:
    """Log density of the gallium rate, up to its constant: n components, mixing pulls at the head of their numbers."""
    head = w[at : at + 16]
    p1, p2, p3 = x[int(head[0])], x[int(head[1])], x[int(head[2])]
    s12 = head[3] + head[4] * p1
    dm21 = head[5] + head[6] * p1 + head[7] * p2
    s13 = head[8] + head[9] * p3
    sine, rate = 4.0 * s12 * (1.0 - s12), 0.0
    for c in range(n):
        row = w[at + 16 + c * (4 + 2 * births) : at + 16 + (c + 1) * (4 + 2 * births)]
        factor, mean = 2e6 * (1.0 - s13) / dm21 * row[0], 0.0
        for k in range(births):
            far = 1.0 - 2.0 * s12 - factor * row[4 + k]
            mean += row[4 + births + k] * far / np.sqrt(far * far + sine)
        p_1 = 0.5 * (1.0 - s13) * (1.0 + mean)
        p_2 = 1.0 - s13 - p_1
        survival = (p_1 * (1.0 - s12) + p_2 * s12) * (1.0 - s13) + s13 * s13
        rate += row[1] * np.exp(row[2] * x[int(row[3])]) * survival
    pull = (rate - head[10]) / head[11]
    return -0.5 * pull * pull


@_fast
def _normal(x: np.ndarray, w: np.ndarray, at: int, n: int) -> float:
    """Sum of the exponents of normal priors: means, then inverse widths."""
    mean, inverse = w[at : at + n], w[at + n : at + 2 * n]
    total = 0.0
    for i in range(n):
        pull = (x[i] - mean[i]) * inverse[i]
        total += pull * pull
    return -0.5 * total


_HELPERS = {
    f.__name__: f for f in (_product, _outer, _times, _add, _copy, _contract, _chebyshev, _look_up, _poisson, _gallium, _normal)
}


class _Program:
    """Text of the program, the numbers it reads and the room it writes to."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.numbers: list[np.ndarray] = []
        self.known: dict[int, int] = {}
        self.kept: list[Any] = []
        self.n_numbers = self.room = 0

    def constant(self, values: np.ndarray) -> int:
        """Where these numbers lie; the same array once."""
        if id(values) not in self.known:
            self.known[id(values)] = self.n_numbers
            self.kept.append(values)
            self.numbers.append(np.ascontiguousarray(values, dtype=float).ravel())
            self.n_numbers += values.size
        return self.known[id(values)]

    def make(self, size: int, line: str = "") -> int:
        """Room for so many numbers, and what writes them, with `{to}` for the place."""
        to = self.room
        self.room += size
        if line:
            self.lines.append(line.format(to=to))
        return to

    def product(self, a: int, matrix: np.ndarray) -> int:
        n, m = matrix.shape
        return self.make(m, f"_product(s, {a}, {n}, w, {self.constant(matrix)}, {m}, {{to}})")

    def outer(self, a: int, n: int, b: int, m: int) -> int:
        return self.make(n * m, f"_outer(s, {a}, {n}, {b}, {m}, {{to}})")

    def gathered(self, places: Sequence[tuple[int, int]]) -> int:
        """Pieces (place, size) one after the other."""
        if all(a + n == b for (a, n), (b, _) in itertools.pairwise(places)):
            return places[0][0]
        to = self.make(sum(n for _, n in places))
        at = to
        for a, n in places:
            self.lines.append(f"_copy(s, {a}, {n}, {at})")
            at += n
        return to


def _functions(p: _Program, tree: Any, table: dict[str, int]) -> tuple[int, int]:
    """(place, size) of the functions of a tree."""
    if tree is None:
        return p.make(1, "s[{to}] = 1.0"), 1
    if isinstance(tree, Leaf):
        at = table[tree.pull]
        return (at, tree.degree + 1) if tree.compress is None else (p.product(at, tree.compress), tree.rank)
    if isinstance(tree, LongLeaf):
        short = table[tree.pull]
        blocks = p.make(tree.blocks, f"_chebyshev(s, s[{short + tree.m}], {tree.blocks - 1}, {{to}})")
        return p.outer(blocks, tree.blocks, short, tree.m), tree.rank
    (a, n), (b, m) = _functions(p, tree.left, table), _functions(p, tree.right, table)
    products = p.outer(a, n, b, m)
    return (products, n * m) if tree.transfer is None else (p.product(products, tree.transfer), tree.transfer.shape[1])


def _scales(p: _Program, template: Any, channel: Any, names: dict[str, int]) -> int:
    """Scales (component,)."""
    components, plan = channel.channel.components, channel.plan.scales
    zero = {name: jnp.asarray(0.0) for name in template.experiment.pulls}
    to = p.make(len(components))
    for row, k in enumerate(plan.exponential):
        terms = "".join(f" + {s!r} * x[{names[n]}]" for n, s in zip(plan.pulls, map(float, plan.slopes[row]), strict=True) if s)
        p.lines.append(f"s[{to + k}] = np.exp({float(plan.constants[row])!r}{terms})")
    for k in sorted(set(range(len(components))) - set(plan.exponential)):
        (pull,) = components[k].scale_pulls
        at = jax.jit(jax.vmap(lambda v, k=k, pull=pull: components[k].scale(zero | {pull: v})))
        values = np.asarray(at(jnp.asarray(TABLE)))
        p.lines.append(f"_look_up(s, x[{names[pull]}], w, {p.constant(values)}, 1, {to + k})")
    return to


def _part(p: _Program, part: Any, scale: int, merged: list[Any], functions: list[list[tuple[int, int]]]) -> tuple[int, int]:
    a, n = p.gathered([(scale + k, 1) for k in part.members]), len(part.members)
    if merged[part.block] is not None:
        b, m = merged[part.block]
        a, n = p.outer(a, n, b, m), n * m
    *stages, (outer, n_outer) = functions[part.block]
    for mixture, (b, m) in zip(part.strengths, stages, strict=True):
        if mixture.spread is None:
            a, n = p.product(p.outer(a, n, b, m), mixture.mix), mixture.mix.shape[1]
        else:
            mixed, spread = p.product(b, mixture.mix), p.product(a, mixture.spread)
            n = mixture.mix.shape[1]
            a = p.make(n, f"_times(s, {mixed}, {spread}, {n}, {{to}})")
    if part.narrow is None:
        return p.outer(a, n, outer, n_outer), n * n_outer
    rows, width = p.product(outer, part.narrow), part.narrow.shape[1]
    if part.is_whole:
        m = width // n
        return p.make(m, f"_contract(s, {a}, {n}, {rows}, {m}, {{to}})"), m
    spread = p.product(a, part.repeat)
    return p.make(width, f"_times(s, {rows}, {spread}, {width}, {{to}})"), width


def _group(
    p: _Program, group: Any, channel: Any, scale: int, merged: Any, functions: Any, table: Any, weight: Any
) -> tuple[int, int]:
    """(place, bins) of what a group of components adds to the counts."""
    found = [(part, *_part(p, part, scale, merged, functions)) for part in group.parts]
    size = group.matrix.shape[1]
    features = [(a, n) for part, a, n in found if not part.is_whole]
    to = p.product(p.gathered(features), group.matrix) if features else p.make(size, f"s[{{to}}:{p.room + size}] = 0.0")
    for part, a, _ in found:
        if part.is_whole:
            p.lines.append(f"_add(s, {a}, {size}, {to})")
    if group.segments:
        pieces, at = [], to
        for segment in group.segments:
            pieces.append((p.product(at, segment), segment.shape[1]))
            at += len(segment)
        to, size = p.gathered(pieces), sum(n for _, n in pieces)
    if group.weighted is not None:
        nodes = p.product(to, group.weighted.before)
        n = group.weighted.before.shape[1]
        weighted = p.make(n, f"_times(s, {nodes}, {weight(channel, group)}, {n}, {{to}})")
        to, size = p.product(weighted, group.weighted.after), group.weighted.after.shape[1]
    if group.second is not None:
        b, _ = _functions(p, group.second.block.stages[-1], table)
        second = p.product(b, group.second.matrix)
        to, size = p.outer(to, size, second, group.second.matrix.shape[1]), size * group.second.matrix.shape[1]
    return to, size


def amplitude_map(joint: JointLikelihood) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Amplitudes of a unit of each coefficient, (amplitude, coefficient), linear in the two chiral constants.

    Returns: the constants' nominal values (2,), the map there, its slopes (2, amplitude, coefficient), their places (2,).
    """
    names = ("theory.c_T", "theory.c_T_s")
    places = np.array([joint.names.index(name) for name in names])
    theory = {name: float(joint.start[place]) for name, place in zip(names, places, strict=True)}
    nominal = np.asarray(joint.linear_amplitudes(theory))
    slopes = np.stack([np.asarray(joint.linear_amplitudes(theory | {k: theory[k] + 1.0})) - nominal for k in theory])
    return joint.start[places], nominal, slopes, places


def _monomials(p: _Program, joint: JointLikelihood) -> tuple[int, int]:
    """(place, size) of 1 and all products of amplitudes."""
    start, nominal, slopes, places = amplitude_map(joint)
    n = len(nominal)
    to = p.make(1 + n * (n + 1) // 2, "s[{to}] = 1.0")
    p.lines += [f"c{k} = x[{place}] - {float(start[k])!r}" for k, place in enumerate(places)]
    for i in range(n):
        terms = []
        for j in range(joint.n_coefficients):
            moved = "".join(f" + {float(s[i, j])!r} * c{k}" for k, s in enumerate(slopes) if s[i, j])
            if nominal[i, j] or moved:
                terms.append(f"({float(nominal[i, j])!r}{moved}) * x[{j}]")
        p.lines.append(f"a{i} = {' + '.join(terms) or '0.0'}")
    at = to + 1
    for i in range(n):
        for j in range(i, n):
            p.lines.append(f"s[{at}] = a{i} * a{j}")
            at += 1
    return to, at - to


def numba_likelihood(joint: JointLikelihood, prior: str = "none") -> tuple[Callable[[np.ndarray], float], Many]:
    """Data log-likelihood of a vector (parameter,) of the default run, compiled at its first call.

    Args:
        prior: "none"; "nuisances" adds the constraint terms of theory inputs, pulls and the gallium rate (minus the function
            that a profile minimises); "all" adds those of the coefficients besides: the posterior's logarithm.
    Returns: the function, and the same for many vectors, (point, parameter) -> (point,), as a compiled loop.
    """
    names = {name: i for i, name in enumerate(joint.names)}
    p = _Program()
    products, n_products = _monomials(p, joint)
    totals: list[str] = []
    constant = 0.0
    for template in joint.templates:
        weights = np.asarray(template.monomials.weights)
        assert weights.shape[1] == n_products
        monomials = p.product(products, np.ascontiguousarray(weights.T))
        table = {
            pull: p.make(d + 1, f"_chebyshev(s, x[{names[pull]}] * {1.0 / HALF_WIDTH!r}, {d}, {{to}})")
            for pull, d in template.degrees.items()
        }
        weight = _Weights(p, names)
        for channel in template.channels:
            observed = np.asarray(channel.channel.observed, dtype=float)
            constant -= float(np.sum(gammaln(observed + 1.0)))
            plan, scale = channel.plan, _scales(p, template, channel, names)
            functions = [[_functions(p, tree, table) for tree in b.stages] for b in plan.blocks]
            merged = [
                None if b.monomials is None else (p.product(monomials, b.monomials), b.monomials.shape[1]) for b in plan.blocks
            ]
            groups = [_group(p, g, channel, scale, merged, functions, table, weight) for g in plan.groups]
            first, size = groups[0]
            p.lines += [f"_add(s, {a}, {size}, {first})" for a, _ in groups[1:]]
            totals.append(f"_poisson(s, {first}, {size}, w, {p.constant(observed)})")
    if prior != "none":
        terms, level = _priors(p, joint, names, prior == "all")
        totals += terms
        constant += level
    p.lines.append(f"return {' + '.join(totals)} + {constant!r}")
    return _compiled(p)


def _priors(p: _Program, joint: JointLikelihood, names: dict[str, int], own: bool) -> tuple[list[str], float]:
    """Terms of the priors and of the gallium rate, and their constants."""
    if any(type(q.prior).__name__ != "Normal" for q in joint.parameters):
        raise SystemExit("the numba competitor knows normal priors only")
    mean = np.array([float(q.prior.loc) for q in joint.parameters])
    inverse = 1.0 / np.array([float(q.prior.scale) for q in joint.parameters])
    used = np.arange(len(mean)) >= (0 if own else joint.n_own)
    level = float(np.sum(np.log(inverse[used]) - 0.5 * math.log(2.0 * math.pi)))
    terms = [f"_normal(x, w, {p.constant(np.concatenate([mean, inverse * used]))}, {len(mean)})"]
    if any(e.constraint is not None for e in joint.experiments):
        numbers, births = _gallium_numbers(names)
        sigma = math.hypot(GALLIUM_ERROR_SNU, GALLIUM_THEORY_ERROR * GALLIUM_RATE_SNU)
        level -= math.log(sigma * math.sqrt(2.0 * math.pi))
        terms.append(f"_gallium(x, w, {p.constant(numbers)}, {len(GALLIUM_CONTRIBUTIONS)}, {births})")
    return terms, level


def _gallium_numbers(names: dict[str, int]) -> tuple[np.ndarray, int]:
    """Numbers of `_gallium` for the default solar model and flux widths, and how many places of birth a component has."""
    nominal, rho = OscillationParameters(), S12SQ_DM21_CORRELATION
    sigma = math.hypot(GALLIUM_ERROR_SNU, GALLIUM_THEORY_ERROR * GALLIUM_RATE_SNU)
    head = np.zeros(16)
    head[:3] = [names[name] for name in OSCILLATION_PULLS]
    head[3:10] = [nominal.s12sq, S12SQ_ERROR, nominal.dm21, DM21_ERROR * rho, DM21_ERROR * math.sqrt(1.0 - rho**2),
                  nominal.s13sq, S13SQ_ERROR]  # fmt: skip
    head[10:12] = GALLIUM_RATE_SNU, sigma
    fluxes, widths = solar_fluxes(), flux_widths("gallium")
    regions = {c: production_region(c) for c in GALLIUM_CONTRIBUTIONS}
    births = max(len(r.weight) for r in regions.values())
    rows = []
    for c, (rate, energy) in GALLIUM_CONTRIBUTIONS.items():
        error = fluxes[c][1] if widths[c] == "ssm" else 1.0
        more = births - len(regions[c].weight)
        potential = np.asarray(matter_potential_ev(regions[c].n_e_mol_cm3))
        rows.append([energy, rate, math.log1p(error), names[f"solar.{c}"], *np.pad(potential, (0, more)),
                     *np.pad(regions[c].weight, (0, more))])  # fmt: skip
    return np.concatenate([head, np.ravel(rows)]), births


class _Weights:
    """Weightings of one experiment's channels, each looked up once."""

    def __init__(self, p: _Program, names: dict[str, int]) -> None:
        self.p, self.names = p, names
        self.known: dict[bytes, int] = {}

    def __call__(self, channel: Any, group: Any) -> int:
        places = group.weighted.places
        if places.tobytes() not in self.known:
            weighting = channel.channel.components[group.first_component].factors[0].weighting
            (pull,) = weighting.pulls
            values = np.asarray(jax.jit(jax.vmap(lambda v: weighting.weight(jnp.asarray(places), {pull: v})))(jnp.asarray(TABLE)))
            line = f"_look_up(s, x[{self.names[pull]}], w, {self.p.constant(values)}, {len(places)}, {{to}})"
            self.known[places.tobytes()] = self.p.make(len(places), line)
        return self.known[places.tobytes()]


def _compiled(p: _Program) -> tuple[Callable[[np.ndarray], float], Many]:
    body = "\n".join(f"    {line}" for line in p.lines)
    scope: dict[str, Any] = {"np": np, **_HELPERS}
    exec(f"def value(x, s, w):\n{body}\n", scope)
    program = numba.njit(scope["value"], error_model="numpy")
    room, numbers = np.zeros(p.room), np.concatenate(p.numbers)

    @numba.njit(error_model="numpy")
    def loop(xs: np.ndarray, s: np.ndarray, w: np.ndarray) -> np.ndarray:
        out = np.empty(len(xs))
        for i in range(len(xs)):
            out[i] = program(xs[i], s, w)
        return out

    return lambda x: program(x, room, numbers), lambda xs: loop(xs, room, numbers)
