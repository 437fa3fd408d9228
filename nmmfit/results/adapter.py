"""The one place that knows ArviZ: 0.23 (InferenceData, Python 3.11) and 1.x (DataTree, Python 3.12 and later) alike.

Files are written through xarray, which both read; groups are ArviZ's (posterior, sample_stats, log_likelihood, ...). Every
interval names its probability and its kind, because the defaults of the two lines differ. ArviZ takes seconds to import and
is therefore loaded inside the functions that use it.
"""

from __future__ import annotations

import gc
import io
import os
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nmmfit.errors import UserInputError

if TYPE_CHECKING:
    import xarray

TAIL_QUANTILES = (0.05, 0.95)
MIN_DRAWS = 4
# What the netCDF and HDF5 libraries raise on a file that is broken somewhere.
READ_ERRORS = (OSError, ValueError, LookupError, AttributeError, RuntimeError, TypeError)


@dataclass(frozen=True)
class Variable:
    """A named array on its way into a file: values, names of its axes, attributes such as its unit."""

    values: np.ndarray
    dims: tuple[str, ...]
    attrs: Mapping[str, str] = field(default_factory=dict)


Groups = Mapping[str, Mapping[str, Variable]]


def _arviz() -> Any:
    """The installed ArviZ; its 0.23 line announces 1.x with a warning at import, which is not the user's concern."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        try:
            import arviz
        except OSError:
            # 0.23 keeps the date of that announcement in the user's cache folder and stops where it cannot write there.
            with _other_cache_folder():
                import arviz
    return arviz


@contextmanager
def _other_cache_folder() -> Iterator[None]:
    """Have the user's cache folder be a temporary one."""
    usual = os.environ.get("XDG_CACHE_HOME")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        os.environ["XDG_CACHE_HOME"] = place
        try:
            yield
        finally:
            if usual is None:
                del os.environ["XDG_CACHE_HOME"]
            else:
                os.environ["XDG_CACHE_HOME"] = usual


def is_datatree_arviz() -> bool:
    """Whether the installed ArviZ is of the 1.x line, whose data type is xarray's DataTree."""
    return int(_arviz().__version__.split(".")[0]) >= 1


Labels = Mapping[str, Mapping[str, np.ndarray]]


def from_dict(groups: Groups, attrs: Mapping[str, str] | None = None, labels: Labels | None = None) -> Any:
    """Inference data of the installed ArviZ: InferenceData (0.23) or DataTree (1.x).

    Args:
        groups: group name -> variable name -> `Variable`; axes "chain" and "draw" for draws. No name may hold "/".
        attrs: attributes of the whole (provenance).
        labels: group -> axis -> values along that axis; axes not named here are numbered from 0.
    Raises: UserInputError for a name with "/", which netCDF cannot hold.
    """
    made = tree(groups, attrs or {}, labels or {})
    if is_datatree_arviz():
        return made
    return _arviz().InferenceData(attrs=dict(made.attrs), **{name: node.to_dataset() for name, node in made.children.items()})


def tree(groups: Groups, attrs: Mapping[str, str], labels: Labels | None = None) -> xarray.DataTree:
    """The same as a DataTree whatever ArviZ is installed, which is not loaded: for files that are no posterior."""
    import xarray

    labels = labels or {}

    datasets = {"/": xarray.Dataset(attrs=dict(attrs))}
    for group, variables in groups.items():
        for name in (group, *variables):
            if "/" in name:
                raise UserInputError(f"{group}: the name {name!r} holds '/', which netCDF cannot store")
        arrays = {n: xarray.DataArray(v.values, dims=v.dims, attrs=dict(v.attrs)) for n, v in variables.items()}
        axes = {d: size for v in variables.values() for d, size in zip(v.dims, np.shape(v.values), strict=True)}
        given = labels.get(group, {})
        datasets[group] = xarray.Dataset(arrays, coords={d: given.get(d, np.arange(size)) for d, size in axes.items()})
    return xarray.DataTree.from_dict(datasets)


def as_tree(data: Any) -> xarray.DataTree:
    """DataTree view of inference data of either line."""
    import xarray

    if isinstance(data, xarray.DataTree):
        return data
    datasets = {"/": xarray.Dataset(attrs=dict(data.attrs))} | {name: data[name] for name in data.groups()}
    return xarray.DataTree.from_dict(datasets)


def netcdf_bytes(data: Any, compression: int = 1) -> bytes:
    """Content of a netCDF file with inference data of either line; large arrays compressed.

    The file is made in memory, so that a full disk meets a plain write and not the inside of the HDF5 library.
    """
    tree = as_tree(data)
    encoding = {
        node.path: {name: {"zlib": True, "complevel": compression} for name, v in node.data_vars.items() if v.size > 1000}
        for node in tree.subtree
        if node.data_vars
    }
    buffer = io.BytesIO()
    tree.to_netcdf(buffer, engine="h5netcdf", encoding=encoding)
    return buffer.getvalue()


