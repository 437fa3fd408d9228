"""A run on disk: posterior.nc with provenance, summary.json, run.toml."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nmmfit.errors import UserInputError
from nmmfit.inference.result import SampleResult
from nmmfit.results import adapter
from nmmfit.results.adapter import Variable
from nmmfit.results.diagnostics import FitSummary, correlations, finite_or_null
from nmmfit.results.files import POSTERIOR, RUN_FILE, SUMMARY, RunFolder, refuse_unfinished

KIND_ATTRIBUTE = "kind"


@dataclass(frozen=True)
class ChannelDraws:
    """What a channel of an experiment adds to the posterior file.

    Attributes:
        observed: counts per bin, (bin,), raveled in C order of the axes of `edges`.
        edges: axis name with unit, such as "energy_pe" -> bin edges.
        log_likelihood: log probability of each bin's count, (chain, draw, bin); None: not stored.
        predictive: counts drawn from the posterior predictive, (chain, draw, bin); None: not stored.
        Fewer draws than the posterior has mean an even thinning: every n-th draw, starting with the first.
        deviance: of the observed counts with respect to the expectation of each draw that `predictive` has, (chain, draw); not
        stored, as `log_likelihood` and `observed` say the same.
        predictive_deviance: the same of the predictive counts; not stored.
    """

    observed: np.ndarray
    edges: Mapping[str, np.ndarray] = field(default_factory=dict)
    log_likelihood: np.ndarray | None = None
    predictive: np.ndarray | None = None
    deviance: np.ndarray | None = None
    predictive_deviance: np.ndarray | None = None


def posterior_data(result: SampleResult, channels: Mapping[str, ChannelDraws], attrs: Mapping[str, str]) -> Any:
    """Inference data of a run, of the installed ArviZ's type.

    Groups: posterior (parameters, then identified quantities as derived draws; attributes `unit` and `kind`, which is
    "coefficient", "nuisance" or "identified"), folded (draws from which r_hat and ESS come), sample_stats, and per channel
    log_likelihood (per bin), posterior_predictive, observed_data and constant_data (edges).

    Args:
        result: draws.
        channels: "experiment.channel" -> its arrays.
        attrs: provenance, see `nmmfit.results.provenance`.
    """
    both = set(result.draws) & set(result.identified)
    if both:
        raise ValueError(f"parameters and identified quantities share the names {sorted(both)}")
    coefficients = set(result.coefficient_names())
    axes = ("chain", "draw")
    posterior = {
        n: Variable(v, axes, {"unit": result.unit(n), KIND_ATTRIBUTE: "coefficient" if n in coefficients else "nuisance"})
        for n, v in result.draws.items()
    } | {n: Variable(v, axes, {"unit": result.unit(n), KIND_ATTRIBUTE: "identified"}) for n, v in result.identified.items()}
    folded = {n: Variable(v, axes) for n, v in (result.folded | result.identified_folded).items()}
    groups: dict[str, dict[str, Variable]] = {
        "posterior": posterior,
        "folded": folded,
        "sample_stats": {n: Variable(np.asarray(v), axes) for n, v in result.sample_stats.items()},
        "log_likelihood": {},
        "posterior_predictive": {},
        "observed_data": {},
        "constant_data": {},
    }
    for name, channel in channels.items():
        dims = (*axes, f"{name}.bin")
        groups["observed_data"][name] = Variable(np.asarray(channel.observed), dims[2:], {"unit": "counts"})
        for axis, edges in channel.edges.items():
            groups["constant_data"][f"{name}.{axis}_edges"] = Variable(np.asarray(edges), (f"{name}.{axis}_edge",))
        if channel.log_likelihood is not None:
            # Single precision: 1e-7 of a bin's value, a thousandth of what separates models, in half the space.
            groups["log_likelihood"][name] = Variable(np.asarray(channel.log_likelihood, dtype=np.float32), dims)
        if channel.predictive is not None:
            counts = np.asarray(channel.predictive)
            groups["posterior_predictive"][name] = Variable(_compact_counts(counts), dims, {"unit": "counts"})
    present = {n: g for n, g in groups.items() if g}
    labels = {
        n: {"draw": _draw_numbers(groups[n], result.draws_per_chain)}
        for n in ("log_likelihood", "posterior_predictive")
        if groups[n]
    }
    return adapter.from_dict(present, attrs={**attrs, **_run_attributes(result)}, labels=labels)


def _draw_numbers(group: Mapping[str, Variable], draws_per_chain: int) -> np.ndarray:
    """Numbers of the posterior draws that a thinned group belongs to."""
    (kept,) = {v.values.shape[1] for v in group.values()}
    return np.arange(kept) * -(-draws_per_chain // max(1, kept))


def _compact_counts(counts: np.ndarray) -> np.ndarray:
    """Whole numbers as 32-bit integers, everything else as it is."""
    whole = np.all(np.isfinite(counts)) and np.all(counts == np.round(counts)) and np.all(np.abs(counts) < 2**31)
    return counts.astype(np.int32) if whole else counts


def _run_attributes(result: SampleResult) -> dict[str, str]:
    return {
        "warmup": str(result.warmup),
        "wall_s": f"{result.wall_s:.3f}",
        "warmup_s": f"{result.warmup_s:.3f}",
        "interrupted": str(result.interrupted).lower(),
        "symmetries": "; ".join(result.symmetries),
    } | ({} if result.evidence is None else {"log_evidence": repr(result.evidence.value)})


def fit_json(result: SampleResult, summary: FitSummary, *, out: Path | str, choices: Mapping[str, Any]) -> dict[str, Any]:
    """The object that `fit --json` prints and summary.json holds; JSON values only, null for what is undefined.

    Args:
        result, summary: the run and its summaries.
        out: folder of the run.
        choices: choices of theory and data to be named in every output, such as {"tensor_coherence": "coherent"}.
    """

    def entries(summaries: Mapping[str, Any]) -> dict[str, Any]:
        return {n: s.to_json() | {"unit": result.unit(n)} for n, s in summaries.items()}

    names, matrix = result.coefficient_names(), correlations(result)
    verdict = summary.convergence
    return finite_or_null(
        {
            "identified": entries(summary.identified),
            "parameters": entries(summary.parameters),
            "coefficients": list(names),
            "correlations": {a: dict(zip(names, map(float, row), strict=True)) for a, row in zip(names, matrix, strict=True)},
            "converged": verdict.converged,
            "problems": list(verdict.problems),
            "divergences": verdict.divergences,
            "divergence_fraction": verdict.divergence_fraction,
            "bfmi": list(verdict.bfmi),
            "chains": result.chains,
            "warmup": result.warmup,
            "draws": result.draws_per_chain,
            "seed": result.seed,
            "interrupted": result.interrupted,
            "symmetries": list(result.symmetries),
            "theory": dict(choices),
            "wall_s": result.wall_s,
            "warmup_s": result.warmup_s,
            "out": str(out),
        }
        | ({} if result.evidence is None else {"log_evidence": result.evidence.to_json()})
    )


def json_text(value: Mapping[str, Any]) -> str:
    """JSON with a newline at its end; refuses nan, which JSON does not know."""
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def write_run(folder: RunFolder, data: Any, summary: Mapping[str, Any], run_toml: str) -> None:
    """Write the posterior, the summary and the run file into an open run folder (plots may follow; then `folder.publish()`).

    Args:
        folder: open folder.
        data: inference data from `posterior_data`.
        summary: object from `fit_json`.
        run_toml: the run file as it was used.
    Raises: OutputError if anything cannot be written; leaving the folder then removes all of it.
    """
    folder.write_text(RUN_FILE, run_toml)
    folder.write_text(SUMMARY, json_text(summary))
    folder.write_bytes(POSTERIOR, adapter.netcdf_bytes(data))


@dataclass(frozen=True)
class StoredRun:
    """A run read back: inference data of the installed ArviZ, the summary and the run file's text."""

    data: Any
    summary: dict[str, Any]
    run_toml: str


