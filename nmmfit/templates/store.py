"""Templates kept between processes: they take seconds to make and depend on code, data and a few choices only.

A file is named by a digest of everything that its content depends on: the source and data of nmmfit and of the experiment, the
versions of the numerical libraries, the experiment's options, the amplitudes and the tolerance. Nothing is ever out of date.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from nmmfit.atomic import replace_bytes
from nmmfit.compilation_cache import cache_folder, is_wanted
from nmmfit.physics.amplitude_basis import AmplitudeBasis, MergedMonomials
from nmmfit.templates.plan import ChannelPlan

Kept = tuple[MergedMonomials, tuple[ChannelPlan, ...]]


def digest(parts: Iterable[bytes | str]) -> str:
    """SHA-256 of several texts, each with its length, in order."""
    total = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        total.update(f"{len(raw)}:".encode() + raw)
    return total.hexdigest()


@lru_cache(maxsize=8)
def folder_digest(folder: Path) -> str:
    """Digest of all files in a folder, names and contents; compiled Python files do not count."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    return digest(part for p in files for part in (str(p.relative_to(folder)), p.read_bytes()))


def fingerprint(experiment_folder: Path, name: str, choices: object, options: Mapping[str, Any]) -> str:
    """What the numbers of a built experiment depend on: code, data, libraries, choices of theory and its own options."""
    libraries = [f"{package} {version(package)}" for package in ("jax", "jaxlib", "numpy", "scipy")]
    code = [folder_digest(Path(__file__).resolve().parent.parent), folder_digest(experiment_folder)]
    return digest([name, repr(choices), repr(sorted(options.items())), *libraries, *code])


def kept_or_made(experiment: str, basis: AmplitudeBasis, tolerance: float, make: Callable[[], Kept]) -> Kept:
    """Templates from the user's cache folder, or newly made and put there.

    Args:
        experiment: fingerprint of the experiment.
        basis: amplitudes of the fit.
        tolerance: of the templates.
        make: makes them.
    Returns: monomials and the plans of all channels. A cache that cannot be read or written is no error: they are made then.
    """
    if not is_wanted():
        return make()
    key = digest([experiment, repr(tolerance), basis.rows.tobytes(), basis.directions.tobytes()])
    path = cache_folder("templates") / f"{key}.pickle"
    known = _read(path)
    if known is not None:
        return known
    monomials, plans = make()
    forms: Any = {name: np.asarray(values) for name, values in monomials.forms.items()}
    made = MergedMonomials(monomials.weights, forms), plans
    payload = pickle.dumps(made, protocol=pickle.HIGHEST_PROTOCOL)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_bytes(path, hashlib.sha256(payload).digest() + payload)
    except OSError:
        pass
    return made


def _read(path: Path) -> Kept | None:
    """Content of a file; None if there is none or it is damaged."""
    try:
        raw = path.read_bytes()
    except OSError:
        return None
    if hashlib.sha256(raw[32:]).digest() != raw[:32]:
        return None
    kept: Kept = pickle.loads(raw[32:])
    return kept
