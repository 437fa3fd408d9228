"""A calibration as `calibrate` stores it, read back: the object of calibration.json, and the ranks of calibration.nc."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nmmfit.errors import UserInputError
from nmmfit.inference.calibration import TRUTHS, Calibration, Ranked
from nmmfit.inference.ranks import UniformRanks
from nmmfit.inference.settings import SamplerSettings
from nmmfit.results import adapter
from nmmfit.results.files import CALIBRATION_FILE
from nmmfit.results.written import Results, finite, plain_unit, reading

Stored = Mapping[str, np.ndarray]
"""Quantity -> its values (simulation,)."""


def stored_calibration(results: Results) -> Calibration:
    """What `calibrate` wrote, as the object it comes from; of the times the median alone is stored.

    Raises: UserInputError, one line, if calibration.json or calibration.nc is broken, or one is not of the other.
    """
    p = results.payload
    ranks, truths = _arrays(results)
    with reading(results):
        draws, simulations, failed = (_count(p[key]) for key in ("ranked_draws", "simulations", "failed"))
        left = simulations - failed
        if draws < 1 or left < 1:
            raise ValueError(f"{left} of {simulations} simulations, ranked among {draws} draws")
        if p["truths"] not in TRUTHS:
            raise ValueError(f"truths from {p['truths']!r}")
        if not p["quantities"] or set(p["quantities"]) != set(ranks) or set(ranks) != set(truths):
            raise ValueError(f"{CALIBRATION_FILE} holds ranks of {len(ranks)} quantities, other ones than are named here")
        quantities = {str(n): _ranked(str(n), given, ranks[str(n)], draws, left) for n, given in p["quantities"].items()}
        for name, values in truths.items():
            if values.shape != (left,):
                raise ValueError(f"{CALIBRATION_FILE} holds {len(values)} truths of {name!r}, not {left}")
        found = Calibration(
            truths=str(p["truths"]),
            settings=_settings(p["sampler"]),
            seed=_count(p["seed"]),
            draws=draws,
            simulations=simulations,
            failed=failed,
            quantities=quantities,
            truth=np.stack([truths[name] for name in quantities], axis=1),
            uniform=UniformRanks(left, draws),
            seconds=np.array([finite(p["seconds_per_simulation"])]),
            divergences=_count(p["divergences"]),
        )
        if found.calibrated != p["calibrated"]:
            raise ValueError(f"calibrated is {p['calibrated']}, which its numbers do not say")
    return found


def _arrays(results: Results) -> tuple[Stored, Stored]:
    """Ranks and truths."""
    path = results.path / CALIBRATION_FILE
    if not path.exists():
        raise UserInputError(f"{path}: there is no such file, though {results.path} is of a calibration")
    tree = adapter.as_tree(adapter.from_netcdf(path))
    found = []
    for group in ("ranks", "truths"):
        if group not in tree.children:
            raise UserInputError(f"{path}: holds no {group}")
        variables = tree[group].dataset.data_vars
        found.append({str(name): np.asarray(values.values, dtype=float) for name, values in variables.items()})
    return found[0], found[1]


def _count(given: object) -> int:
    value = finite(given)
    if value != int(value) or value < 0:
        raise ValueError(f"{value:g} is no number of anything")
    return int(value)


def _probability(given: object) -> float:
    value = finite(given)
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{value:g} is no probability")
    return value


def _ranked(name: str, given: Mapping[str, Any], ranks: np.ndarray, draws: int, left: int) -> Ranked:
    if ranks.shape != (left,) or not np.all((ranks >= 0) & (ranks <= draws) & (ranks == np.floor(ranks))):
        raise ValueError(f"{CALIBRATION_FILE}: the ranks of {name!r} are not {left} whole numbers from 0 to {draws}")
    if not isinstance(given["folded"], bool):
        raise TypeError(f"folded {given['folded']!r}")
    return Ranked(
        name,
        kind=str(given["kind"]),
        unit=plain_unit(given["unit"]),
        folded=given["folded"],
        ranks=ranks.astype(int),
        p_value=_probability(given["p_value"]),
        p_adjusted=_probability(given["p_adjusted"]),
        shape=str(given["shape"]),
    )


def _settings(given: Mapping[str, Any]) -> SamplerSettings:
    try:
        return SamplerSettings(**given)
    except UserInputError as problem:
        raise ValueError(str(problem)) from None
