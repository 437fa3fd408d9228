"""Checks of an experiment inside a likelihood, that of the default run: templates against the direct evaluation, and speed."""

from __future__ import annotations

import time

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit.contract.result import Check, ContractError, attempt
from nmmfit.inference.coordinates import amplitude_coordinates
from nmmfit.inference.joint import JointLikelihood
from nmmfit.run import default_run

POINTS = 24
TEMPLATE_ERROR = 1e-4
"""Largest difference of the log-likelihood between templates and direct evaluation."""
BUILD_S, EVALUATION_MS = 2.0, 0.5
"""Bars of `build` and of the likelihood's value with its gradient, one core, once compiled. They inform; ..."""
FAR_OFF = 20.0
"""... beyond this many times a bar the check fails: a fit would take hours."""


def checks(name: str, build_s: float) -> list[Check]:
    """All checks of this module; `build_s`: seconds that `build` took."""
    run = default_run([f'experiments=["{name}"]'])
    joint: JointLikelihood | None = None

    def templates() -> str:
        nonlocal joint
        joint = run.joint()
        return templates_agree(joint, run.joint("direct"))

    found = [attempt("templates", templates)]
    if joint is not None:
        evaluation_ms = value_and_gradient_ms(joint)
        numbers = {"build_s": build_s, "value_and_gradient_ms": evaluation_ms}
        bars = {"build_s": BUILD_S, "value_and_gradient_ms": EVALUATION_MS}
        told = f"build {build_s:.2g} s (bar {BUILD_S:g} s), value and gradient {evaluation_ms:.2g} ms (bar {EVALUATION_MS:g} ms)"
        slow = [key for key in numbers if numbers[key] > FAR_OFF * bars[key]]
        found.append(Check("speed", not slow, told, numbers))
    return found


def templates_agree(joint: JointLikelihood, direct: JointLikelihood, points: int = POINTS) -> str:
    """Whether the log-likelihood of templates is that of the direct evaluation, at random points with all pulls moved together.

    Amplitudes are a few times what the data can tell from zero, pulls that bend shapes within 3, those that only scale within
    a few tenths: far away the likelihood is in the hundred thousands.

    Args:
        joint, direct: the same likelihood by both methods.
        points: random points.
    Raises: ContractError with the difference.
    """
    shapes = {p for e in joint.experiments for c in e.channels for k in c.components for f in k.factors for p in f.all_pulls}
    random = np.random.default_rng(5)
    coordinates = amplitude_coordinates(joint)
    vectors = []
    for _ in range(points):
        z = np.zeros(len(joint.names))
        z[coordinates.linear] = 2.0 * random.normal(size=len(coordinates.linear))
        x = np.array(coordinates.to_parameters(jnp.asarray(z))[0])
        for i, parameter in enumerate(joint.parameters):
            if parameter.kind == "nuisance":
                x[i] = random.uniform(-3.0, 3.0) if parameter.name in shapes else 0.1 * random.normal()
        vectors.append(x)
    at = joint.unpack(jnp.asarray(np.asarray(vectors)))
    difference = np.asarray(joint.log_likelihood(at)) - np.asarray(direct.log_likelihood(at))
    worst = float(np.abs(difference).max()) if np.all(np.isfinite(difference)) else np.inf
    if not worst < TEMPLATE_ERROR:
        raise ContractError(
            f"the log-likelihood of templates differs from the direct one by {worst:.2g} (allowed {TEMPLATE_ERROR:g})"
        )
    return f"log-likelihood within {worst:.1g} of the direct one at {points} points, {len(shapes)} pulls that bend shapes"


def value_and_gradient_ms(joint: JointLikelihood, repeats: int = 200) -> float:
    """Milliseconds of one posterior density with its gradient, once compiled: the median of `repeats`."""
    function = jax.jit(jax.value_and_grad(joint.log_prob_vector))
    x = jnp.asarray(joint.start)
    jax.block_until_ready(function(x))
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(function(x))
        times.append(time.perf_counter() - start)
    return 1e3 * float(np.median(times))
