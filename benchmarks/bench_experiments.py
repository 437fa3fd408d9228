"""What does every experiment cost? `build()`, value and gradient of each, and of all of them together.

    python benchmarks/bench_experiments.py [EXPERIMENT ...] [--repeats 200] [--no-builds] [--no-together] [--out FILE.json]

`build()` runs in fresh processes of one core, once with empty caches and once with those that the first one filled. Values and
gradients are those of single calls from Python of a compiled function of one vector (a moment that is equal for all flavours,
and the experiment's nuisances), after compilation; beside them what a call costs in a batch of 256. All together are the
experiments of `--experiments all`, with a moment and with tensors and scalars of u and d at 2 GeV. Checked first, at a point off
the nominal one: the templates against the direct evaluation, and gradients against differences. Times are processor time of one
core, medians.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from common import clock, command_line, empty_caches, met, on_one_core, points, record, run_python, say, wanted, write

from nmmfit import catalogue
from nmmfit.config import validate
from nmmfit.inference.alone import dipole_run
from nmmfit.inference.joint import JointLikelihood

FIRST_BUILD = Path(__file__).with_name("first_build.py")
BATCH = 256
ONE_MS, TOGETHER_MS, BUILD_S = 0.5, 3.0, 2.0
BARS = {
    "slowest value and gradient, ms": ("<=", ONE_MS),
    "all together, value and gradient, ms": ("<=", TOGETHER_MS),
    "slowest build(), filled caches, s": ("<=", BUILD_S),
}
_COUPLINGS = {
    "L_dipole": ("nuNgamma_{}", 1e-7),
    "L_T_u": ("TnuNuRR_{}11", 1e-4),
    "L_T_d": ("TnuNdRR_{}11", 1e-4),
    "L_S_u": ("SnuNuRR_{}11", 1e-5),
    "L_S_d": ("SnuNdRR_{}11", 1e-5),
}
TOGETHER: dict[str, Any] = {
    "scale_gev": 2.0,
    "theory": {"c_T": 0.0, "c_T_s": 0.0},
    "parameters": {
        name: {"coefficients": {wilson.format(p): 1.0 for p in ("11", "22", "33")}, "prior": {"normal": [0.0, width]}}
        for name, (wilson, width) in _COUPLINGS.items()
    },
}
"""Run of all experiments, but for their names: couplings equal for all flavours."""
MOST_APART = {"templates_against_direct": 1e-3, "gradient_against_differences": 1e-5}
"""Errors above which the answer is wrong: of the log-likelihood, and relative to the largest entry of a gradient."""


def built(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Seconds of `build()`, with empty and with filled caches, by experiment."""
    found = {}
    for name in names:
        with empty_caches() as environment:
            runs = [json.loads(wanted(run_python([FIRST_BUILD, name], environment)).output) for _ in range(2)]
        found[name] = {"empty caches": runs[0], "filled caches": runs[1]}
        say(f"{name}: build() {runs[0]['cpu_s']:.2f} s, again {runs[1]['cpu_s']:.2f} s")
    return found


def seconds(call: Callable[[], Any], repeats: int) -> float:
    """Median seconds of a call, after one that compiles."""
    jax.block_until_ready(call())
    times = []
    for _ in range(repeats):
        began = clock()
        jax.block_until_ready(call())
        times.append(clock() - began)
    return float(np.median(times))


def errors(joint: JointLikelihood, direct: JointLikelihood | None, x: np.ndarray, seed: int) -> dict[str, float]:
    """How far value and gradient at a vector are from the direct evaluation and from central differences."""
    value = jax.jit(joint.nll_vector)
    way = np.random.default_rng(seed).normal(size=len(x)) * np.asarray([p.scale for p in joint.parameters])
    step = 1e-4
    up, down = (float(value(jnp.asarray(x + sign * step * way))) for sign in (1.0, -1.0))
    slope = float(np.asarray(jax.jit(jax.grad(joint.nll_vector))(jnp.asarray(x))) @ way)
    found = {"gradient_against_differences": abs((up - down) / (2.0 * step) - slope) / max(abs(slope), 1.0)}
    if direct is not None:
        exact = float(jax.jit(direct.nll_vector)(jnp.asarray(x)))
        found["templates_against_direct"] = abs(float(value(jnp.asarray(x))) - exact)
    return found


