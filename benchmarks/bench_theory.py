"""How fast is the theory above m_W? All its coefficients from 1 TeV to 2 GeV with new inputs, and 10^4 points at once.

    python benchmarks/bench_theory.py [--points 10000] [--repeats 30] [--out FILE.json]

Checked first: running against scipy's DOP853 at 1e-12, and both paths against `nmmfit.evolve` on the same coefficients. One
evolution takes other Standard Model inputs at every call, so that nothing is kept but the program. The batch pays for its linear
map too, with inputs of its own at every repeat. Times are medians of one core.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.integrate
from common import clock, command_line, met, on_one_core, record, without_caches, write

from nmmfit.eft.amplitudes import linear_map, quark_couplings
from nmmfit.eft.chiral import ChiralInputs
from nmmfit.eft.running import apply_evolution, evolution
from nmmfit.eft.smneft import smneft_to_lneft
from nmmfit.eft.smneft_couplings import couplings_at_m_w, run_gauge, slopes
from nmmfit.eft.smneft_inputs import ElectroweakInputs
from nmmfit.eft.smneft_matching import placed
from nmmfit.eft.smneft_operators import coefficient_names, parse
from nmmfit.eft.smneft_running import run, slope
from nmmfit.evolution import evolve
from nmmfit.inputs import StandardModelInputs
from nmmfit.physics.moments import MOMENTS, effective_moment_mub, named_density, plasmon_moment_mub
from nmmfit.shapes import Array

SCALE, LOW = 1000.0, 2.0
NAMES = tuple(name for name in coefficient_names() if parse(name).operator.conserves_lepton_number)
SIZE = np.array([1e-12 if parse(name).operator.name in ("NB", "NW", "NH") else 1e-8 for name in NAMES])
CHIRAL, ELECTROWEAK = ChiralInputs(), ElectroweakInputs()
BARS = {"evolution_ms": ("<=", 3.0), "batch_s": ("<=", 1.0)}


def moments(dipole: Array, density: Array) -> dict[str, Array]:
    """Effective moments of dipole matrices (..., 3, 6), as `evolve` names them."""
    found = {name: effective_moment_mub(dipole, *named_density(name)) for name in ("reactor_e", "sns_mu", "sns_e")}
    return {"solar": effective_moment_mub(dipole, density), "plasmon": plasmon_moment_mub(dipole), **found}


def one_evolution(density: Array) -> Callable[[Array, StandardModelInputs, ElectroweakInputs], Any]:
    """Coefficients at 1 TeV to those above and below m_W, at 2 GeV, and moments; all but names and scales are arguments."""

    def one(values: Array, inputs: StandardModelInputs, electroweak: ElectroweakInputs) -> Any:
        given = dict(zip(NAMES, values, strict=True))
        above, below = smneft_to_lneft(given, SCALE, inputs, electroweak)
        at_2_gev = apply_evolution(below, evolution(inputs.m_w_gev, LOW, inputs), bottom_exists=False)
        dipole = quark_couplings(below, inputs.m_w_gev, inputs, CHIRAL).dipole
        return tuple(jnp.stack(list(part.values())) for part in (above, below, at_2_gev)), moments(dipole, density)

    return one


def with_scipy(values: np.ndarray, inputs: StandardModelInputs) -> np.ndarray:
    """The same coefficients at m_W by DOP853, down from 1 TeV; couplings up from m_W first, then all together."""
    start = couplings_at_m_w(inputs, ELECTROWEAK)
    of_couplings, of_coefficients = jax.jit(slopes), jax.jit(slope)
    shapes = [(3, 3), (3, 3), (3,), ()]
    ends = np.cumsum([int(np.prod(s)) for s in shapes])
    vector = np.asarray(placed(dict(zip(NAMES, values, strict=True))))

    def derivative(t: float, state: np.ndarray) -> np.ndarray:
        parts = [x.reshape(s) for x, s in zip(np.split(state[: ends[-1]], ends[:-1]), shapes, strict=True)]
        couplings = type(start)(
            run_gauge(start.gauge, jnp.asarray(t)), parts[0], parts[1], parts[2].real, jnp.asarray(parts[3].real)
        )
        out = [np.ravel(x) for x in of_couplings(couplings)]
        if state.size > ends[-1]:
            out.append(np.ravel(of_coefficients(state[ends[-1] :].reshape(vector.shape), couplings)))
        return np.concatenate(out)

    def solve(span: tuple[float, float], state: np.ndarray) -> np.ndarray:
        return scipy.integrate.solve_ivp(derivative, span, state, method="DOP853", rtol=1e-12, atol=1e-30).y[:, -1]

    log = float(np.log(SCALE / inputs.m_w_gev))
    first = np.concatenate([np.ravel(x).astype(complex) for x in (start.up, start.down, start.lepton, start.higgs)])
    high = solve((0.0, log), first)
    return solve((log, 0.0), np.concatenate([high, vector.ravel()]))[ends[-1] :].reshape(vector.shape)


def first_call(call: Callable[[int], Any]) -> tuple[Any, float]:
    """What a first call returns, and its seconds of wall time."""
    began = perf_counter()
    found = jax.block_until_ready(call(0))
    return found, perf_counter() - began


def later_calls(call: Callable[[int], Any], repeats: int) -> list[float]:
    """Seconds (`common.clock`) of calls 1, 2, ..."""
    times = []
    for i in range(1, repeats + 1):
        began = clock()
        jax.block_until_ready(call(i))
        times.append(clock() - began)
    return times


def measure(points: int, repeats: int, seed: int) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    values = SIZE * (random.normal(size=len(NAMES)) + 1j * random.normal(size=len(NAMES)))
    density = jnp.eye(3, dtype=complex) / 3.0
    defaults = StandardModelInputs()
    program = jax.jit(one_evolution(density))

    def new_inputs(i: int) -> StandardModelInputs:
        return StandardModelInputs(alpha_s_mz=0.1179 + 1e-6 * i, m_b_gev=4.18 + 1e-5 * i)

    def evolved(i: int) -> Any:
        return program(values * (1.0 + 1e-3 * i), new_inputs(i), ElectroweakInputs(m_t_gev=162.5 + 1e-3 * i))

    batch = SIZE * (random.normal(size=(points, len(NAMES))) + 1j * random.normal(size=(points, len(NAMES))))
    apply = jax.jit(lambda mapping, x: moments(jnp.tensordot(x, mapping.rows(CHIRAL).dipole, axes=1), density))

    def whole_batch(i: int) -> Any:
        return apply(linear_map(NAMES, SCALE, new_inputs(i)), batch)

    ((_, below, _), one), evolution_first = first_call(evolved)
    _, batch_first = first_call(whole_batch)
    reference = evolve(dict(zip(NAMES, values, strict=True)), SCALE, LOW, inputs=defaults, rho_solar=np.asarray(density))
    from_batch = apply(linear_map(NAMES, SCALE, defaults), values[None, :])
    exact = with_scipy(values / SIZE, defaults)
    found = np.asarray(run(placed(dict(zip(NAMES, values / SIZE, strict=True))), SCALE, defaults.m_w_gev, defaults, ELECTROWEAK))
    expected = np.array([reference.moments_mub[name] for name in MOMENTS])
    errors = {
        "running against scipy DOP853, 1e-12, relative to the largest": float(np.abs(found - exact).max() / np.abs(exact).max()),
        "moments of one evolution against nmmfit.evolve": float(np.abs([one[n] for n in MOMENTS] / expected - 1.0).max()),
        "moments of a batch against nmmfit.evolve": float(np.abs([from_batch[n][0] for n in MOMENTS] / expected - 1.0).max()),
    }
    if max(errors.values()) > 1e-10:
        raise SystemExit(f"wrong answer: {errors}")

    few = max(3, repeats // 5)
    compiled_before = program._cache_size() + apply._cache_size()
    times, batch_times = later_calls(evolved, repeats), later_calls(whole_batch, few)
    map_times = later_calls(lambda i: linear_map(NAMES, SCALE, new_inputs(100 + i)), few)
    results = {"evolution_ms": 1e3 * float(np.median(times)), "batch_s": float(np.median(batch_times))}
    return record(
        "What does the theory above m_W cost?",
        seed,
        **results,
        evolution_ms_smallest=1e3 * float(np.min(times)),
        linear_map_s=float(np.median(map_times)),
        coefficients={"above m_W": len(NAMES), "below m_W": int(below.shape[0])},
        points=points,
        repeats=repeats,
        first_call_s={"evolution": evolution_first, "batch": batch_first},
        compilations_in_later_calls=int(program._cache_size() + apply._cache_size() - compiled_before),
        errors=errors,
        bars={name: f"{sign} {limit:g}" for name, (sign, limit) in BARS.items()},
        met=met(results, BARS),
    )


def main() -> None:
    parser = command_line(__doc__, overrides=False)
    parser.add_argument("--points", type=int, default=10_000, help="points of the batch")
    parser.add_argument("--repeats", type=int, default=30)
    given = parser.parse_args()
    on_one_core(given)
    without_caches()
    write(measure(given.points, given.repeats, given.seed), given.out)


if __name__ == "__main__":
    main()
