"""Which verb wrote a folder, and what is in it."""

from __future__ import annotations

import hashlib
import json
import math
import string
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nmmfit.config import RunConfig, validate
from nmmfit.errors import UserInputError
from nmmfit.results.files import CALIBRATION_FILE, POSTERIOR, RUN_FILE, SUMMARY, TOYS_FILE, refuse_unfinished
from nmmfit.results.store import read_run
from nmmfit.runfile import read_toml

KINDS = {
    "fit": SUMMARY,
    "limits": "limits.json",
    "profile": "profile.json",
    "scan": "scan.json",
    "validate": "validate.json",
    "tension": "tension.json",
    "impacts": "impacts.json",
    "leave-one-out": "leave_one_out.json",
    "fisher": "fisher.json",
    "tighten": "tighten.json",
    "toys": "toys.json",
    "prior-sensitivity": "prior_sensitivity.json",
    "calibrate": "calibration.json",
    "fit --prior-predictive": "prior_predictive.json",
}
"""Verb -> the file by which its folder is known."""
ARRAYS = {"fit": POSTERIOR, "toys": TOYS_FILE, "calibrate": CALIBRATION_FILE}
"""Verb -> the file beside it with its arrays."""
_OR_NONE = (dict, type(None))
NEEDED: Mapping[str, tuple[tuple[str, type | tuple[type, ...]], ...]] = {
    "fit": (("identified", dict), ("parameters", dict), ("converged", bool), ("problems", list)),
    "limits": (("cl", float), ("identified", dict), ("parameters", dict), ("converged", bool), ("problems", list)),
    "profile": (("grid", dict), ("delta_chi2", list), ("converged", list), ("best", dict), ("unit", str)),
    "scan": (("grid", dict), ("delta_chi2", list), ("converged", list), ("best", dict), ("units", dict), ("cl", list)),
    "validate": (("experiments", dict),),
    "tension": (("experiments", dict), ("identified", dict), ("units", dict), ("toy_values", list), ("converged", bool)),
    "impacts": (("fit", dict), ("targets", dict), ("nuisances", dict), ("converged", bool), ("failed", list)),
    "leave-one-out": (("fits", dict), ("converged", bool)),
    "fisher": (
        *(("parameters", dict), ("directions", list), ("experiments", list), ("where", str), ("observed_where", str)),
        *(("points", int), ("converged", bool), ("problems", list)),
    ),
    "tighten": (("cl", float), ("stages", list), ("conventions", dict), ("converged", bool), ("failed", list)),
    "toys": (
        *(("parameter", str), ("unit", str), ("cl", float), ("toys", int), ("asymptotic", dict), ("coverage", list)),
        *(("asimov", _OR_NONE), ("feldman_cousins", _OR_NONE), ("cls", _OR_NONE), ("p_values", list), ("warnings", list)),
    ),
    "prior-sensitivity": (
        *(("cl", float), ("draws", int), ("parameters", dict), ("identified", dict), ("alternatives", dict)),
        ("why_not_flat", str),
    ),
    "calibrate": (
        *(("calibrated", bool), ("truths", str), ("simulations", int), ("failed", int), ("ranked_draws", int)),
        *(("quantities", dict), ("sampler", dict), ("divergences", int), ("seconds_per_simulation", float), ("seed", int)),
    ),
    "fit --prior-predictive": (("quantiles", list), ("channels", dict), ("draws", int), ("seed", int)),
}
"""Keys that an object must hold, with their types."""


@dataclass(frozen=True)
class Results:
    """A folder of results, read.

    Attributes:
        kind: the verb that wrote it, of KINDS.
        path: the folder. `payload`: its JSON object.
        run_toml, config: the run file and what it means; None where the verb takes none (`validate`).
        data: inference data of a fit; None for the others.
        checksums: file that the report rests on -> SHA-256.
    """

    kind: str
    path: Path
    payload: Mapping[str, Any]
    run_toml: str | None = None
    config: RunConfig | None = None
    data: Any = None
    checksums: Mapping[str, str] = field(default_factory=dict)

    @property
    def run(self) -> RunConfig:
        """The run, for kinds that have one."""
        if self.config is None:
            raise ValueError(f"{self.kind} has no run file")
        return self.config


