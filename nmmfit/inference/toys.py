"""Toy experiments: expected limits, coverage of the asymptotic intervals, Feldman-Cousins intervals, CL_s and p-values.

Toys are made where the data's own profile runs: the tested quantity at its tested value, every other coefficient, theory input
and nuisance at its best fit (`nmmfit.inference.toy_truths`), fitted again in every toy.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from threading import Event
from typing import Any

import numpy as np

from nmmfit.checks import confidence_level, finite_number, whole_number
from nmmfit.durable import Engine
from nmmfit.errors import UserInputError, unknown
from nmmfit.inference.asimov import Asimov, asimov
from nmmfit.inference.core_fits import programs
from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.kept_minima import Stores
from nmmfit.inference.minimise import Progress
from nmmfit.inference.space import Space, Target, compensators, space_of
from nmmfit.inference.toy_ensemble import Ensemble, Toys, run
from nmmfit.inference.toy_fits import ToyLikelihood
from nmmfit.inference.toy_intervals import (
    GRID_POINTS,
    CLs,
    Coverage,
    FeldmanCousins,
    ToysAtValue,
    cls_limit,
    coverage,
    default_grid,
    feldman_cousins,
    tested,
)
from nmmfit.inference.toy_truths import DataProfile, Truth, in_range, standard_model
from nmmfit.numerics.quantiles import chi_square_quantile
from nmmfit.precision import require_double_precision

KINDS = ("asimov", "coverage", "feldman-cousins", "cls", "p-value")
"""What toys can be asked for."""

DEFAULT_KINDS = ("asimov", "coverage", "feldman-cousins")

FINER = 2
"""CL_s has no refinement: it takes so many times as many values."""

WORDS = "toys at the profiled nuisances of the data (plug-in construction), every nuisance profiled again in each toy"

WARN_FAILED = 0.01
"""Fraction of toys that did not converge above which a result says so."""


@dataclass(frozen=True)
class ToysResult:
    """What toys say of one quantity; what was not asked for is None or empty.

    Attributes:
        name, unit: the quantity. `cl`: confidence level. `best`: best fit of the data (nan where only Asimov data were made).
        asymptotic: ends of the profiled interval of the data, None where there is none.
        toys, seed: toys at every value, and the seed that makes the same ones again. `construction`: where they are made.
        warnings: what to know, such as toys that did not converge.
    """

    name: str
    unit: str
    cl: float
    best: float
    asymptotic: tuple[float | None, float | None]
    toys: int
    seed: int
    asimov: Asimov | None
    coverage: tuple[Coverage, ...]
    feldman_cousins: FeldmanCousins | None
    cls: CLs | None
    p_values: tuple[ToysAtValue, ...]
    warnings: tuple[str, ...]
    construction: str = WORDS

    def to_json(self) -> dict[str, Any]:
        """The object of `toys --json`, without single toys."""
        return {
            "parameter": self.name,
            "unit": self.unit,
            "cl": self.cl,
            "best": self.best,
            "asymptotic": {"lower": self.asymptotic[0], "upper": self.asymptotic[1]},
            "toys": self.toys,
            "seed": self.seed,
            "construction": self.construction,
            "asimov": None if self.asimov is None else self.asimov.to_json(),
            "coverage": [c.to_json() for c in self.coverage],
            "feldman_cousins": None if self.feldman_cousins is None else self.feldman_cousins.to_json(),
            "cls": None if self.cls is None else self.cls.to_json(),
            "p_values": [t.to_json() for t in self.p_values],
            "warnings": list(self.warnings),
        }


def default_parameter(joint: JointLikelihood) -> str:
    """The first coefficient that the data bound; the first identified quantity where they bound none alone.

    Raises: UserInputError where nothing is free, or nothing is bounded.
    """
    space = space_of(joint)
    if not len(space.own):
        raise UserInputError("toys: no coefficient of this likelihood is free; name a parameter")
    for i in space.own:
        if compensators(space, space.start, space.names[i]) is None:
            return space.names[i]
    if not space.identified:
        names = ", ".join(space.names[i] for i in space.own)
        raise UserInputError(
            f"toys: the data bound none of {names} alone, and no identified quantity; name a theory input or a nuisance"
        )
    return _quantities(space)[0]


def _quantities(space: Space) -> list[str]:
    return [q.name for q in space.identified]


def toys(
    joint: JointLikelihood,
    parameter: str | None = None,
    *,
    what: Sequence[str] = DEFAULT_KINDS,
    toys: int = 1000,
    cl: float = 0.90,
    grid: Sequence[float] | None = None,
    values: Sequence[float] | None = None,
    at: Mapping[str, float] | None = None,
    seed: int = 0,
    starts: int = 8,
    longest_s: float | None = None,
    progress: Progress | None = None,
    stores: Stores | None = None,
    engine: Engine | None = None,
) -> ToysResult:
    """Toy experiments for one quantity.

    Args:
        joint: the likelihood.
        parameter: a parameter or an identified quantity; None: the first coefficient that the data bound, or the first identified
            quantity where they bound none.
        what: any of "asimov", "coverage", "feldman-cousins", "cls" (sizes only), "p-value".
        toys: toys at every tested value, >= 10.
        cl: confidence level, between 0 and 1 (0.9, not 90).
        grid: values of the belt and of CL_s, in the unit of the quantity; None: made from the asymptotic interval.
        values: where p-values are wanted; None: the Standard Model's.
        at: a further point of coverage, and that of Asimov data: parameters by name, the others at their best fit. None: coverage
            at the Standard Model and at the best fit of the data, Asimov data of the Standard Model.
        seed: of the random numbers, >= 0; a toy is made of the seed and its index alone.
        starts: scattered starts of fits of the data, >= 1.
        longest_s: seconds that all toys may take by the speed of the first ones; None: as long as they take.
        progress: called with (toys done, toys in all), the latter an estimate where values are added to a grid.
        stores: opens a store of toys that are done, by its name and what determines it (`ResumableFolder.store`); the same call
            makes only those that are left. None: nothing is kept.
        engine: makes several chunks of toys at once, such as a `nmmfit.cluster.ClusterEngine`; None: one after another. The
            result is the same.
    Returns: the results asked for.
    Raises: UserInputError for a wrong number, an unknown name, a quantity that the data do not bound, or toys that would take too
        long; NotConvergedError where the data themselves could not be fitted; OutputError where toys cannot be kept.
    """
    require_double_precision()
    whole_number(toys, "toys: toys", 10)
    whole_number(seed, "toys: seed", 0, 2**31)
    whole_number(starts, "toys: starts", 1)
    cl = confidence_level(cl, "toys: cl")
    kinds = _checked_kinds(what)
    chosen_grid = _checked_grid(grid)
    tested_at = None if values is None else [finite_number(v, "toys: values") for v in values]
    space = space_of(joint)
    name = default_parameter(joint) if parameter is None else parameter
    target = space.target(name)
    for value in (*(chosen_grid or ()), *(tested_at or ())):
        in_range(target, value)
    for known in at or {}:
        space.index(known, "toys: at")
    if "cls" in kinds and not target.positive and target.range[0] < 0:
        sizes = ", ".join(_quantities(space)) or "this likelihood has none"
        raise UserInputError(f"toys: cls takes a size, which cannot be negative ({sizes}), not {name}")
    if "asimov" in kinds and name not in [*(space.names[i] for i in space.own), *_quantities(space)]:
        kinds = tuple(kind for kind in kinds if kind != "asimov")
    counter = _Counter(_estimated_toys(kinds, toys, chosen_grid, tested_at, at), progress, longest_s, stores, engine)

    level = chi_square_quantile(cl, 1)
    with _prepared(joint, target if set(kinds) - {"asimov"} else None):
        profile = DataProfile(joint, name, starts=starts, seed=seed)
        region = profile.region(level)
    lower, upper = region.lower.value, region.upper.value
    if target.positive and lower is None and region.lower.boundary:
        lower = 0.0
    covered: list[Coverage] = []
    if "coverage" in kinds:
        points: list[tuple[str, Truth]] = []
        if at is not None:
            points.append((", ".join(f"{n} = {v:g}" for n, v in at.items()), profile.point(at)))
        else:
            if joint.switches:
                points.append(("Standard Model", profile.point(standard_model(joint))))
            points.append(("best fit", profile.best_fit()))
        covered = [coverage(profile, truth, where, cl, level, toys, seed, counter.make) for where, truth in points]
    chosen = chosen_grid or default_grid(profile, lower, upper)
    interval = None
    if "feldman-cousins" in kinds:
        interval = feldman_cousins(profile, chosen, chosen_grid is not None, cl, toys, seed, counter.make)
    limit = None
    if "cls" in kinds:
        finer = chosen_grid or list(np.linspace(chosen[0], chosen[-1], FINER * (len(chosen) - 1) + 1))
        limit = cls_limit(profile, finer, cl, toys, seed, counter.make)
    p_values: tuple[ToysAtValue, ...] = ()
    if "p-value" in kinds:
        wanted = [0.0] if tested_at is None else tested_at
        p_values = tuple(tested(profile, truth, cl, toys, seed, counter.make) for truth in profile.truths(wanted))
    expected = asimov(joint, at=at, cl=cl, parameters=[name], starts=starts, seed=seed) if "asimov" in kinds else None
    return ToysResult(
        name=name,
        unit=target.unit,
        cl=cl,
        best=profile.best,
        asymptotic=(lower, upper),
        toys=toys,
        seed=seed,
        asimov=expected,
        coverage=tuple(covered),
        feldman_cousins=interval,
        cls=limit,
        p_values=p_values,
        warnings=counter.warnings(),
    )


@contextmanager
def _prepared(joint: JointLikelihood, target: Target | None) -> Iterator[None]:
    """What fits of toys call is compiled meanwhile, by another thread; nothing without a target."""
    if target is None:
        yield
        return
    stop = Event()

    def prepare() -> None:
        for program, batch, shared in programs(ToyLikelihood(joint), target):
            if not stop.is_set():
                program.ready(batch, shared)

    with ThreadPoolExecutor(1) as pool:
        prepared = pool.submit(prepare)
        try:
            yield
            prepared.result()
        finally:
            stop.set()


def _checked_kinds(what: Sequence[str]) -> tuple[str, ...]:
    if isinstance(what, str):
        raise UserInputError(f"toys: what is a list, such as [{what!r}]")
    for kind in what:
        if kind not in KINDS:
            raise unknown("kind of result", kind, KINDS, "toys: what")
    if not what:
        raise UserInputError(f"toys: what: nothing is asked for (allowed: {', '.join(KINDS)})")
    return tuple(dict.fromkeys(what))


def _checked_grid(grid: Sequence[float] | None) -> list[float] | None:
    if grid is None:
        return None
    values = [finite_number(v, "toys: grid") for v in grid]
    if len(values) < 2 or any(not b > a for a, b in pairwise(values)):
        raise UserInputError("toys: grid: expected at least two values in ascending order")
    return values


def _estimated_toys(
    kinds: Sequence[str],
    toys: int,
    grid: Sequence[float] | None,
    values: Sequence[float] | None,
    at: Mapping[str, float] | None,
) -> int:
    """Toys that will be made, about."""
    points = len(grid) if grid is not None else GRID_POINTS
    number = 0
    if "coverage" in kinds:
        number += 2 if at is None else 1
    if "feldman-cousins" in kinds:
        number += points + 3
    if "cls" in kinds:
        number += 1 + (points if grid is not None else FINER * points)
    if "p-value" in kinds:
        number += 1 if values is None else len(values)
    return number * toys


class _Counter:
    """Makes toys, counts them, knows how many failed, and how long all will take."""

    def __init__(
        self,
        expected: int,
        progress: Progress | None,
        longest_s: float | None,
        stores: Stores | None,
        engine: Engine | None,
    ) -> None:
        self.expected, self.progress, self.longest_s, self.stores, self.engine = expected, progress, longest_s, stores, engine
        self.done = self.failed = 0
        self._first: tuple[float, int] | None = None

    def make(self, ensemble: Ensemble) -> Toys:
        """The toys of an ensemble."""
        self.expected = max(self.expected, self.done + ensemble.toys)
        found = run(ensemble, self._told, self.done, self.expected, self.stores, self.engine)
        self.done += ensemble.toys
        self.failed += found.failed
        return found

    def _told(self, done: int, total: int) -> None:
        # What the first chunk took is compiling for the most part.
        now = time.perf_counter()
        if self._first is None:
            self._first = now, done
        began, before = self._first
        if self.longest_s is not None and before < done <= self.expected // 4:
            seconds = (now - began) / (done - before) * (total - before)
            if seconds > self.longest_s:
                raise UserInputError(
                    f"toys: {total} toys would take about {seconds / 3600.0:.1f} hours here; make fewer (--toys, --grid), "
                    "or let it run (--yes)"
                )
        if self.progress is not None:
            self.progress(done, total)

    def warnings(self) -> tuple[str, ...]:
        """What to know about the toys."""
        if self.failed > WARN_FAILED * self.done:
            return (f"{self.failed} of {self.done} toys did not converge; results are of the others",)
        return ()