def timed(joint: JointLikelihood, x: np.ndarray, repeats: int) -> dict[str, Any]:
    """Milliseconds of single calls, microseconds per point of a batch, and what the likelihood is made of."""
    one = jnp.asarray(x)
    batch = jnp.asarray(np.tile(x, (BATCH, 1)))
    value, both = jax.jit(joint.nll_vector), jax.jit(jax.value_and_grad(joint.nll_vector))
    batched = jax.jit(jax.vmap(jax.value_and_grad(joint.nll_vector)))
    channels = [c for t in joint.templates for c in t.channels]
    return {
        "value_ms": 1e3 * seconds(lambda: value(one), repeats),
        "value_and_gradient_ms": 1e3 * seconds(lambda: both(one), repeats),
        "batched_value_and_gradient_us": 1e6 * seconds(lambda: batched(batch), max(5, repeats // 10)) / BATCH,
        "parameters": len(joint.names),
        "bins": sum(len(v) for v in joint.observed.values()),
        "multiplies": sum(c.multiplies for c in channels),
        "rows": sum(m.shape[0] for c in channels for m in c.matrices),
        "ranks": {c.channel.name: [rank for _, _, rank in c.ranks] for c in channels},
    }


def checked(joint: JointLikelihood, direct: JointLikelihood | None, name: str, seed: int) -> tuple[np.ndarray, dict[str, float]]:
    """A vector off the nominal one, and its errors, unless they show that the answer is wrong."""
    # Within a standard deviation and a half: far out a direct evaluation is as good, but bins lie units of lnL apart.
    x = 0.5 * (points(joint, 1, seed)[0] + np.asarray(joint.start))
    found = errors(joint, direct, x, seed)
    if any(not error <= MOST_APART[key] for key, error in found.items()):
        raise SystemExit(f"{name}: wrong answer: {found}")
    return x, found


def measure(names: Sequence[str], repeats: int, seed: int, builds: bool, together: bool) -> dict[str, Any]:
    """All figures of this benchmark."""
    found: dict[str, Any] = {"empty_call_ms": 1e3 * empty_call(repeats)}
    cold = built(names) if builds else {}
    experiments = {}
    for name in names:
        run = dipole_run(name)
        joint = JointLikelihood.from_config(run)
        x, apart = checked(joint, JointLikelihood.from_config(run, "direct"), name, seed)
        experiments[name] = {**timed(joint, x, repeats), "errors": apart, "build": cold.get(name)}
        say(f"{name}: value and gradient {experiments[name]['value_and_gradient_ms']:.3f} ms")
    found["experiments"] = experiments
    if together:
        joint = JointLikelihood.from_config(validate({**TOGETHER, "experiments": list(catalogue.names_in_all())}))
        # Each of them has been compared with its direct evaluation above.
        x, apart = checked(joint, None, "all together", seed)
        found["together"] = {"experiments": catalogue.names_in_all(), **timed(joint, x, repeats), "errors": apart}
    figures = summary(found, bool(builds))
    ratios = {name: f["value_and_gradient_ms"] / f["value_ms"] for name, f in experiments.items()}
    return record(
        "what every experiment costs: build(), value and gradient, and all of them together",
        seed,
        **found,
        figures=figures,
        ratios={"value_and_gradient_over_value": ratios},
        bars=BARS,
        met=met(figures, BARS),
        repeats=repeats,
    )


def empty_call(repeats: int) -> float:
    """Seconds of a compiled function that does nothing: what every single call from Python pays."""
    nothing, x = jax.jit(lambda y: y + 1.0), jnp.zeros(1)
    return seconds(lambda: nothing(x), repeats)


def summary(found: Mapping[str, Any], builds: bool) -> dict[str, float]:
    """The figures that have bars."""
    parts = list(found["experiments"].values())
    figures = {"slowest value and gradient, ms": max((f["value_and_gradient_ms"] for f in parts), default=0.0)}
    if "together" in found:
        figures["all together, value and gradient, ms"] = found["together"]["value_and_gradient_ms"]
    for caches in ("empty caches", "filled caches") if builds else ():
        figures[f"slowest build(), {caches}, s"] = max(f["build"][caches]["cpu_s"] for f in parts)
    return figures


def main() -> None:
    parser = command_line(__doc__, overrides=False)
    parser.add_argument("experiments", nargs="*", help="names; none: all that are listed")
    parser.add_argument("--repeats", type=int, default=200, help="calls behind a median")
    parser.add_argument("--no-builds", dest="builds", action="store_false", help="leave out what build() costs")
    parser.add_argument("--no-together", dest="together", action="store_false", help="leave out all experiments together")
    given = parser.parse_args()
    on_one_core(given)
    known = catalogue.names()
    unknown = [name for name in given.experiments if name not in known]
    if unknown:
        parser.error(f"no experiment {unknown[0]!r}; known are {', '.join(known)}")
    write(measure(given.experiments or known, given.repeats, given.seed, given.builds, given.together), given.out)


if __name__ == "__main__":
    main()