def read_results(folder: Path | str) -> Results:
    """Read a folder that one of the verbs of KINDS wrote.

    Raises: UserInputError, one line: no such folder, not a folder of these verbs, or a file in it is missing or broken.
    """
    path = Path(folder)
    kind = _kind(path)
    run_toml: str | None = None
    data: Any = None
    if kind == "fit":
        stored = read_run(path)
        payload, run_toml, data = stored.summary, stored.run_toml, stored.data
    else:
        payload = _object(path / KINDS[kind])
        run_toml = None if kind == "validate" else _text(path / RUN_FILE)
    arrays = ARRAYS.get(kind)
    beside = [arrays] if arrays is not None and (path / arrays).is_file() else []
    names = [*beside, KINDS[kind], *([RUN_FILE] if run_toml is not None else [])]
    _check(payload, kind, path / KINDS[kind])
    config = None if run_toml is None else _config(run_toml, path / RUN_FILE)
    checksums = {name: hashlib.sha256((path / name).read_bytes()).hexdigest() for name in names}
    return Results(kind, path, payload, run_toml, config, data, checksums)


@contextmanager
def reading(results: Results) -> Iterator[None]:
    """Report an object that has its keys but not what belongs in them; only for code that takes such an object apart.

    Raises: UserInputError.
    """
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        what = f"{problem} is missing" if isinstance(problem, KeyError) else " ".join(str(problem).split())
        place = results.path / KINDS[results.kind]
        raise UserInputError(f"{place}: not what `nmmfit {results.kind}` writes ({what})") from None


def finite(given: object) -> float:
    """A number of a stored object that must be there. Raises: TypeError, ValueError for anything else, nan and infinities too."""
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise TypeError(f"{given!r} is no number")
    if not math.isfinite(given):
        raise ValueError(f"{given!r} is no finite number")
    return float(given)


def known_or_nan(given: object) -> float:
    """A number of a stored object, nan where it has none."""
    return float("nan") if given is None else finite(given)


def finite_or_none(given: object) -> float | None:
    """A number of a stored object, None where it has none."""
    return None if given is None else finite(given)


def plain_unit(given: object) -> str:
    """A unit of a stored object; "1" for none. Raises: ValueError for what is no unit."""
    unit = str(given or "1")
    if not set(unit) <= set(string.ascii_letters + string.digits + "_^+-./ "):
        raise ValueError(f"{unit!r} is no unit")
    return unit


def _kind(path: Path) -> str:
    if not path.is_dir():
        what = "this is a file, not a folder of results" if path.exists() else "there is no such folder of results"
        raise UserInputError(f"{path}: {what}")
    refuse_unfinished(path)
    found = [kind for kind, name in KINDS.items() if (path / name).exists()]
    if not found and (path / POSTERIOR).exists():
        found = ["fit"]
    allowed = ", ".join(f"{kind} ({name})" for kind, name in KINDS.items())
    if len(found) > 1:
        raise UserInputError(f"{path}: holds results of several verbs ({', '.join(found)}); one folder is of one verb")
    if not found:
        inside = sorted(p.name for p in path.iterdir())
        holds = (
            f"it holds {inside[0]!r}" + (f" and {len(inside) - 1} more" if len(inside) > 1 else "") if inside else "it is empty"
        )
        raise UserInputError(f"{path}: not a folder of results that can be reported: {holds} (allowed: those of {allowed})")
    return found[0]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        missing = isinstance(problem, FileNotFoundError)
        reason = "there is no such file" if missing else getattr(problem, "strerror", None) or "not UTF-8 text"
        raise UserInputError(f"{path}: {reason}") from None


def _object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(_text(path))
    except (json.JSONDecodeError, RecursionError) as problem:
        raise UserInputError(f"{path}: not valid JSON: {problem}; it is broken or was cut short") from None
    if not isinstance(found, dict):
        raise UserInputError(f"{path}: expected a JSON object, got {type(found).__name__}")
    return found


def _check(payload: Mapping[str, Any], kind: str, path: Path) -> None:
    for key, wanted in NEEDED[kind]:
        if key not in payload:
            raise UserInputError(f"{path}: not what `nmmfit {kind}` writes ({key!r} is missing)")
        if not isinstance(payload[key], wanted):
            got = type(payload[key]).__name__
            raise UserInputError(f"{path}: not what `nmmfit {kind}` writes ({key!r} is {got})")


def _config(run_toml: str, path: Path) -> RunConfig:
    try:
        return validate(read_toml(run_toml, str(path)))
    except UserInputError as problem:
        text = str(problem)
        raise UserInputError(text if text.startswith(str(path)) else f"{path}: {text}") from None
