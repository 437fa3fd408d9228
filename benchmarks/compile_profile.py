"""Where does the time of a command go before it computes? Tracing, lowering and compiling of every program, and the rest.

    python benchmarks/compile_profile.py [--out FILE.json] -- scan --grid L_dipole=-3e-7:3e-7:32 --grid L_T_u=-6e-5:6e-5:32 ...

Runs the command line in this process and listens to JAX's monitoring events. Processor time, exclusive: what a program's trace
contains of another program's trace counts for that one. Caches are those of the environment (`XDG_CACHE_HOME`).
"""

from __future__ import annotations

import sys
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common import ROOT, command_line, on_one_core, say, write

STAGES = {
    "/jax/core/compile/jaxpr_trace_duration": "trace",
    "/jax/core/compile/jaxpr_to_mlir_module_duration": "lower",
    "/jax/core/compile/backend_compile_duration": "compile",
}


def _caller() -> str:
    """The innermost line of this project that is running."""
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(str(ROOT)) and not name.startswith(str(ROOT / "benchmarks")):
            return f"{Path(name).relative_to(ROOT)}:{frame.f_lineno}"
        frame = frame.f_back
    return "elsewhere"


class Listener:
    """Processor seconds of every program by stage, and how often each stage ran."""

    def __init__(self) -> None:
        self.seconds: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        self.times: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self.cache: dict[str, int] = defaultdict(int)
        # Of every thread: what runs now, as [began, seconds of what ran inside, who asked for it].
        self.running: dict[int, list[list[Any]]] = defaultdict(list)

    def started(self, event: str, value: float, **_: Any) -> None:
        if event in STAGES:
            self.running[threading.get_ident()].append([time.process_time(), 0.0, _caller()])

    def ended(self, event: str, duration: float, fun_name: str = "?", **_: Any) -> None:
        stack = self.running[threading.get_ident()]
        if event not in STAGES or not stack:
            return
        began, inside, caller = stack.pop()
        spent = time.process_time() - began
        if stack:
            stack[-1][1] += spent
        name = f"{fun_name.removeprefix('jit(').removesuffix(')').removeprefix('jit_')} ({caller})"
        self.seconds[name][STAGES[event]] += spent - inside
        self.times[name][STAGES[event]] += 1

    def happened(self, event: str, **_: Any) -> None:
        if "compilation_cache" in event:
            self.cache[event.rsplit("/", 1)[-1]] += 1

    def listen(self) -> None:
        """From now on."""
        import jax

        jax.monitoring.register_scalar_listener(self.started)
        jax.monitoring.register_event_duration_secs_listener(self.ended)
        jax.monitoring.register_event_listener(self.happened)

    def table(self, most: int) -> list[dict[str, Any]]:
        """Programs by what they cost, the costliest first."""
        rows = [
            {
                "program": name,
                **{s: round(parts.get(s, 0.0), 3) for s in STAGES.values()},
                "compiled": self.times[name]["compile"],
            }
            for name, parts in self.seconds.items()
        ]
        return sorted(rows, key=lambda row: -sum(row[stage] for stage in STAGES.values()))[:most]

    def totals(self) -> Mapping[str, float]:
        """Processor seconds of every stage."""
        return {stage: sum(parts.get(stage, 0.0) for parts in self.seconds.values()) for stage in STAGES.values()}


def main() -> None:
    parser = command_line(__doc__, overrides=False)
    parser.add_argument("--most", type=int, default=40, help="programs to list")
    parser.add_argument("command", nargs="+", help="arguments of nmmfit, after --")
    given = parser.parse_args()
    on_one_core(given)
    from nmmfit.cli.runtime import compile_quickly

    compile_quickly()
    listener = Listener()
    began, wall = time.process_time(), time.perf_counter()
    listener.listen()
    imported = time.process_time() - began
    from nmmfit.cli.main import main as command

    with Path("/dev/null").open("w", encoding="utf-8") as nowhere:
        kept, sys.stdout = sys.stdout, nowhere
        try:
            code = command(given.command)
        finally:
            sys.stdout = kept
    total = time.process_time() - began
    totals = dict(listener.totals())
    for row in listener.table(12):
        say(str(row))
    result = {
        "question": "where the time of a command goes",
        "command": given.command,
        "exit_code": code,
        "cpu_s": total,
        "wall_s": time.perf_counter() - wall,
        "import_of_jax_s": imported,
        "stages_s": totals,
        "rest_s": total - sum(totals.values()),
        "programs": len(listener.seconds),
        "compiled": sum(times["compile"] for times in listener.times.values()),
        "cache": dict(listener.cache),
        "table": listener.table(given.most),
    }
    write(result, given.out)


if __name__ == "__main__":
    main()
