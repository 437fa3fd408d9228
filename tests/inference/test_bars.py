"""Bars of speed that are no times, and the two that stand for all others, printed and not judged (benchmarks/table.py judges)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmmfit.inference.joint import JointLikelihood
from nmmfit.run import default_run

BLOCK, POINTS = 256, 2048


@pytest.fixture
def optimised() -> Iterator[None]:
    """Programs compiled as a user's are; the suite compiles quickly instead."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


def seconds(function: Callable[[jax.Array], jax.Array], x: jax.Array) -> float:
    """Least processor time of a compiled call."""
    program = jax.jit(function).lower(x).compile()
    jax.block_until_ready(program(x))
    times = []
    for _ in range(5):
        began = time.process_time()
        jax.block_until_ready(program(x))
        times.append(time.process_time() - began)
    return min(times)


def test_a_value_and_its_gradient_against_their_matrix_products(
    joint: JointLikelihood, optimised: None, record_property: Callable[[str, object], None]
) -> None:
    """Batched values and gradients of the small likelihood in units of its matrix products alone: printed at the end."""
    random = np.random.default_rng(1)
    shapes = [m.shape for t in joint.templates for c in t.channels for m in c.matrices]
    assert shapes
    pairs = [(jnp.asarray(random.normal(size=(BLOCK, n))), jnp.asarray(random.normal(size=(n, m)))) for n, m in shapes]

    def products(seed: jax.Array) -> jax.Array:
        return sum(jnp.sum((left + seed) @ right) for left, right in pairs)

    x = jnp.asarray(joint.start + 0.1 * random.normal(size=(POINTS, len(joint.names))))
    bare = seconds(lambda seeds: jax.lax.map(products, seeds), jnp.linspace(0.0, 1.0, POINTS // BLOCK))
    value = seconds(lambda xs: jax.lax.map(joint.data_vector, xs, batch_size=BLOCK), x)
    slope = seconds(lambda xs: jax.lax.map(jax.value_and_grad(joint.data_vector), xs, batch_size=64), x)
    record_property("bar P1, value / bare products of the small likelihood", f"{value / bare:.2f}")
    record_property("bar P2, value and gradient / the same", f"{slope / bare:.2f}")
    assert np.all(np.isfinite(np.asarray(joint.log_likelihood(joint.unpack(x[:8])))))


def shape_pulls(joint: JointLikelihood) -> set[str]:
    """Pulls that bend a shape or a weighting."""
    factors = [f for e in joint.experiments for ch in e.channels for c in ch.components for f in c.factors]
    return {pull for f in factors for pull in f.all_pulls}


def moved_together(joint: JointLikelihood, n: int) -> jax.Array:
    """(n, parameter): shape pulls of all experiments within +-3 standard deviations, coefficients about their sensitivity."""
    random = np.random.default_rng(20)
    x = np.tile(joint.start, (n, 1))
    for i, name in enumerate(joint.names):
        if name in shape_pulls(joint):
            x[:, i] = random.uniform(-3.0, 3.0, n)
    sizes = {"GeV^-1": 4e-9, "GeV^-2": 2e-6}
    for i, p in enumerate(joint.of_kind("coefficient")):
        x[:, i] = random.normal(size=n) * sizes.get(p.unit, p.scale)
    return jnp.asarray(x)


@pytest.fixture(scope="module")
def far_points() -> tuple[jax.Array, np.ndarray]:
    """A thousand points of the box of the default run, and the log-likelihood of the direct evaluation there."""
    direct = default_run().joint("direct")
    x = moved_together(direct, 1000)
    return x, np.asarray(direct.log_likelihood(direct.unpack(x)))


def errors_at(joint: JointLikelihood, far_points: tuple[jax.Array, np.ndarray]) -> np.ndarray:
    """(1000,) of the log-likelihood."""
    x, exact = far_points
    return np.abs(np.asarray(joint.log_likelihood(joint.unpack(x))) - exact)


def multiplications(joint: JointLikelihood) -> int:
    """Of the matrix products of one value."""
    return sum(c.multiplies for t in joint.templates for c in t.channels)


@pytest.mark.slow
def test_templates_of_the_default_run_against_quadrature(far_points: tuple[jax.Array, np.ndarray]) -> None:
    """A thousand points of the box: relative to a log-likelihood of thousands to a million, and absolutely.

    The tolerance of templates, 5e-5, is that of a fit in which every bin is about one standard deviation off; here bins are ten
    and more off, and errors grow in proportion.
    """
    joint = default_run().joint()
    error = errors_at(joint, far_points)
    assert np.max(error) < 3e-3
    assert np.max(error / np.abs(far_points[1])) < 1e-7
    assert multiplications(joint) < 1e5


@pytest.mark.slow
def test_a_millionth_costs_no_more_than_twice_a_ten_thousandth(
    far_points: tuple[jax.Array, np.ndarray], record_property: Callable[[str, object], None]
) -> None:
    """The bar P8: the largest tolerances tried that do it at these points (docs/performance.md has others)."""
    coarse = default_run(["templates.tolerances.borexino_phase2=7e-6"]).joint()
    fine = default_run(["templates.tolerances.borexino_phase2=3e-8", "templates.tolerances.coherent_csi_2021=3e-7"]).joint()
    errors = [errors_at(joint, far_points).max() for joint in (coarse, fine)]
    ratio = multiplications(fine) / multiplications(coarse)
    record_property("bar P8, largest errors", f"{errors[0]:.2g}, {errors[1]:.2g}")
    record_property("bar P8, multiplications for 1e-6 / for 1e-4", f"{ratio:.2f}")
    assert errors[0] < 1e-4
    assert errors[1] < 1e-6
    assert ratio <= 2.0
