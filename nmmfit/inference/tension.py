"""Tension between experiments: a parameter goodness of fit (Maltoni and Schwetz, hep-ph/0304176), calibrated by toys.

The test asks whether experiments agree on the user's parameters theta, whatever they say about everything else:

    chi2_PG = min over theta, nu of [sum_i D_i(theta, nu) + C(nu)] - min over theta_1, ..., theta_N, nu of
              [sum_i D_i(theta_i, nu) + C(nu)],

with D_i = -2 ln L_i of experiment i's data and C all constraint terms: own and shared nuisances, theory inputs. For independent
experiments the second minimum is the sum of the separate ones, and this is the definition of the paper. What experiments share
(fluxes, charges, oscillation parameters) is one number of nature under either hypothesis, measured once: it stays shared in both
fits and its constraint counts once in both. Copies of it in separate fits, each with its constraint term, would count one
measurement N times; their chi2_PG can even be negative, where two experiments pull a shared nuisance the same way. As it is,
the two hypotheses are nested, chi2_PG >= 0, and a difference that a shared nuisance explains is no tension.

The nominal number of degrees of freedom is sum_i P_i - P: P_i is the number of combinations of theta that experiment i sees, P
that of all together, ranks of the Jacobians of expected counts at points where nothing vanishes. Rates are quadratic in the
couplings: at zero coupling, where the Standard Model is, the nominal chi-square is no guide, hence the toys. They are drawn at
the joint best fit, the centres of normal constraints with them, and fitted in both ways.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import chi2 as chi_square

from nmmfit.checks import whole_number
from nmmfit.durable import Engine, run_chunks
from nmmfit.errors import UserInputError
from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.kept_minima import Stores
from nmmfit.inference.minimise import Progress
from nmmfit.inference.space import space_of
from nmmfit.inference.tension_fits import BLOCK, REACH, Blocks, Both, Fits
from nmmfit.inference.toy_fits import Data, ToyLikelihood
from nmmfit.precision import require_double_precision
from nmmfit.shapes import Array

RANK_TOLERANCE = 1e-6
"""Singular values of a Jacobian below this fraction of the largest are zero."""

GENERIC_POINTS = 3
"""Points at which ranks are taken; the largest counts."""


@dataclass(frozen=True)
class Part:
    """One experiment's part in the tension.

    Attributes:
        rank: combinations of the user's parameters that it sees.
        chi2: -2 ln L of its data at the joint best fit over that where every experiment has its own parameters.
        point: all parameters there, its own copy of the user's.
        identified: identified quantities that it sees alone, there.
    """

    rank: int
    chi2: float
    point: dict[str, float]
    identified: dict[str, float]


@dataclass(frozen=True)
class Tension:
    """How well experiments agree on the user's parameters.

    Attributes:
        chi2: chi2_PG of the data.
        dof: nominal degrees of freedom. `nominal_p_value`: probability of a larger chi-square.
        p_value: fraction of toys with at least as large a chi2_PG, with the data counted as one: (1 + k) / (1 + toys).
        p_error: its statistical error. `toys`: toys whose fits converged. `failed`: those whose fits did not.
        toy_values: chi2_PG of every toy, (toy,).
        point: the joint best fit. `identified`: identified quantities there.
        constraints: the part of `chi2` that is in constraint terms, which belong to no experiment.
        experiments: every experiment's part, by name.
        units: of parameters and identified quantities.
        converged: whether both fits of the data did.
    """

    chi2: float
    dof: int
    nominal_p_value: float
    p_value: float
    p_error: float
    toys: int
    failed: int
    toy_values: np.ndarray
    point: dict[str, float]
    identified: dict[str, float]
    constraints: float
    experiments: dict[str, Part]
    units: dict[str, str]
    converged: bool

    def to_json(self) -> dict[str, Any]:
        """As values for `json.dumps`."""
        return {
            "chi2": self.chi2,
            "dof": self.dof,
            "nominal_p_value": self.nominal_p_value,
            "p_value": self.p_value,
            "p_error": self.p_error,
            "toys": self.toys,
            "failed": self.failed,
            "converged": self.converged,
            "constraints": self.constraints,
            "experiments": {
                name: {"rank": p.rank, "chi2": p.chi2, "point": p.point, "identified": p.identified}
                for name, p in self.experiments.items()
            },
            "point": self.point,
            "identified": self.identified,
            "units": self.units,
            "toy_values": [float(v) for v in self.toy_values],
        }


def tension(
    joint: JointLikelihood,
    *,
    toys: int = 200,
    seed: int = 0,
    starts: int = 8,
    progress: Progress | None = None,
    stores: Stores | None = None,
    engine: Engine | None = None,
) -> Tension:
    """Parameter goodness of fit between the experiments of a joint likelihood.

    Args:
        joint: the likelihood, of at least two experiments.
        toys: number of toy experiments, >= 1.
        seed: of the random numbers, >= 0.
        starts: scattered starts of the fits of the data, besides the nominal one, >= 1; toys start where they were made, too, and
            at three scattered points.
        progress: called with (toys done, toys in all).
        stores: where the fits of the data and blocks of toys are kept that are finished, and taken from; None: nowhere.
        engine: makes several blocks of toys at once, such as a `nmmfit.cluster.ClusterEngine`; None: one after another. The
            result is the same.
    Raises: OutputError if a block cannot be kept; UserInputError for a wrong number, or where no two experiments see a common
        parameter.
    """
    require_double_precision()
    whole_number(toys, "tension: toys", 1)
    whole_number(seed, "tension: seed", 0)
    whole_number(starts, "tension: starts", 1)
    space = space_of(joint)
    if len(joint.experiments) < 2:
        raise UserInputError("tension: takes at least two experiments")
    if not joint.n_own:
        raise UserInputError("tension: no coefficient is free, so that there is nothing to disagree on")
    ranks, whole, seen = _ranks(joint, seed)
    dof = sum(ranks) - whole
    if dof <= 0:
        raise UserInputError("tension: no combination of the free coefficients is seen by two of the experiments")
    together, apart = ToyLikelihood(joint), ToyLikelihood(joint, apart=True)
    fits = Fits(together, apart, ranks)
    measured = _measured(fits, seed, starts, stores)
    terms = np.asarray(_data_terms(together, jnp.asarray(measured.together[0]))) - np.asarray(
        _data_terms(apart, jnp.asarray(measured.apart[0]))
    )
    chi2 = float(measured.chi2[0])
    origin = measured.together[0]

    def advance(done: int, _: int) -> None:
        if progress is not None and done:
            progress(min(done * BLOCK, toys), toys)

    known = {"seed": seed, "block": BLOCK, "z": origin.tolist()}
    store = None if stores is None else stores("tension-toys", known)
    blocks = run_chunks(store, -(-toys // BLOCK), Blocks(fits, origin, seed), advance, engine)
    # The last block is whole, so that one program serves all.
    fine = np.concatenate([block["converged"] for block in blocks])[:toys]
    toy_values = np.concatenate([block["chi2"] for block in blocks])[:toys][fine]
    number = len(toy_values)
    # What agrees to the precision of the fits is equal.
    p = (1.0 + float(np.sum(toy_values >= chi2 - 1e-4))) / (1.0 + number)
    point = space.point(origin)
    own = {
        e.name: Part(rank, float(term), at, _some(joint, at, names))
        for k, (e, rank, term, names) in enumerate(zip(joint.experiments, ranks, terms, seen, strict=True))
        for at in [space.point(measured.apart[0][apart.places(k)])]
    }
    return Tension(
        chi2=chi2,
        dof=dof,
        nominal_p_value=float(chi_square.sf(chi2, dof)),
        p_value=p,
        p_error=float(np.sqrt(p * (1.0 - p) / max(number, 1))),
        toys=number,
        failed=int(np.sum(~fine)),
        toy_values=toy_values,
        point=point,
        identified=_some(joint, point, [q.name for q in joint.identified]),
        constraints=chi2 - float(np.sum(terms)),
        experiments=own,
        units={**space.units, **{q.name: q.unit for q in joint.identified}},
        converged=bool(measured.converged[0]),
    )


def _measured(fits: Fits, seed: int, starts: int, stores: Stores | None) -> Both:
    """Fits of the data that were measured."""

    def compute(_: int) -> dict[str, np.ndarray]:
        data = Data(*(np.asarray(part)[None] for part in fits.one.observed))
        start = fits.one.space.start
        return vars(fits.both(data, start, np.geomspace(*REACH, starts), np.random.default_rng(seed)))

    store = None if stores is None else stores("tension-data", {"seed": seed, "starts": starts})
    return Both(**run_chunks(store, 1, compute)[0])


def _some(joint: JointLikelihood, point: Mapping[str, float], names: list[str]) -> dict[str, float]:
    """Some identified quantities at a point."""
    values = joint.identified_values(point)
    return {name: float(values[name]) for name in names}


@partial(jax.jit, static_argnums=0)
def _data_terms(likelihood: ToyLikelihood, z: Array) -> Array:
    """-2 ln L of every experiment's data, (experiment,), at a vector."""
    terms = -2.0 * likelihood.log_prob(likelihood.counts(z), jnp.asarray(likelihood.observed.counts))
    bounds = likelihood.bounds
    return jnp.stack([jnp.sum(terms[a:b]) for a, b in pairwise(bounds)])