def read_run(folder: Path | str) -> StoredRun:
    """Read what `write_run` wrote.

    Raises: UserInputError naming the file that is missing or broken.
    """
    root = Path(folder)
    if not root.is_dir():
        raise UserInputError(f"{root}: there is no such folder of a run")
    refuse_unfinished(root)
    try:
        summary = json.loads((root / SUMMARY).read_text(encoding="utf-8"))
        run_toml = (root / RUN_FILE).read_text(encoding="utf-8")
    except FileNotFoundError as problem:
        raise UserInputError(f"{root}: no folder of a finished run ({Path(problem.filename).name} is missing)") from problem
    except json.JSONDecodeError as problem:
        raise UserInputError(f"{root / SUMMARY}: not valid JSON: {problem}; it is broken or was cut short") from None
    except (OSError, UnicodeDecodeError) as problem:
        reason = getattr(problem, "strerror", None) or "not UTF-8 text"
        raise UserInputError(f"{root}: cannot be read as a run ({reason})") from None
    if not isinstance(summary, dict):
        raise UserInputError(f"{root / SUMMARY}: expected a JSON object, got {type(summary).__name__}")
    return StoredRun(adapter.from_netcdf(root / POSTERIOR), summary, run_toml)


def stored_draws(folder: Path | str, names: Collection[str]) -> dict[str, np.ndarray]:
    """Posterior draws of a stored run, name -> (chain, draw).

    Args:
        folder: what `write_run` wrote.
        names: parameters and identified quantities that must be there.
    Raises: UserInputError if the file is broken, or draws are missing, misshapen or not finite.
    """
    return draws_of(read_run(folder), Path(folder), names)


def draws_of(stored: StoredRun, folder: Path, names: Collection[str]) -> dict[str, np.ndarray]:
    """As `stored_draws`, of a run that has been read; `folder` is where it lies, for errors."""
    path = folder / POSTERIOR
    data = stored.data
    if "posterior" not in adapter.as_tree(data).children:
        raise UserInputError(f"{path}: holds no posterior")
    draws = adapter.group(data, "posterior")
    found = {}
    for name in names:
        if name not in draws:
            raise UserInputError(f"{path}: holds no draws of {name!r}; {RUN_FILE} beside it is that of another fit")
        if set(draws[name].dims) != {"chain", "draw"}:
            raise UserInputError(f"{path}: draws of {name!r} have the axes {draws[name].dims}, not chain and draw")
        values = np.asarray(draws[name].transpose("chain", "draw").values)
        if values.dtype.kind not in "fiu" or values.size < 2 or not np.all(np.isfinite(values)):
            raise UserInputError(f"{path}: draws of {name!r} must be at least two, and finite numbers")
        found[name] = values
    return found
