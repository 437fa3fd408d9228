"""What benchmarks share: command line, bars, where a record came from, timing, running programs, points to evaluate at."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
# Where programs keep caches if told so; unset for a program that shall meet an empty one.
CACHE_VARIABLES = ("JAX_COMPILATION_CACHE_DIR", "MPLCONFIGDIR")

# Coefficients of the size that the data can tell from zero.
COEFFICIENT_SIZE = {"GeV^-1": 4e-9, "GeV^-2": 2e-6}


def command_line(doc: str | None, overrides: bool = True) -> argparse.ArgumentParser:
    """Parser with the options of every benchmark."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1, help="seed of the random numbers")
    parser.add_argument("--out", type=Path, help="file to write; standard output if left out")
    parser.add_argument("--quick", action="store_true", help="fewer points and repeats: minutes in all")
    parser.add_argument("--cores", choices=("one", "all"), default="one", help="bound to one core, or not")
    if overrides:
        parser.add_argument(
            "--set", action="append", default=[], metavar="KEY=VALUE", help="change a key of the default run, as nmmfit does"
        )
    return parser


def on_one_core(given: argparse.Namespace) -> None:
    """Start this program again, bound to one core, unless it is or `--cores all` was asked for.

    Thread pools of numpy and XLA take their size from what they see when they start; two libraries that share cores with other
    programs would measure the scheduler.
    """
    allowed = sorted(os.sched_getaffinity(0))
    if given.cores == "one" and len(allowed) > 1:
        os.sched_setaffinity(0, allowed[-1:])
        os.execv(sys.executable, [sys.executable, *sys.argv])


def processor() -> str:
    """What the machine calls its processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


def record(question: str, seed: int, **results: Any) -> dict[str, Any]:
    """A result with what is needed to judge and repeat it: device, precision, versions, seed, commit."""
    import jax

    # Switches JAX to the precision that nmmfit computes in, also where only child processes computed.
    import nmmfit.precision  # noqa: F401
    from nmmfit.results.provenance import git_commit, package_versions

    return {
        "question": question,
        **results,
        "device": str(jax.devices()[0]),
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "load": list(os.getloadavg()),
        "precision": "float64" if jax.config.read("jax_enable_x64") else "float32",
        "versions": package_versions(),
        "seed": seed,
        "commit": git_commit(),
    }


def write(result: Mapping[str, Any], out: Path | None) -> None:
    """JSON to a file or to standard output."""
    text = json.dumps(result, indent=2, default=str) + "\n"
    if out is None:
        sys.stdout.write(text)
    else:
        out.write_text(text, encoding="utf-8")


def say(text: str) -> None:
    """Progress, to standard error."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def without_caches() -> None:
    """Let this process keep and find nothing on disk: it builds and compiles what it times."""
    import jax

    jax.config.update("jax_enable_compilation_cache", False)


def seed_of_the_default_run(parser: argparse.ArgumentParser) -> None:
    """Let `--seed` be what the default run has, unless it is given."""
    from nmmfit.run import default_run

    parser.set_defaults(seed=default_run().config.sampler.seed)


def clock() -> float:
    """Seconds to take differences of.

    Processor time if this process has one core: that is what it takes on a quiet machine. Wall time if it has several.
    """
    return time.process_time() if len(os.sched_getaffinity(0)) == 1 else time.perf_counter()


def met(values: Mapping[str, float | None], bars: Mapping[str, tuple[str, float]]) -> dict[str, bool]:
    """Whether each value keeps its bar, ("<=" or ">=", limit); one that is missing or not a number does not."""

    def keeps(value: float | None, sign: str, limit: float) -> bool:
        return value is not None and (value <= limit if sign == "<=" else value >= limit)

    return {name: keeps(values.get(name), *bar) for name, bar in bars.items()}


@dataclass(frozen=True)
class Finished:
    """A program that ended: its exit code, wall and processor time, largest resident memory, and what it wrote."""

    exit_code: int
    wall_s: float
    cpu_s: float
    peak_mib: float
    output: str
    messages: str


def run_python(arguments: Sequence[str | Path], environment: Mapping[str, str]) -> Finished:
    """Run this interpreter with `arguments` on this checkout, from process start to its end.

    The peak counts what the parent held when it started the child, so a parent must not have loaded JAX before.
    """
    path = os.pathsep.join(p for p in (str(ROOT), os.environ.get("PYTHONPATH", "")) if p)
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as messages:
        began = time.perf_counter()
        program = subprocess.Popen(
            [sys.executable, *map(str, arguments)], env={**environment, "PYTHONPATH": path}, stdout=output, stderr=messages
        )
        _, status, usage = os.wait4(program.pid, 0)
        wall_s = time.perf_counter() - began
        program.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        messages.seek(0)
        cpu_s = usage.ru_utime + usage.ru_stime
        return Finished(program.returncode, wall_s, cpu_s, usage.ru_maxrss / 1024.0, output.read(), messages.read())


def wanted(finished: Finished, codes: Sequence[int] = (0,)) -> Finished:
    """The program, if it ended with one of `codes`; else this benchmark ends with what the program said."""
    if finished.exit_code not in codes:
        raise SystemExit(f"a program ended with exit code {finished.exit_code}: {finished.messages[-2000:]}")
    return finished


@contextmanager
def empty_caches() -> Iterator[dict[str, str]]:
    """Environment of programs that start with empty caches and fill them for the next one; removed in the end."""
    with tempfile.TemporaryDirectory(prefix="nmmfit-bench-") as folder:
        kept = {name: value for name, value in os.environ.items() if name not in CACHE_VARIABLES}
        yield {**kept, "XDG_CACHE_HOME": folder}


def paired(tasks: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, np.ndarray]:
    """Seconds (see `clock`) of each task in every repeat, the tasks taking turns; each runs once before, to compile."""
    import jax

    times: dict[str, list[float]] = {name: [] for name in tasks}
    for task in tasks.values():
        jax.block_until_ready(task())
    for _ in range(repeats):
        for name, task in tasks.items():
            began = clock()
            jax.block_until_ready(task())
            times[name].append(clock() - began)
    return {name: np.asarray(values) for name, values in times.items()}


def ratio(above: np.ndarray, below: np.ndarray) -> dict[str, Any]:
    """Ratio of two costs that took turns, repeat by repeat: median and quartiles."""
    each = np.asarray(above) / np.asarray(below)
    low, median, high = np.quantile(each, [0.25, 0.5, 0.75])
    return {"median": float(median), "low": float(low), "high": float(high), "repeats": len(each)}


def interleaved(tasks: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Median seconds of each task; see `paired`."""
    return {name: float(np.median(values)) for name, values in paired(tasks, repeats).items()}


def points(joint: Any, n: int, seed: int) -> np.ndarray:
    """(n, parameter): nuisances within +-3 sigma moved together, coefficients around their sensitivity."""
    random = np.random.default_rng(seed)
    scale = np.asarray([p.scale for p in joint.parameters])
    x = joint.start + random.uniform(-3.0, 3.0, (n, len(scale))) * scale
    for i, p in enumerate(joint.of_kind("coefficient")):
        x[:, i] = random.normal(size=n) * COEFFICIENT_SIZE.get(p.unit, p.scale)
    return x
