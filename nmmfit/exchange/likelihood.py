"""The likelihood of a run as a document that others can evaluate without us: counts as polynomials, responses to nuisances.

Expected counts of bin b at coefficients c and nuisances eta (theory inputs that float are among them), eta_0 nominal:

    n_b(c, eta) = sum_m [K_bm + sum_a R_abm (eta_a - eta_0a)] m(c),    m: 1, c_i, c_i c_j

K is exact; R is the first-order response. The nuisances are normal, with mean eta_0 + mu and covariance C (`nuisances`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpyro import distributions as dist

from nmmfit.errors import UserInputError
from nmmfit.exchange.document import head, popxf
from nmmfit.exchange.monomials import popxf_key
from nmmfit.exchange.nuisances import NormalNuisances, normal_nuisances
from nmmfit.exchange.rates import channel_slices, monomials_of, rate_polynomials
from nmmfit.experiment import BinnedExperiment, Channel
from nmmfit.inference.joint import JointLikelihood
from nmmfit.precision import require_double_precision
from nmmfit.run import Run

DEGREE = 2
RESPONSE_DIGITS = 10
"""Significant digits of responses, which are a first order only."""

DEFINITIONS = {
    "expected": "n(c, eta) = sum_m [K_m + sum_a R_am (eta_a - nominal_a)] m(c); K: prediction.data.observable_central, "
    "R: responses",
    "poisson_profile": "min over eta of 2 sum_b [n_b - d_b + d_b ln(d_b / n_b)] + x^T covariance^-1 x, "
    "x = eta - nominal - mean; normal channels have ((d_b - n_b)^2 / variance_b) instead",
    "gaussian_profile": "r^T [diag(variance) + R covariance R^T]^-1 r, r = d - n(c, nominal + mean), R = dn/deta at c: the same "
    "minimum with every channel normal",
    "nominal": "the published values of nuisances, at which prediction holds exactly",
    "variance": "of a Poisson channel: its expected counts without coefficients at nominal nuisances",
    "one_sigma_error": "largest error of the first-order response over all bins at nominal +- one prior width and vanishing "
    "coefficients, in units of sqrt(variance)",
}


def export_likelihood(
    run: Run, joint: JointLikelihood | None = None, progress: Callable[[int, int], None] | None = None
) -> dict[str, Any]:
    """The likelihood of a run as a document (JSON-compatible), counts by the direct evaluation.

    Args:
        run: the run.
        joint: its joint likelihood if there is one already, by either method.
        progress: called with (nuisances done, nuisances in all).
    Raises: UserInputError if the run has no free coefficient or no experiment, if a channel is neither Poisson nor normal, a
        nuisance's prior has no standard deviation, or `around` is none of its choices; NotConvergedError if that fit failed.
    """
    require_double_precision()
    joint = run.joint(method="direct") if joint is None else joint
    if not joint.n_coefficients:
        raise UserInputError(f"export: {run.source}: no coefficient is free, so that there is no polynomial")
    if not joint.experiments:
        raise UserInputError(f"export: {run.source}: the run has no experiment")
    nuisances = normal_nuisances(joint)
    values, responses, errors = _rates(joint, nuisances, progress)
    names = [p.name for p in joint.of_kind("coefficient")]
    keys = [popxf_key(m, names, DEGREE) for m in monomials_of(joint)]
    places = channel_slices(joint)
    document = head("likelihood", run, joint)
    document["definitions"] = DEFINITIONS
    document["nuisances"] = {
        "names": list(nuisances.names),
        "kinds": [p.kind for p in nuisances.parameters],
        "priors": list(nuisances.priors),
        "nominal": nuisances.nominal.tolist(),
        "width": nuisances.width.tolist(),
        "mean": nuisances.mean.tolist(),
        "covariance": nuisances.covariance.tolist(),
        "one_sigma_error": errors.tolist(),
    }

    def part(experiment: BinnedExperiment, channel: Channel) -> dict[str, Any]:
        place = places[f"{experiment.name}.{channel.name}"]
        here, moved = values[:, place], responses[:, :, place]
        spread = (
            np.einsum("ab,ad,db->b", moved[:, 0], nuisances.covariance, moved[:, 0]) if len(moved) else np.zeros(here.shape[1])
        )
        return {
            "observed": np.ravel(channel.observed).tolist(),
            "statistic": channel.statistic,
            "variance": _variance(experiment.name, channel, here[0]).tolist(),
            "edges": {axis: np.asarray(edges).tolist() for axis, edges in channel.edges.items()},
            "prediction": popxf(
                [f"{experiment.name}.{channel.name}[{b}]" for b in range(here.shape[1])],
                names,
                dict(zip(monomials_of(joint), here, strict=True)),
                run.config.scale_gev,
                DEGREE,
                {p["name"]: p["coefficients"] for p in document["parameters"]},
                "expected counts per bin at nominal nuisances, exact; uncertainty: nuisances at vanishing parameters",
                np.sqrt(spread),
            ),
            "responses": {
                name: {k: _digits(row) for k, row in zip(keys, moved[a], strict=True) if np.any(row)}
                for a, name in enumerate(nuisances.names)
                if np.any(moved[a])
            },
        }

    document["experiments"] = {
        e.name: {
            "title": e.title,
            "status": e.status,
            "references": list(e.references),
            "choices": dict(e.choices),
            "channels": {c.name: part(e, c) for c in e.channels},
        }
        for e in joint.experiments
    }
    return document


def _rates(
    joint: JointLikelihood, nuisances: NormalNuisances, progress: Callable[[int, int], None] | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts (monomial, bin), responses (nuisance, monomial, bin), and the responses' error at one sigma (nuisance,)."""
    n, start = joint.n_coefficients, jnp.asarray(joint.start)
    rates = jax.jit(lambda vector: rate_polynomials(joint, vector))
    # one direction at a time: all at once would hold every fold of every experiment in memory
    response = jax.jit(lambda vector, direction: jax.jvp(lambda x: rate_polynomials(joint, x), (vector,), (direction,))[1])
    values = np.asarray(rates(start))
    responses = np.zeros((len(nuisances.width), *values.shape))
    errors = np.zeros(len(nuisances.width))
    spread = np.sqrt(np.concatenate([_variance(name, c, values[0, s]) for (name, c), s in _bins(joint)]))
    for a, width in enumerate(nuisances.width):
        unit = jnp.zeros(len(start)).at[n + a].set(1.0)
        responses[a] = np.asarray(response(start, unit))
        for sign in (-width, width):
            moved = np.asarray(rates(start + sign * unit))[0]
            errors[a] = max(errors[a], float(np.max(np.abs(moved - values[0] - sign * responses[a, 0]) / spread)))
        if progress is not None:
            progress(a + 1, len(nuisances.width))
    return values, responses, errors


def _bins(joint: JointLikelihood) -> list[tuple[tuple[str, Channel], slice]]:
    places = channel_slices(joint)
    return [((name, channel), places[name]) for name, channel in joint.channels.items()]


def _variance(owner: str, channel: Channel, nominal: np.ndarray) -> np.ndarray:
    """(bin,) variance of the data of a channel. Raises: UserInputError where the data are neither Poisson nor normal."""
    if channel.distribution is dist.Poisson:
        return np.asarray(nominal)
    made = channel.distribution(jnp.asarray(nominal))
    if isinstance(made, dist.Normal) and np.allclose(made.loc, nominal, rtol=1e-12, atol=0.0):
        return np.broadcast_to(np.asarray(made.scale) ** 2, nominal.shape)
    raise UserInputError(f"export: the data of {owner}.{channel.name} are neither Poisson nor normal; that is not in the format")


def _digits(values: np.ndarray) -> list[float]:
    return [float(f"{v:.{RESPONSE_DIGITS}g}") for v in values]
