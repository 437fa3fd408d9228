"""How fast is one evolution matrix from m_W to 2 GeV with a new alpha_s? Against ODE solvers on the same equations.

    python benchmarks/bench_rg.py [--batch 1000] [--repeats 7] [--out FILE.json]

The answer is checked first: against scipy's DOP853 at 1e-12 in this process, and against the stored high-precision solution.
Every time is a median of interleaved repeats in one process. The bar: one matrix in at most 1 ms after compilation.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import scipy.integrate

from nmmfit.eft.qcd import alpha_s, beta_series, decouple_mass, mass_series, tensor_series, threshold_couplings
from nmmfit.eft.running import MIXING, Evolution, evolution
from nmmfit.eft.theories import FERMION_TYPE, FERMIONS, inverse_alpha, quark_mass
from nmmfit.inputs import StandardModelInputs
from nmmfit.results.provenance import git_commit, package_versions

M_W, LOW = 80.379, 2.0
BAR_MS = 1.0
REFERENCE = Path(__file__).parents[1] / "tests" / "reference" / "rg_reference.json"
DEFAULTS = StandardModelInputs()
LEPTONS = {"e": DEFAULTS.m_e_gev, "mu": DEFAULTS.m_mu_gev, "tau": DEFAULTS.m_tau_gev}


def right_hand_side(n_f: int) -> Callable[[Any, Any, Any], Any]:
    """Derivative of (a, 1/alpha, masses of u c d s b, ln T_u, ln T_d, ln T_e, D, 8 dipoles) in ln mu, for numpy and jax."""
    beta, gamma_m, gamma_t = beta_series(n_f, 4), mass_series(n_f, 4), tensor_series(n_f, 3)
    b_0e = -4.0 / 3.0 * (3.0 + (n_f - 2) / 3.0 + 8.0 / 3.0)
    charges = np.array([2 / 3, 2 / 3, -1 / 3, -1 / 3, -1 / 3])
    quarks = [f for f in FERMIONS if f not in LEPTONS]

    def rhs(_t: Any, y: Any, xp: Any) -> Any:
        a, inv_alpha, masses, log_t, dipoles = y[0], y[1], y[2:7], y[7:10], y[10:]
        powers = xp.stack([a, a**2, a**3, a**4])
        loop = 1.0 / (4.0 * np.pi * inv_alpha)
        e = xp.sqrt(4.0 * np.pi / inv_alpha)
        rate_m, rate_t = xp.dot(gamma_m, powers), xp.dot(gamma_t, powers)
        out = [-2.0 * a * xp.dot(beta, powers), b_0e / (2.0 * np.pi) + 0.0 * a]
        out += list(masses * (rate_m - 6.0 * charges**2 * loop))
        out += [rate_t + 8.0 / 9.0 * loop, rate_t + 2.0 / 9.0 * loop, 2.0 * loop]
        out.append(-b_0e * loop * dipoles[0])
        for k, f in enumerate(FERMIONS):
            mass = LEPTONS[f] if f in LEPTONS else masses[quarks.index(f)] * (1.0 if f != "b" or n_f == 5 else 0.0)
            source = MIXING[f] * e * mass * xp.exp(log_t["ude".index(FERMION_TYPE[f])])
            out.append(-b_0e * loop * dipoles[k + 1] + source)
        return xp.stack(out)

    return rhs


def start(inputs: StandardModelInputs, alpha_s_high: Any, xp: Any) -> Any:
    """Initial state at m_W, and the two decoupling factors, which an ODE solver needs too; not timed."""
    masses = [quark_mass(f, M_W, inputs) for f in ("u", "c", "d", "s", "b")]
    state = [alpha_s_high / (4 * np.pi), inverse_alpha(M_W, inputs), *masses, 0.0, 0.0, 0.0, 1.0, *([0.0] * 8)]
    return xp.stack([xp.asarray(x, dtype=float) for x in state])


def decoupling(inputs: StandardModelInputs) -> np.ndarray:
    """Factors on the state at m_b when a flavour is removed."""
    a_5, a_4 = (float(x) for x in threshold_couplings(inputs))
    mass = float(decouple_mass(jnp.asarray(a_5), inputs.alpha_s_loops))
    return np.array([a_4 / a_5, 1.0, mass, mass, mass, mass, 0.0, *([1.0] * 12)])


def as_vector(evolved: Evolution) -> Any:
    return jnp.stack([*(evolved.tensor[k] for k in "ude"), evolved.dipole, *(evolved.mixing[f] for f in FERMIONS)])


def solution(state: Any, xp: Any) -> Any:
    return xp.concatenate([xp.exp(state[7:10]), state[10:]])


def with_scipy(y: np.ndarray, factors: np.ndarray, rtol: float) -> np.ndarray:
    log_b = np.log(4.18)
    for n_f, span, factor in ((5, (np.log(M_W), log_b), factors), (4, (log_b, np.log(LOW)), 1.0)):
        rhs = right_hand_side(n_f)
        found = scipy.integrate.solve_ivp(lambda t, y, rhs=rhs: rhs(t, y, np), span, y, method="DOP853", rtol=rtol, atol=1e-16)
        y = found.y[:, -1] * factor
    return solution(y, np)


def with_diffrax(y: jax.Array, factors: jax.Array) -> jax.Array:
    log_b = np.log(4.18)
    for n_f, span, factor in ((5, (np.log(M_W), log_b), factors), (4, (log_b, np.log(LOW)), 1.0)):
        rhs = right_hand_side(n_f)
        found = diffrax.diffeqsolve(
            diffrax.ODETerm(lambda t, y, _, rhs=rhs: rhs(t, y, jnp)),
            diffrax.Dopri8(),
            t0=span[0],
            t1=span[1],
            dt0=-0.1,
            y0=y,
            stepsize_controller=diffrax.PIDController(rtol=1e-10, atol=1e-16),
        )
        y = found.ys[-1] * factor
    return solution(y, jnp)


def median_ms(calls: dict[str, Callable[[int], Any]], repeats: int, inner: dict[str, int]) -> dict[str, float]:
    """Median time per call in ms, the contestants taking turns; each repeat has fresh arguments."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for repeat in range(repeats):
        for name, call in calls.items():
            begin = time.perf_counter()
            for i in range(inner[name]):
                jax.block_until_ready(call(repeat * inner[name] + i))
            times[name].append((time.perf_counter() - begin) / inner[name] * 1e3)
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()

    def one(alpha_s_mz: Any) -> jax.Array:
        return as_vector(evolution(M_W, LOW, StandardModelInputs(alpha_s_mz=alpha_s_mz)))

    factors = decoupling(DEFAULTS)
    y0 = np.asarray(start(DEFAULTS, alpha_s(M_W, DEFAULTS), jnp))
    compile_s = {}
    compiled: dict[str, Any] = {}
    batch = np.linspace(0.115, 0.121, args.batch)
    for name, function, example in (
        ("matrix", one, 0.1179),
        ("matrix and derivative", jax.jacfwd(one), 0.1179),
        ("matrices, batched", jax.vmap(one), batch),
        ("diffrax Dopri8", lambda y: with_diffrax(y, factors), y0),
    ):
        begin = time.perf_counter()
        compiled[name] = jax.jit(function).lower(example).compile()
        compile_s[name] = time.perf_counter() - begin

    ours = np.asarray(compiled["matrix"](0.1179))
    ode, dopri = with_scipy(y0, factors, 1e-12), np.asarray(compiled["diffrax Dopri8"](y0))
    record = next(
        r for r in json.loads(REFERENCE.read_text())["records"]
        if (r["alpha_s_loops"], r["gamma_T_loops"], r["e_running"]) == (4, 3, "one_loop")
    )  # fmt: skip
    stored = record["pairs"][0]
    exact = np.array([float(stored[n]) for n in ("T_u", "T_d", "T_e", "dipole", *(f"mix_{f}" for f in FERMIONS))])
    errors = {
        "matrix against 30-digit solution": float(np.max(np.abs(ours / exact - 1.0))),
        "matrix against scipy DOP853, 1e-12": float(np.max(np.abs(ours / ode - 1.0))),
        "diffrax Dopri8, 1e-10, against 30-digit solution": float(np.max(np.abs(dopri / exact - 1.0))),
    }
    if errors["matrix against 30-digit solution"] > 1e-9 or errors["matrix against scipy DOP853, 1e-12"] > 1e-9:
        sys.stderr.write(f"the evolution is wrong: {errors}\n")
        return 1

    shift = 1e-7
    calls = {
        "matrix": lambda i: compiled["matrix"](0.1179 + shift * i),
        "matrix and derivative": lambda i: compiled["matrix and derivative"](0.1179 + shift * i),
        "matrices, batched": lambda i: compiled["matrices, batched"](batch + shift * i),
        "diffrax Dopri8": lambda i: compiled["diffrax Dopri8"](y0 * (1.0 + shift * i)),
        "scipy DOP853": lambda i: with_scipy(y0 * (1.0 + shift * i), factors, 1e-10),
    }
    inner = {"matrix": 200, "matrix and derivative": 200, "matrices, batched": 3, "diffrax Dopri8": 20, "scipy DOP853": 2}
    milliseconds = median_ms(calls, args.repeats, inner)
    per_matrix = milliseconds["matrices, batched"] / args.batch
    result = {
        "question": "time of one evolution matrix from m_W to 2 GeV with a new alpha_s",
        "errors": errors,
        "compile_s": compile_s,
        "ms": milliseconds | {"one of a batch": per_matrix},
        "ratio": {
            "diffrax Dopri8 / matrix": milliseconds["diffrax Dopri8"] / milliseconds["matrix"],
            "scipy DOP853 / matrix": milliseconds["scipy DOP853"] / milliseconds["matrix"],
        },
        "bar_ms": BAR_MS,
        "met": milliseconds["matrix"] <= BAR_MS,
        "batch": args.batch,
        "device": str(jax.devices()[0]),
        "machine": platform.machine(),
        "precision": "float64",
        "versions": package_versions(),
        "commit": git_commit(),
    }
    text = json.dumps(result, indent=1)
    if args.out:
        args.out.write_text(text + "\n")
    sys.stdout.write(text + "\n")
    return 0 if result["met"] else 1


if __name__ == "__main__":
    sys.exit(main())
