"""Two folders of results of one computation: whether all that they say is the same, and by how much it differs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nmmfit.results import adapter
from nmmfit.results.manifest import files_in

# What tells when, where and how fast something was computed.
_OF_THE_MOMENT = frozenset({"wall_s", "warmup_s", "seconds", "seconds_grid", "out", "created_at", "commit", "platform", "device"})
_PICTURES = (".png", ".pdf", ".svg", ".html")


@dataclass(frozen=True)
class Difference:
    """Something in a file that is not the same.

    Attributes:
        file: its name. `where`: the place in it, such as "posterior/L_dipole"; empty for the whole file.
        what: in words.
        relative: largest difference of numbers, as a fraction of the largest of them; None where no numbers are compared.
    """

    file: str
    where: str
    what: str
    relative: float | None = None

    def __str__(self) -> str:
        return f"{self.file}: {self.where + ': ' if self.where else ''}{self.what}"


@dataclass(frozen=True)
class Comparison:
    """Files that were compared, pictures that were not (they are drawn from the numbers), and all differences."""

    compared: tuple[str, ...]
    pictures: tuple[str, ...]
    differences: tuple[Difference, ...]

    @property
    def identical(self) -> bool:
        """Whether everything that was compared is the same."""
        return not self.differences

    @property
    def largest(self) -> float | None:
        """Largest relative difference of numbers; None if no numbers differ."""
        return max((d.relative for d in self.differences if d.relative is not None), default=None)


def compare_folders(before: Path, after: Path) -> Comparison:
    """Compare two folders of results, number by number; times, places and pictures do not count.

    Raises: UserInputError if a posterior file is broken.
    """
    old, new = files_in(before), files_in(after)
    names = sorted({*old, *new})
    pictures = tuple(name for name in names if name.endswith(_PICTURES))
    rest = [name for name in names if name not in pictures]
    found: list[Difference] = []
    for name in rest:
        if name not in new or name not in old:
            found.append(Difference(name, "", "not there now" if name not in new else "not there before"))
        elif name.endswith(".nc"):
            found += _arrays(name, old[name], new[name])
        elif name.endswith(".json"):
            found += _values(name, "", _json(old[name]), _json(new[name]))
        elif old[name].read_bytes() != new[name].read_bytes():
            found.append(Difference(name, "", "has other content"))
    return Comparison(tuple(rest), pictures, tuple(found))


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _values(file: str, where: str, old: Any, new: Any) -> Iterator[Difference]:
    """Differences of two JSON values."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new} - _OF_THE_MOMENT):
            place = f"{where}.{key}" if where else key
            if key not in old or key not in new:
                yield Difference(file, place, "not there now" if key in old else "not there before")
            else:
                yield from _values(file, place, old[key], new[key])
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for i, (a, b) in enumerate(zip(old, new, strict=True)):
            yield from _values(file, f"{where}[{i}]", a, b)
    elif old != new or type(old) is not type(new):
        numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in (old, new))
        relative = abs(old - new) / max(abs(old), abs(new)) if numbers and old != new else None
        yield Difference(file, where, f"{_shown(old)} before, {_shown(new)} now", relative)


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _arrays(file: str, old: Path, new: Path) -> Iterator[Difference]:
    """Differences of all arrays of two posterior files."""
    trees = [adapter.as_tree(adapter.from_netcdf(path)) for path in (old, new)]
    before, after = (
        {
            f"{group}/{name}": values
            for group, node in tree.children.items()
            for name, values in node.to_dataset().variables.items()
        }
        for tree in trees
    )
    for name in sorted({*before, *after}):
        if name not in before or name not in after:
            yield Difference(file, name, "not there now" if name in before else "not there before")
            continue
        a, b = np.asarray(before[name].values), np.asarray(after[name].values)
        if (a.shape, a.dtype) != (b.shape, b.dtype):
            yield Difference(file, name, f"shape {a.shape} and type {a.dtype} before, {b.shape} and {b.dtype} now")
        elif a.tobytes() != b.tobytes() and not np.array_equal(a, b, equal_nan=a.dtype.kind in "fc"):
            largest = _largest(a, b)
            how = f"differs by up to {largest:.2g} of its largest value" if math.isfinite(largest) else "differs"
            yield Difference(file, name, how, largest)


def _largest(a: np.ndarray, b: np.ndarray) -> float:
    """Largest difference of numbers as a fraction of the largest of them; infinite where they are finite in one place only."""
    if a.dtype.kind not in "fciub":
        return math.inf
    x, y = a.astype(float), b.astype(float)
    fine = np.isfinite(x)
    if not np.array_equal(fine, np.isfinite(y)):
        return math.inf
    scale = float(np.max(np.abs([x[fine], y[fine]]), initial=0.0))
    return float(np.max(np.abs(x[fine] - y[fine]), initial=0.0)) / scale if scale else 0.0
