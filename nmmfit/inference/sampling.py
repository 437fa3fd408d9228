"""Sampling the joint posterior: compiled kernels in windows of warm-up, then draws, and what they mean."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit.durable import run_chunks
from nmmfit.errors import UserInputError
from nmmfit.inference import ensemble, nuts
from nmmfit.inference.checkpoint import Checkpoint, Position
from nmmfit.inference.coordinates import Coordinates, amplitude_coordinates, natural_coordinates
from nmmfit.inference.data import Counts
from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.laplace import Local, local_density, scored
from nmmfit.inference.machine import Machine, pooled_metric
from nmmfit.inference.result import Evidence, SampleResult
from nmmfit.inference.settings import SamplerSettings
from nmmfit.inference.smc import STEPS, TemperedRuns
from nmmfit.inference.symmetries import folded, sign_symmetries, symmetrised
from nmmfit.kept import digest
from nmmfit.memory import hand_back
from nmmfit.precision import require_double_precision
from nmmfit.processors import processors
from nmmfit.shapes import Array

_METHODS: dict[str, Any] = {"nuts": nuts, "ensemble": ensemble}
_SHARES = 100
"""Units of a run of "smc" that its progress is told in."""


@dataclass(frozen=True)
class Progress:
    """Where a sampler stands; handed to the `progress` callback after every compiled call."""

    done: int
    total: int
    warmup: int
    divergences: int
    leapfrogs: int
    seconds: float


def _machine(joint: JointLikelihood, settings: SamplerSettings, data: Counts | None = None) -> Machine:
    """Compiled functions; those that take data as an argument, of which some are given, are others."""
    method = _METHODS[settings.method]
    size = method.lane_size(settings.chains), method.warmup_windows(settings.warmup)
    sets = None if data is None else len(data.sets)
    key = (settings.method, *size, settings.target_accept, settings.max_tree_depth, settings.coordinates, sets)
    if key not in joint.compiled:
        coordinates = _coordinates(joint, settings)
        # Compiling takes more memory than anything else.
        hand_back()
        joint.compiled[key] = method.compiled_machine(coordinates, settings, data)
    machine: Machine = joint.compiled[key]
    return machine


def _coordinates(joint: JointLikelihood, settings: SamplerSettings) -> Coordinates:
    return (amplitude_coordinates if settings.coordinates == "amplitudes" else natural_coordinates)(joint)


def sample(
    joint: JointLikelihood,
    settings: SamplerSettings | None = None,
    progress: Callable[[Progress], None] | None = None,
    checkpoint: Checkpoint | None = None,
) -> SampleResult:
    """Sample the joint posterior, with NUTS, ensemble HMC or tempered sequential Monte Carlo (`nmmfit.inference.smc`).

    Args:
        joint: the joint likelihood.
        settings: method, chains, warm-up, draws, seed, coordinates.
        progress: called after every compiled call; raising KeyboardInterrupt (Ctrl-C) stops and keeps what was drawn.
        checkpoint: where draws and state are kept every few seconds and when it is stopped. One that holds a part of the same
            sampling is gone on with: the draws are bit by bit those of a sampling that was never stopped, on the same device.
    Returns: draws (signs symmetrised), folded draws for diagnostics, identified quantities, sampler statistics. A second call
        with the same settings compiles nothing.
    Raises: KeyboardInterrupt if interrupted before the first draw after warm-up, with "smc" before two runs are done;
        OutputError if a checkpoint cannot be written; UserInputError if "smc" lacks its package.
    """
    require_double_precision()
    if not isinstance(joint, JointLikelihood):
        raise UserInputError(f"sample: expected a JointLikelihood, got {type(joint).__name__}; call run.joint()")
    settings = settings or SamplerSettings()
    if not isinstance(settings, SamplerSettings):
        raise UserInputError(f"sample: settings: expected SamplerSettings, got {type(settings).__name__}")
    if not joint.names:
        raise UserInputError("sample: nothing to sample: every parameter, theory input and nuisance is held fixed")
    began = time.perf_counter()
    if settings.method == "smc":
        return _tempered(joint, settings, progress, checkpoint, began)
    walk = _Walk(joint, settings, _machine(joint, settings), checkpoint, began)
    interrupted = False
    try:
        walk.to_the_end(progress)
    except KeyboardInterrupt:
        walk.save()
        if walk.at.done <= walk.machine.warmup:
            raise
        interrupted = True
    walk.save()
    stats = {name: np.swapaxes(values, 0, 1) for name, values in walk.drawn().items()}
    x = _vectors(walk.machine.to_parameters, stats.pop("z"))
    times = walk.seconds(), walk.at.warmup_s
    return _result(joint, settings, x, stats, walk.machine.warmup, times, interrupted)


def _tempered(
    joint: JointLikelihood,
    settings: SamplerSettings,
    progress: Callable[[Progress], None] | None,
    checkpoint: Checkpoint | None,
    began: float,
) -> SampleResult:
    """Independent runs of tempered sequential Monte Carlo; those that a checkpoint holds are not made again."""
    key = ("smc", settings.draws, settings.warmup, settings.target_accept, settings.coordinates, settings.seed)
    if key not in joint.compiled:
        joint.compiled[key] = TemperedRuns(_coordinates(joint, settings), settings)
    runs: TemperedRuns = joint.compiled[key]
    numbers = _digest_of(vars(runs.coordinates))
    store = None if checkpoint is None else checkpoint.runs(asdict(settings), numbers)
    finished: list[dict[str, np.ndarray]] = []
    done = 0

    def told(share: float, trajectories: int) -> None:
        if progress is not None:
            at, total = int(_SHARES * (done + share)), _SHARES * settings.chains
            progress(Progress(min(at, total), total, 0, 0, STEPS * trajectories, time.perf_counter() - began))

    def counted(number: int, _: int) -> None:
        nonlocal done
        done = number

    def one(number: int) -> dict[str, np.ndarray]:
        start = time.perf_counter()
        found = runs.run(number, told)
        finished.append({**found, "seconds": np.asarray(time.perf_counter() - start)})
        return finished[-1]

    interrupted = False
    try:
        made = run_chunks(store, settings.chains, one, counted)
    except KeyboardInterrupt:
        made = finished if store is None else [store.read(i) for i in store.numbers()]
        if len(made) < 2:
            raise
        interrupted = True
    x = _vectors(runs.to_parameters, np.stack([run["z"] for run in made]))
    stats = {name: np.stack([run[name] for run in made]) for name in ("lp", "accept_prob", "step_size", "diverging")}
    evidence = Evidence(
        tuple(float(run["log_evidence"]) for run in made), tuple(int(np.sum(run["powers"] < 1.0)) + 1 for run in made)
    )
    times = max(time.perf_counter() - began, sum(float(run["seconds"]) for run in made)), 0.0
    return replace(_result(joint, settings, x, stats, settings.warmup, times, interrupted), evidence=evidence, chains=len(made))


class _Walk:
    """Chains on their way: where they stand, and what they have drawn."""

    def __init__(
        self, joint: JointLikelihood, settings: SamplerSettings, machine: Machine, checkpoint: Checkpoint | None, began: float
    ) -> None:
        self.settings, self.machine, self.checkpoint = settings, machine, checkpoint
        self.total = machine.warmup + settings.draws
        self.windows = dict(zip(itertools.accumulate((0, *machine.windows)), machine.windows, strict=False))
        self.at = Position(0, (), machine.laplace.covariance)
        self.kept: list[dict[str, np.ndarray]] = []
        if checkpoint is not None:
            checkpoint.open(asdict(settings), machine.lane, _numbers_of(machine))
            found = checkpoint.load(machine.structure)
            if found is not None:
                self.at, pieces = found
                self.kept = [cut for piece in pieces for cut in _cut(piece, machine.chunk)]
        self.began = began - self.at.seconds

    def seconds(self) -> float:
        """Spent on all of it, also before an interruption."""
        return time.perf_counter() - self.began

    def _since(self, iteration: int) -> list[dict[str, np.ndarray]]:
        return self.kept[iteration // self.machine.chunk : self.at.done // self.machine.chunk]

    def drawn(self) -> dict[str, np.ndarray]:
        """(draw, chain, ...) arrays after warm-up."""
        every = self._since(0)
        return {name: np.concatenate([c[name] for c in every])[self.machine.warmup : self.total] for name in every[0]}

    def save(self) -> None:
        """Keep where the chains stand."""
        if self.checkpoint is not None and self.at.done:
            self.checkpoint.save(replace(self.at, seconds=self.seconds()), self._since)

    def to_the_end(self, progress: Callable[[Progress], None] | None) -> None:
        """Move all chains to their last draw."""
        warmup, chunk = self.machine.warmup, self.machine.chunk
        chains = self.settings.chains
        keys = jax.random.split(jax.random.PRNGKey(self.settings.seed), len(self.windows) * chains)
        keys_of = dict(zip(self.windows, keys.reshape(len(self.windows), chains, -1), strict=True))
        with ThreadPoolExecutor(min(chains, processors())) as pool:
            for first in range(self.at.done, self.total, chunk):
                metric, states = self.at.metric, self.at.states
                if first in self.windows:
                    metric, states = self._next_window(first, keys_of[first], pool)
                advanced = list(pool.map(self.machine.advance, states))
                new = {name: np.concatenate([out[name] for _, out in advanced], axis=1) for name in advanced[0][1]}
                self.kept[first // chunk :] = [new]
                done = min(first + chunk, self.total)
                # One assignment: an interruption finds the position before it or after it.
                self.at = Position(
                    first + chunk,
                    tuple(state for state, _ in advanced),
                    metric,
                    self.at.divergences + (int(new["diverging"][: done - first].sum()) if first >= warmup else 0),
                    self.at.leapfrogs + int(new["num_steps"].sum()),
                    warmup_s=self.seconds() if done == warmup else self.at.warmup_s,
                )
                if self.checkpoint is not None and self.checkpoint.due():
                    self.save()
                if progress is not None:
                    progress(Progress(done, self.total, warmup, self.at.divergences, self.at.leapfrogs, self.seconds()))

    def _next_window(self, first: int, keys: Any, pool: ThreadPoolExecutor) -> tuple[np.ndarray, tuple[Any, ...]]:
        """Metric and states at the beginning of a window of the warm-up."""
        machine, metric = self.machine, self.at.metric
        lanes: Any = machine.lanes(jnp.asarray(machine.laplace.scattered(self.settings.chains, self.settings.seed)))
        if first:
            before = max(start for start in self.windows if start < first)
            recent = np.concatenate([c["z"] for c in self._since(before)])
            metric = pooled_metric(recent[len(recent) // 2 :], metric, machine.old_metric_weight)
            lanes = self.at.states
        window = [itertools.repeat(jnp.asarray(metric)), itertools.repeat(jnp.asarray(self.windows[first]))]
        if first:
            return metric, tuple(pool.map(machine.renew, machine.lanes(keys), lanes, *window))
        return metric, tuple(pool.map(machine.begin, machine.lanes(keys), lanes, *window, itertools.repeat(machine.data)))


class OfAnyData:
    """Samples the posteriors of one likelihood with many data in place of those observed; only the first compiles anything.

    Coordinates are those in which the observed data are sampled, a bijection like any other; where chains begin and everything
    that is learnt in warm-up comes from the data that are given.
    """

    def __init__(self, joint: JointLikelihood, settings: SamplerSettings) -> None:
        require_double_precision()
        self.joint, self.settings = joint, settings
        self._local: Local | None = None

    def __call__(self, data: Counts, seed: int) -> dict[str, np.ndarray]:
        """Draws, "x" (chain, draw, parameter) as sampled, no sign folded, and the sampler's statistics (chain, draw)."""
        machine = _machine(self.joint, self.settings, data)
        if self._local is None:
            self._local = local_density(machine.coordinates)
        machine = replace(machine, laplace=scored(machine.coordinates, self._local, data), data=data)
        walk = _Walk(self.joint, replace(self.settings, seed=seed), machine, None, time.perf_counter())
        walk.to_the_end(None)
        drawn = {name: np.swapaxes(values, 0, 1) for name, values in walk.drawn().items()}
        drawn["x"] = _vectors(machine.to_parameters, drawn.pop("z"))
        return drawn


