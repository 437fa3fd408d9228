"""How fast is the evolution from m_W to 2 GeV, at fixed scales and with a new alpha_s? Against ODE solvers on the same equations.

    python benchmarks/bench_rg.py [--batch 1000] [--repeats 7] [--out FILE.json]

Bar P16. The answer is checked first: against scipy's DOP853 at 1e-12 in this process, and against a stored 30-digit solution of
the same differential equations. Times are medians of interleaved repeats in one process; a repeat of what takes less than a
millisecond is several calls, so that what ran before it does not count.

At fixed scales a point is nine complex coefficients, the dipole and a tensor of each fermion, which `apply_evolution` runs, 8000
points at a time: results of 16000 are so large that malloc returns them to the system at every call, for 35 ns of page faults.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bars
import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import scipy.integrate
from common import clock, command_line, on_one_core, paired, ratio, record, without_caches, write

from nmmfit.eft.qcd import alpha_s, beta_series, decouple_mass, mass_series, tensor_series, threshold_couplings
from nmmfit.eft.running import MIXING, Evolution, apply_evolution, evolution
from nmmfit.eft.theories import FERMION_TYPE, FERMIONS, inverse_alpha, quark_mass
from nmmfit.inputs import StandardModelInputs

M_W, LOW = 80.379, 2.0
REFERENCE = Path(__file__).parents[1] / "tests" / "reference" / "rg_reference.json"
DEFAULTS = StandardModelInputs()
TENSORS = {
    "u": "TnuNuRR_1111", "c": "TnuNuRR_1122", "d": "TnuNdRR_1111", "s": "TnuNdRR_1122", "b": "TnuNdRR_1133",
    "e": "TnuNeRR_1111", "mu": "TnuNeRR_1122", "tau": "TnuNeRR_1133",
}  # fmt: skip
DIPOLE = "nuNgamma_11"
CALLS = {"fixed scales": 40, "matrices, batched": 5, "matrices and derivatives, batched": 5}
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


def at_2_gev(coefficients: dict[str, Any], evolved: Evolution) -> dict[str, Any]:
    """Coefficients at m_W, of any shape, at 2 GeV, where there is no b quark."""
    return apply_evolution(coefficients, evolved, bottom_exists=False)


def expected_at_2_gev(exact: np.ndarray, coefficients: dict[str, Any]) -> dict[str, np.ndarray]:
    """What `at_2_gev` should return, by the entries of the matrix."""
    diagonal = dict(zip("ude", exact, strict=False))
    found = {name: diagonal[FERMION_TYPE[f]] * coefficients[name] for f, name in TENSORS.items() if f != "b"}
    generated = sum(exact[4 + k] * coefficients[TENSORS[f]] for k, f in enumerate(FERMIONS))
    return found | {DIPOLE: exact[3] * coefficients[DIPOLE] + generated}


def checked(
    ours: np.ndarray, y0: np.ndarray, factors: np.ndarray, dopri: np.ndarray, fixed: tuple[dict[str, Any], dict[str, Any]]
) -> dict[str, float]:
    """Largest relative errors; ends the program if the evolution is wrong. `fixed`: coefficients before and after."""
    record_ = next(
        r for r in json.loads(REFERENCE.read_text())["records"]
        if (r["alpha_s_loops"], r["gamma_T_loops"], r["e_running"]) == (4, 3, "one_loop")
    )  # fmt: skip
    stored = record_["pairs"][0]
    exact = np.array([float(stored[n]) for n in ("T_u", "T_d", "T_e", "dipole", *(f"mix_{f}" for f in FERMIONS))])
    errors = {
        "matrix against a 30-digit ODE solution": float(np.max(np.abs(ours / exact - 1.0))),
        "matrix against scipy DOP853, 1e-12": float(np.max(np.abs(ours / with_scipy(y0, factors, 1e-12) - 1.0))),
        "coefficients at fixed scales against the same": max(
            float(np.max(np.abs(fixed[1][name] - right)) / np.max(np.abs(right)))
            for name, right in expected_at_2_gev(exact, fixed[0]).items()
        ),
        "diffrax Dopri8, 1e-10, against the 30-digit solution": float(np.max(np.abs(dopri / exact - 1.0))),
    }
    if max(errors.values()) > 1e-9:
        raise SystemExit(f"the evolution is wrong: {errors}")
    return errors


def measure(n: int, repeats: int, seed: int) -> dict[str, Any]:
    """All figures of this benchmark."""

    def one(alpha_s_mz: Any) -> jax.Array:
        return as_vector(evolution(M_W, LOW, StandardModelInputs(alpha_s_mz=alpha_s_mz)))

    def with_slope(alpha_s_mz: Any) -> tuple[jax.Array, jax.Array]:
        return jax.jvp(one, (alpha_s_mz,), (jnp.ones_like(alpha_s_mz),))

    factors = decoupling(DEFAULTS)
    y0 = np.asarray(start(DEFAULTS, alpha_s(M_W, DEFAULTS), jnp))
    batch = np.linspace(0.115, 0.121, n)
    few, many = np.linspace(0.117, 0.119, 16), 8 * n
    random = np.random.default_rng(seed).normal(size=(2, 9, many))
    coefficients = {name: jnp.asarray(re + 1j * im) for name, re, im in zip((DIPOLE, *TENSORS.values()), *random, strict=True)}
    fixed = jax.tree.map(np.asarray, evolution(M_W, LOW, DEFAULTS))
    compile_s, compiled = {}, {}
    for name, function, example in (
        ("fixed scales", lambda xs: at_2_gev(xs, fixed), coefficients),
        ("matrix", one, 0.1179),
        ("matrix and derivative", with_slope, 0.1179),
        ("matrices, batched", jax.vmap(one), batch),
        ("matrices and derivatives, batched", jax.vmap(with_slope), batch),
        ("diffrax Dopri8", lambda y: with_diffrax(y, factors), y0),
    ):
        began = clock()
        compiled[name] = jax.jit(function).lower(example).compile()
        compile_s[name] = clock() - began
    ours = np.asarray(compiled["matrix"](0.1179))
    errors = checked(
        ours, y0, factors, np.asarray(compiled["diffrax Dopri8"](y0)), (coefficients, compiled["fixed scales"](coefficients))
    )

    def several(name: str, given: Any) -> Callable[[], Any]:
        def task() -> Any:
            for _ in range(CALLS[name]):
                out = compiled[name](given)
            return out

        return task

    tasks: dict[str, Callable[[], Any]] = {
        "fixed scales": several("fixed scales", coefficients),
        "matrix": lambda: [compiled["matrix"](a) for a in few],
        "matrix and derivative": lambda: [compiled["matrix and derivative"](a) for a in few],
        "matrices, batched": several("matrices, batched", batch),
        "matrices and derivatives, batched": several("matrices and derivatives, batched", batch),
        "diffrax Dopri8": lambda: compiled["diffrax Dopri8"](y0),
        "scipy DOP853": lambda: with_scipy(y0, factors, 1e-10),
    }
    evaluations = {"fixed scales": many, "matrix": len(few), "matrix and derivative": len(few)}
    evaluations |= {"matrices, batched": n, "matrices and derivatives, batched": n}
    evaluations = {name: count * CALLS.get(name, 1) for name, count in evaluations.items()}
    us = {name: 1e6 * seconds / evaluations.get(name, 1) for name, seconds in paired(tasks, repeats).items()}

    def spread(seconds: np.ndarray) -> dict[str, float]:
        low, median, high = np.quantile(seconds, [0.25, 0.5, 0.75])
        return {"median": float(median), "low": float(low), "high": float(high), "repeats": len(seconds)}

    values = {
        "fixed_ns": spread(1e3 * us["fixed scales"]),
        "floating_us": spread(us["matrices and derivatives, batched"]),
        "error": errors["matrix against a 30-digit ODE solution"],
        "diffrax_over_matrix": ratio(us["diffrax Dopri8"], us["matrices, batched"]),
        "scipy_over_matrix": ratio(us["scipy DOP853"], us["matrices, batched"]),
    }
    return record(
        "time of the evolution from m_W to 2 GeV",
        seed,
        values=values,
        met=bars.judged("rg", values),
        errors=errors,
        compile_s=compile_s,
        us_per_point={name: float(np.median(each)) for name, each in us.items()},
        batch=n,
        repeats=repeats,
    )


def main() -> None:
    parser = command_line(__doc__, overrides=False)
    parser.add_argument("--batch", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=7)
    given = parser.parse_args()
    on_one_core(given)
    without_caches()
    write(measure(given.batch, given.repeats, given.seed), given.out)


if __name__ == "__main__":
    main()
