"""Programs kept between processes: the same results, nothing traced again, nothing kept that might be of something else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache

from nmmfit import precision as precision
from nmmfit.inference.batches import Program
from nmmfit.inference.minimise import no_quantities
from nmmfit.kept_programs import kept_program, results_of


class Pair(NamedTuple):
    """A structure of our own."""

    root: jax.Array
    whole: jax.Array


class Counting:
    """A function that says how often it was traced."""

    def __init__(self) -> None:
        self.traces = 0

    def __call__(self, x: jax.Array, by: dict[str, jax.Array]) -> Pair:
        self.traces += 1
        return Pair(jnp.linalg.cholesky(x), by["n"] + jnp.arange(3))


GIVEN = np.array([[4.0, 2.0], [2.0, 5.0]]), {"n": np.array(7)}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A cache folder of its own."""
    usual = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    compilation_cache.reset_cache()
    yield tmp_path
    jax.config.update("jax_compilation_cache_dir", usual)
    compilation_cache.reset_cache()


def kept(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.program"))


def check(found: Pair) -> None:
    assert isinstance(found, Pair)
    np.testing.assert_allclose(found.root, [[2.0, 0.0], [1.0, 2.0]], rtol=1e-15)
    np.testing.assert_array_equal(found.whole, [7, 8, 9])


def test_a_second_process_does_not_trace(folder: Path) -> None:
    first, second = Counting(), Counting()
    check(kept_program(first, GIVEN, "a")(*GIVEN))
    shapes = results_of(second, GIVEN, "a")
    assert (shapes.root.shape, shapes.whole.dtype) == ((2, 2), np.int64)
    check(kept_program(second, GIVEN, "a")(*GIVEN))
    assert (first.traces, second.traces, len(kept(folder))) == (1, 0, 1)


def test_other_shapes_settings_and_fingerprints_are_other_programs(folder: Path) -> None:
    function = Counting()
    kept_program(function, GIVEN, "a")
    kept_program(function, GIVEN, "b")
    kept_program(function, (np.eye(3), GIVEN[1]), "a")
    with jax.debug_nans(True):
        kept_program(function, GIVEN, "a")
    assert (function.traces, len(kept(folder))) == (4, 4)


def test_without_a_fingerprint_nothing_is_kept(folder: Path) -> None:
    check(kept_program(Counting(), GIVEN, None)(*GIVEN))
    assert not kept(folder)


def test_a_damaged_file_is_made_anew(folder: Path) -> None:
    kept_program(Counting(), GIVEN, "a")
    (path,) = kept(folder)
    path.write_bytes(path.read_bytes()[:-1])
    function = Counting()
    check(kept_program(function, GIVEN, "a")(*GIVEN))
    assert function.traces == 1


def test_what_cannot_be_exported_is_compiled_and_not_kept(folder: Path) -> None:
    def called_back(x: jax.Array) -> jax.Array:
        return jax.pure_callback(lambda v: np.asarray(2.0 * v), jax.ShapeDtypeStruct((), jnp.float64), x)

    assert float(kept_program(called_back, (1.5,), "a")(1.5)) == 3.0
    assert not kept(folder)


_AGAIN = """
import sys
import numpy as np
from nmmfit import compilation_cache
compilation_cache.enable()
import jax.numpy as jnp
from nmmfit.kept_programs import kept_program
def function(x):
    if len(sys.argv) > 1:
        raise AssertionError("traced")
    return jnp.linalg.eigh(x)
x = np.array([[2.0, 1.0], [1.0, 2.0]])
print(*kept_program(function, (x,), "a")(x)[0])
"""


def test_linear_algebra_in_a_process_that_has_traced_none(tmp_path: Path) -> None:
    """Its routines are found when a call of them is lowered, and a program that comes from disk lowers none."""
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(tmp_path)}
    for more in ([], ["again"]):
        done = subprocess.run([sys.executable, "-c", _AGAIN, *more], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert [float(x) for x in done.stdout.split()] == pytest.approx([1.0, 3.0], rel=1e-14)


class Told(NamedTuple):
    """An object that tells what it depends on."""

    fingerprint: str | None


def test_fingerprints_of_programs() -> None:
    told = Program(no_quantities, (Told("x"), 3)).fingerprint
    assert told is not None
    others = [Program(no_quantities, static).fingerprint for static in ((Told("y"), 3), (Told("x"), 4), (Told("x"), None))]
    assert len({told, *others}) == 4
    # Nothing says on what these depend: a static argument, the source of the function, or the function itself.
    assert Program(no_quantities, (Told(None),)).fingerprint is None
    assert Program(no_quantities, (object(), Told("x"))).fingerprint is None
    assert Program(no_quantities, (3,)).fingerprint is None
    assert Program(lambda x: x, (Told("x"),)).fingerprint is None
