"""Results of toys as `toys` stores them, read back: the object of toys.json, and q of every toy of toys.nc."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nmmfit.errors import UserInputError
from nmmfit.inference.asimov import Asimov
from nmmfit.inference.intervals import Interval
from nmmfit.inference.toy_intervals import CLs, Coverage, FeldmanCousins, ToysAtValue
from nmmfit.inference.toys import ToysResult
from nmmfit.results import adapter
from nmmfit.results.files import TOYS_FILE
from nmmfit.results.written import Results, finite, finite_or_none, known_or_nan, plain_unit, reading

Samples = Mapping[str, np.ndarray]
"""Group of toys.nc -> q of the toys (test, toy), nan for those that failed; nothing where no toys are stored."""


def stored_toys(results: Results) -> ToysResult:
    """What `toys` wrote, as the object it comes from.

    Raises: UserInputError, one line, if toys.json or toys.nc is broken, or one is not of the other.
    """
    p = results.payload
    q = _samples(results) if p["coverage"] or p["feldman_cousins"] or p["p_values"] else {}
    with reading(results):
        cl, warnings = _level(p["cl"]), tuple(map(str, p["warnings"]))
        asymptotic = finite_or_none(p["asymptotic"]["lower"]), finite_or_none(p["asymptotic"]["upper"])
        covered = [_coverage(c, s) for c, s in zip(p["coverage"], _rows(q, "coverage", p["coverage"]), strict=True)]
        return ToysResult(
            name=str(p["parameter"]),
            unit=plain_unit(p["unit"]),
            cl=cl,
            best=known_or_nan(p["best"]),
            asymptotic=asymptotic,
            toys=_count(p["toys"]),
            seed=_count(p["seed"]),
            asimov=None if p["asimov"] is None else _asimov(p["asimov"]),
            coverage=tuple(covered),
            feldman_cousins=None if p["feldman_cousins"] is None else _feldman_cousins(p["feldman_cousins"], q),
            cls=None if p["cls"] is None else _cls(p["cls"]),
            p_values=tuple(_tested(t, s) for t, s in zip(p["p_values"], _rows(q, "p_value", p["p_values"]), strict=True)),
            warnings=warnings,
            construction=str(p["construction"]),
        )


def _samples(results: Results) -> Samples:
    path = results.path / TOYS_FILE
    if not path.exists():
        raise UserInputError(f"{path}: there is no such file, though the results are of toys")
    tree = adapter.as_tree(adapter.from_netcdf(path))
    found = {}
    for name, group in tree.children.items():
        if "q" in group.dataset:
            found[name] = np.asarray(group.dataset["q"].values, dtype=float)
    return found


def _rows(q: Samples, group: str, entries: list[Any]) -> list[np.ndarray]:
    """q of the toys at every entry. Raises: ValueError if there are others in the file."""
    if not entries:
        return []
    if group not in q or len(q[group]) != len(entries):
        raise ValueError(f"{TOYS_FILE} holds toys of {len(q.get(group, ()))} points of {group}, not of {len(entries)}")
    return [row[np.isfinite(row)] for row in q[group]]


def _level(given: object) -> float:
    cl = finite(given)
    if not 0.0 < cl < 1.0:
        raise ValueError(f"cl is {cl:g}, not between 0 and 1")
    return cl


def _count(given: object) -> int:
    value = finite(given)
    if value != int(value) or value < 0:
        raise ValueError(f"{value:g} is no number of toys")
    return int(value)


def _of_toys(values: np.ndarray, toys: int) -> np.ndarray:
    if len(values) != toys:
        raise ValueError(f"{TOYS_FILE} holds {len(values)} toys where {toys} were fitted")
    return values


def _coverage(given: Mapping[str, Any], values: np.ndarray) -> Coverage:
    toys = _count(given["toys"])
    numbers = {key: finite(given[key]) for key in ("truth", "cl", "level", "coverage", "error")}
    numbers |= {key: known_or_nan(given[key]) for key in ("critical", "critical_error")}
    return Coverage(
        where=str(given["where"]), toys=toys, failed=_count(given["failed"]), values=_of_toys(values, toys), **numbers
    )


def _tested(given: Mapping[str, Any], values: np.ndarray) -> ToysAtValue:
    toys = _count(given["toys"])
    low, high = given["accepted"]
    numbers = {key: finite(given[key]) for key in ("value", "q", "p_value", "p_error")}
    numbers |= {key: known_or_nan(given[key]) for key in ("critical", "critical_error")}
    accepted = known_or_nan(low), known_or_nan(high)
    return ToysAtValue(toys=toys, failed=_count(given["failed"]), accepted=accepted, values=_of_toys(values, toys), **numbers)


def _feldman_cousins(given: Mapping[str, Any], q: Samples) -> FeldmanCousins:
    grid = given["grid"]
    if not grid:
        raise ValueError("an interval without a grid")
    tested = tuple(_tested(t, s) for t, s in zip(grid, _rows(q, "feldman_cousins", grid), strict=True))
    reason, note = (None if given[key] is None else str(given[key]) for key in ("reason", "note"))
    return FeldmanCousins(
        cl=_level(given["cl"]),
        best=known_or_nan(given["best"]),
        lower=finite_or_none(given["lower"]),
        upper=finite_or_none(given["upper"]),
        lower_error=known_or_nan(given["lower_error"]),
        upper_error=known_or_nan(given["upper_error"]),
        reason=reason,
        note=note,
        tested=tested,
    )


def _cls(given: Mapping[str, Any]) -> CLs:
    series = {key: tuple(finite(x) for x in given[key]) for key in ("values", "cls", "cls_error", "p", "p_background")}
    if len({len(numbers) for numbers in series.values()}) != 1:
        raise ValueError("CL_s and its values are not of one length")
    return CLs(
        cl=_level(given["cl"]),
        upper=finite_or_none(given["upper"]),
        upper_error=known_or_nan(given["upper_error"]),
        reason=None if given["reason"] is None else str(given["reason"]),
        toys=_count(given["toys"]),
        failed=_count(given["failed"]),
        **series,
    )


def _asimov(given: Mapping[str, Any]) -> Asimov:
    expected, units = {}, {}
    for name, end in given["expected"].items():
        units[name] = plain_unit(end["unit"])
        if not isinstance(end["converged"], bool):
            raise TypeError(f"converged {end['converged']!r}")
        reason = None if end["reason"] is None else str(end["reason"])
        expected[name] = Interval(finite_or_none(end["lower"]), finite_or_none(end["upper"]), reason, converged=end["converged"])
    point = {str(name): finite(value) for name, value in given["point"].items()}
    return Asimov(_level(given["cl"]), point, expected, units, {})
