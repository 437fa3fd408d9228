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


@pytest.mark.slow
def test_templates_of_the_default_run_against_quadrature() -> None:
    """A thousand points of the box: relative to a log-likelihood of thousands to a million, and absolutely.

    The tolerance of templates, 5e-5, is that of a fit in which every bin is about one standard deviation off; here bins are ten
    and more off, and errors grow in proportion.
    """
    joint, direct = default_run().joint(), default_run().joint("direct")
    x = moved_together(joint, 1000)
    exact = np.asarray(direct.log_likelihood(direct.unpack(x)))
    error = np.abs(np.asarray(joint.log_likelihood(joint.unpack(x))) - exact)
    assert np.max(error) < 3e-3
    assert np.max(error / np.abs(exact)) < 1e-7
    multiplies = sum(c.multiplies for t in joint.templates for c in t.channels)
    assert multiplies < 1e5