def from_netcdf(path: Path) -> Any:
    """Inference data of the installed ArviZ from a file, read into memory; the file is closed again.

    Raises: UserInputError if the file is missing or is no netCDF file.
    """
    import xarray

    if not path.is_file():
        raise UserInputError(f"{path}: " + ("this is no file" if path.exists() else "there is no such file"))
    try:
        with _no_afterthoughts(), xarray.open_datatree(path, engine="h5netcdf") as opened:
            tree = opened.load()
    except READ_ERRORS as problem:
        raise UserInputError(
            f"{path}: cannot be read as a posterior file; it is broken or was cut short ({_reason(problem)})"
        ) from None
    if is_datatree_arviz():
        return tree
    return _arviz().InferenceData(attrs=dict(tree.attrs), **{name: node.to_dataset() for name, node in tree.children.items()})


@contextmanager
def _no_afterthoughts() -> Iterator[None]:
    """Keep quiet about half-opened files that cannot be closed either: what is wrong with them is reported once, by name."""
    usual = sys.unraisablehook
    sys.unraisablehook = lambda _: None
    try:
        yield
    except READ_ERRORS as problem:
        # The frames of the traceback hold the half-opened file; it is to go now, and not when nobody looks after it.
        problem.__context__ = problem.__cause__ = None
        traceback.clear_frames(problem.__traceback__)
        gc.collect()
        raise problem.with_traceback(None) from None
    finally:
        sys.unraisablehook = usual


def _reason(problem: Exception) -> str:
    """What the library says, on one line of reasonable length."""
    text = " ".join(str(problem).split()).strip("'\"")
    return text if len(text) <= 120 else text[:117] + "..."


def group(data: Any, name: str) -> xarray.Dataset:
    """A group of inference data of either line as a Dataset.

    Raises: UserInputError if there is no such group.
    """
    tree = as_tree(data)
    if name not in tree.children:
        raise UserInputError(f"no group {name!r} in the inference data (groups: {', '.join(tree.children)})")
    return tree[name].to_dataset()


def _chains(values: np.ndarray) -> np.ndarray | None:
    """Draws as float (chain >= 2, draw >= 4), a single chain cut into halves; None if there are too few or not finite."""
    draws = np.asarray(values, dtype=float)
    if draws.ndim != 2:
        raise ValueError(f"draws must have shape (chain, draw), not {draws.shape}")
    if draws.shape[0] == 1:
        half = draws.shape[1] // 2
        draws = draws[0, : 2 * half].reshape(2, half)
    if draws.shape[1] < MIN_DRAWS or not np.all(np.isfinite(draws)):
        return None
    return draws


def rhat(values: np.ndarray) -> float:
    """Rank-normalised split r_hat (arXiv:1903.08008) of draws (chain, draw); nan if undefined.

    A single chain is compared with itself in halves. Undefined: fewer than 4 draws, values that are not finite, or all equal.
    """
    draws = _chains(values)
    if draws is None or np.ptp(draws) == 0:
        return float("nan")
    # A chain that never moved has no variance; the answer is then nan or inf, and says enough without numpy's warning.
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(_arviz().rhat(draws, method="rank"))


def ess(values: np.ndarray, kind: str) -> float:
    """Effective sample size of draws (chain, draw), `kind` "bulk" or "tail" (arXiv:1903.08008); nan if undefined.

    "tail" is the smaller one of the 5 % and 95 % quantiles.
    """
    draws = _chains(values)
    if draws is None or np.ptp(draws) == 0:
        return float("nan")
    options: dict[str, Any] = {"prob": TAIL_QUANTILES} if kind == "tail" else {}
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(_arviz().ess(draws, method=kind, **options))


def hdi(values: np.ndarray, probability: float) -> tuple[float, float]:
    """Shortest single interval that holds `probability` of the draws, whatever their shape; (nan, nan) if not all finite."""
    draws = np.ravel(np.asarray(values, dtype=float))
    if draws.size < 2 or not np.all(np.isfinite(draws)):
        return (float("nan"), float("nan"))
    if is_datatree_arviz():
        low, high = _arviz().hdi(draws, prob=probability, method="nearest")
    else:
        low, high = _arviz().hdi(draws, hdi_prob=probability, multimodal=False)
    return (float(low), float(high))


def pareto_smoothed(log_weights: np.ndarray) -> tuple[np.ndarray, float]:
    """Importance weights with a smoothed tail (arXiv:1507.02646) and the tail's shape k; infinite where it cannot be fitted.

    Args:
        log_weights: (chain, draw), up to a constant; -inf for draws without weight, not all.
    Returns: log weights, (chain, draw), up to a constant, and k; 0 where all draws that count have one weight, which has no tail.
    """
    raw = np.asarray(log_weights, dtype=float)
    counting = raw[np.isfinite(raw)]
    raw = raw - np.max(counting)
    if np.ptp(counting) < 1e-12:
        return raw, 0.0
    size = ess(np.exp(raw), "bulk")
    efficiency = min(1.0, size / raw.size) if np.isfinite(size) and size > 0.0 else 1.0
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        try:
            smoothed, k = _psis(np.ravel(raw), efficiency)
        except ValueError:
            # How 1.x says that there are too few draws, or too few different ones.
            return raw, float("inf")
    return np.reshape(np.asarray(smoothed), raw.shape), float(k) if np.isfinite(k) else float("inf")


def _psis(log_weights: np.ndarray, efficiency: float) -> tuple[np.ndarray, Any]:
    if is_datatree_arviz():
        from arviz_stats.base import array_stats

        # This one takes log likelihoods of points that are left out, whose weights are their inverses.
        return array_stats.psislw(-log_weights, r_eff=efficiency)
    return _arviz().psislw(log_weights, reff=efficiency)
