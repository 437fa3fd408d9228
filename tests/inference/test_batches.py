"""Batches: as many points as fit, on all devices; fewer where memory ends."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmmfit.inference import batches
from nmmfit.inference.batches import Program, fitting, in_batches, over_processors

ROOT = Path(__file__).resolve().parents[2]


@jax.jit
def shifted(x, by):
    return {"sum": jnp.sum(x**2, axis=1) + by, "x": x}


def run(program, points: int, block: int) -> tuple[np.ndarray, list[int]]:
    """Values at points 0, 1, ..., and the sizes of the calls."""
    x = np.arange(points, dtype=float)[:, None] * np.ones((1, 3))
    found, sizes = np.full(points, np.nan), []

    def put(index, out):
        found[index] = out["sum"]
        assert np.array_equal(out["x"], x[index])

    def take(index):
        sizes.append(len(index))
        return x[index]

    in_batches(program, np.arange(points), take, jnp.asarray(1.0), put, block)
    return found, sizes


@pytest.mark.parametrize(("points", "block"), [(7, 4), (8, 4), (1, 4), (3, 1), (0, 4)])
def test_every_point_is_computed_once_in_calls_of_one_size(points: int, block: int) -> None:
    found, sizes = run(Program(shifted), points, block)
    assert np.array_equal(found, 3.0 * np.arange(points) ** 2 + 1.0)
    assert set(sizes) <= {block}


class Small:
    """A device on which no more than so many points fit."""

    def __init__(self, most: int, problem: type[Exception]) -> None:
        self.most, self.problem, self.sizes = most, problem, []

    def __call__(self, x, by):
        self.sizes.append(len(x))
        if len(x) > self.most:
            raise self.problem("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 17179869184 bytes.")
        return shifted(x, by)


@pytest.mark.parametrize("problem", [MemoryError, jax.errors.JaxRuntimeError])
def test_where_memory_ends_it_goes_on_with_half(problem: type[Exception], caplog: pytest.LogCaptureFixture) -> None:
    device = Small(3, problem)
    with caplog.at_level(logging.WARNING):
        found, _ = run(Program(device), 10, 8)
    assert np.array_equal(found, 3.0 * np.arange(10) ** 2 + 1.0)
    assert device.sizes == [8, 4, 2, 2, 2, 2, 2]
    said = [r.getMessage() for r in caplog.records]
    assert said == [f"{n} points at a time do not fit into memory; going on with {n // 2}" for n in (8, 4)]


def test_where_not_even_one_point_fits_it_ends() -> None:
    with pytest.raises(MemoryError):
        run(Program(Small(0, MemoryError)), 3, 2)


def test_other_errors_are_no_lack_of_memory() -> None:
    def broken(x, by):
        raise jax.errors.JaxRuntimeError("INTERNAL: something else")

    with pytest.raises(jax.errors.JaxRuntimeError, match="something else"):
        run(Program(broken), 3, 2)


def big(x, _):
    """Needs n^2 numbers a point."""
    return jnp.sum(jnp.linalg.cholesky(x[:, :, None] * x[:, None, :] + jnp.eye(50)), axis=(1, 2))


@pytest.mark.parametrize(
    ("free_points", "most", "points"), [(None, 10**6, 4), (1, 10**6, 4), (70, 10**6, 64), (10**6, 100, 128), (10**6, 3, 4)]
)
def test_the_points_of_a_call_are_found_from_what_the_program_needs(free_points: int | None, most: int, points: int) -> None:
    x = np.ones((4, 50))
    need = batches.bytes_needed(Program(big), x, ()) / 4
    # at least the matrices, of 8 bytes a number
    assert need > 50 * 50 * 8
    limit = None if free_points is None else {"bytes_limit": int(free_points * need / batches.SHARE) + 1000, "bytes_in_use": 1000}
    device = SimpleNamespace(memory_stats=lambda: limit)
    assert fitting(Program(big), x, (), 4, most, device) == points


def test_programs_that_use_lapack_are_known() -> None:
    def solved(x, _):
        return jnp.linalg.cholesky(x[:, :, None] * x[:, None, :] + jnp.eye(3))

    assert batches.calls_lapack(solved, np.ones((2, 3)), ())
    assert not batches.calls_lapack(Program(shifted), np.ones((2, 3)), jnp.asarray(1.0))


TWO = """
import json, sys
import jax, numpy as np, jax.numpy as jnp
import nmmfit.precision
from nmmfit.inference import batches
from tests.inference.test_batches import run, shifted
from tests.sharded import grid_of, chains_of
devices = jax.local_devices()
found, sizes = run(batches.Program(shifted), 11, 4)
spread = batches.devices_for(batches.Program(shifted), np.ones((4, 3)), jnp.asarray(1.0))
lapack = batches.devices_for(lambda x, _: jnp.linalg.cholesky(x), np.ones((4, 3, 3)), ())
out = {"devices": len(devices), "found": found.tolist(), "sizes": sizes[-1], "spread": len(spread), "lapack": len(lapack)}
out |= grid_of(points=3000)
if "chains" in sys.argv:
    out |= chains_of()
print(json.dumps(out))
"""


def in_process(devices: int, *words: str) -> dict:
    """What a process with so many devices answers."""
    path = os.pathsep.join((str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")))
    flags = f"--xla_force_host_platform_device_count={devices}"
    env = {**os.environ, "PYTHONPATH": path, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", TWO, *words], env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_two_devices_compute_what_one_does() -> None:
    one, two = (in_process(n, "chains") for n in (1, 2))
    assert (one["devices"], two["devices"]) == (1, 2)
    assert (one["sizes"], two["sizes"], two["spread"]) == (4, 8, 2)
    # LAPACK of two devices of one CPU would wait for itself
    assert two["lapack"] == 1
    assert one["found"] == two["found"]
    assert one["grid"] == two["grid"]
    assert len(two["draws"]) == 32 * 40
    # Chains are chaotic: equal here means that each saw the same rounding, or parted late.
    assert np.allclose(one["draws"], two["draws"], rtol=1e-6, atol=1e-6)
    assert one["divergences"] == two["divergences"]


@pytest.mark.parametrize("points", [1, 63, 64, 97, 200])
def test_processors_share_large_batches(points: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three of them, blocks of two points: every point once and in order, whatever is left over."""
    monkeypatch.setattr(batches, "processors", lambda: 3)
    sizes = []

    def function(x):
        sizes.append(len(x))
        return {"square": jnp.sum(x**2, axis=1), "x": x}

    whole = over_processors(function, 2)
    x = np.arange(3.0 * points).reshape(points, 3)
    found = whole(jnp.asarray(x))
    assert np.array_equal(found["x"], x)
    assert np.asarray(found["square"]) == pytest.approx(np.sum(x**2, axis=1), rel=1e-15)
    assert len(sizes) == min(3, max(1, points // 32)), "a share of less than sixteen blocks is not worth a thread"
    assert len(set(sizes)) == 1


def test_a_batch_inside_a_trace_stays_one_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "processors", lambda: 2)
    whole = over_processors(jax.jit(lambda x: 2.0 * x), 1)
    found = jax.jit(jax.grad(lambda x: jnp.sum(whole(x))))(jnp.ones(64))
    assert np.array_equal(found, np.full(64, 2.0))


def test_what_a_thread_raises_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "processors", lambda: 2)

    def broken(x):
        raise MemoryError("no room")

    with pytest.raises(MemoryError, match="no room"):
        over_processors(broken, 1)(jnp.ones(64))