def _vectors(to_parameters: Callable[[Array], Array], z: np.ndarray) -> np.ndarray:
    """Parameter vectors (chain, draw, parameter) of draws."""
    return np.asarray(to_parameters(jnp.asarray(z.reshape(-1, z.shape[-1])))).reshape(z.shape)


def _numbers_of(machine: Machine) -> str:
    """Digest of where a sampler begins and of the coordinates that it samples."""
    return _digest_of({**vars(machine.laplace), **vars(machine.coordinates)})


def _digest_of(whole: Mapping[str, Any]) -> str:
    return digest(part for name, v in sorted(whole.items()) if isinstance(v, np.ndarray) for part in (name, v.tobytes()))


def _cut(piece: dict[str, np.ndarray], length: int) -> list[dict[str, np.ndarray]]:
    """Draws in pieces of some iterations."""
    return [{n: v[i : i + length] for n, v in piece.items()} for i in range(0, len(piece["z"]), length)]


def _result(
    joint: JointLikelihood,
    settings: SamplerSettings,
    x: np.ndarray,
    stats: dict[str, np.ndarray],
    warmup: int,
    times: tuple[float, float],
    interrupted: bool,
) -> SampleResult:
    """What draws (chain, draw, parameter) mean; `times` are the seconds of all of it and of the warm-up."""
    symmetries = sign_symmetries(joint)
    fold, spread = folded(x, symmetries), symmetrised(x, symmetries, settings.seed)
    identified = joint.identified_values(joint.unpack(jnp.asarray(spread)))
    names = joint.names
    reversed_names = {name for s in symmetries for name in s.names}
    return SampleResult(
        draws={name: spread[..., i] for i, name in enumerate(names)},
        folded={name: fold[..., i] for i, name in enumerate(names) if name in reversed_names},
        identified={name: np.asarray(values) for name, values in identified.items()},
        identified_units={q.name: q.unit for q in joint.identified},
        sample_stats=stats,
        seed=settings.seed,
        chains=settings.chains,
        warmup=warmup,
        draws_per_chain=x.shape[1],
        wall_s=times[0],
        warmup_s=times[1],
        interrupted=interrupted,
        symmetries=tuple(str(s) for s in symmetries),
        units={p.name: p.unit for p in joint.parameters},
        labels={q.name: q.label for q in joint.identified},
        prior_sd={p.name: p.prior_sd for p in joint.parameters},
        coefficients=tuple(p.name for p in joint.own),
        signs={name: np.where(x[..., i] < 0, -1, 1) for i, name in enumerate(names) if name in reversed_names},
    )