def _ranks(joint: JointLikelihood, seed: int) -> tuple[list[int], int, list[list[str]]]:
    """Rank of every experiment and of all together, and the names of the identified quantities that every experiment sees."""
    space = space_of(joint)
    likelihood = ToyLikelihood(joint)
    own = np.arange(joint.n_own)
    basis = space.basis(space.start)[:, own]
    rng = np.random.default_rng(seed)
    points = jnp.asarray(space.start + rng.normal(size=(GENERIC_POINTS, len(own))) @ basis.T)

    def slopes(z: Array) -> tuple[Array, Array]:
        def both(step: Array) -> tuple[Array, Array]:
            y = z + jnp.asarray(basis) @ step
            return space.nll.counts(y), space.quantities(y)[: len(space.identified)]

        return jax.jacfwd(both)(jnp.zeros(len(own)))

    counts, quantities = map(np.asarray, jax.jit(lambda zs: jax.lax.map(slopes, zs))(points))
    bounds = likelihood.bounds
    ranks, seen = [], []
    for a, b in pairwise(bounds):
        found = [_rows(jacobian[a:b]) for jacobian in counts]
        ranks.append(max(len(rows) for rows in found))
        seen.append(
            [
                item.name
                for k, item in enumerate(space.identified)
                if all(_within(q[k], rows) for q, rows in zip(quantities, found, strict=True))
            ]
        )
    return ranks, max(len(_rows(jacobian)) for jacobian in counts), seen


def _rows(jacobian: np.ndarray) -> np.ndarray:
    """Orthonormal rows (rank, parameter) that span those of a Jacobian (bin, parameter)."""
    size = np.linalg.norm(jacobian, axis=1)
    # Bins of equal weight: a bin with few counts is not invisible.
    kept = jacobian[size > 0] / size[size > 0, None]
    if not len(kept):
        return np.zeros((0, jacobian.shape[1]))
    _, singular, right = np.linalg.svd(kept, full_matrices=False)
    return np.asarray(right[: int(np.sum(singular > RANK_TOLERANCE * singular[0]))])


def _within(gradient: np.ndarray, rows: np.ndarray) -> bool:
    """Whether a gradient lies in the span of orthonormal rows."""
    size = float(np.linalg.norm(gradient))
    return size > 0 and float(np.linalg.norm(gradient - rows.T @ (rows @ gradient))) < 1e-4 * size
