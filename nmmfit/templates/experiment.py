"""Templates of an experiment: what it sees of the amplitudes, and the plan of every channel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from threadpoolctl import threadpool_limits

from nmmfit.config import DEFAULT_TOLERANCE
from nmmfit.experiment import BinnedExperiment, Channel, Pulls
from nmmfit.kept import digest, kept_or_made
from nmmfit.memory import hand_back
from nmmfit.numerics.pieces import Piece
from nmmfit.numerics.side_by_side import times
from nmmfit.physics.amplitude_basis import AmplitudeBasis, MergedMonomials, merged_monomials
from nmmfit.physics.forms import vector_to_forms
from nmmfit.run_once import jit_once
from nmmfit.shapes import Array
from nmmfit.templates.build import channel_plan
from nmmfit.templates.fit import HALF_WIDTH
from nmmfit.templates.plan import ChannelPlan, Table
from nmmfit.templates.shapes import polynomial_table
from nmmfit.templates.slopes import slopes

Kept = tuple[MergedMonomials, tuple[ChannelPlan, ...]]


@dataclass(frozen=True)
class ChannelTemplate:
    """Compressed templates of one channel."""

    channel: Channel
    plan: ChannelPlan

    def expected(self, monomials: Array, table: Table, pulls: Pulls) -> Array:
        """Expected counts (bin,) from monomials (monomial,), the polynomials of the shape pulls, and the pulls."""
        return self.plan.expected(self.channel.components, monomials, table, pulls)

    @property
    def error(self) -> float:
        """Worst error of its fits at random points, in standard deviations of the data."""
        return self.plan.error

    @property
    def matrices(self) -> list[np.ndarray]:
        """Every matrix that one evaluation multiplies by."""
        blocks = [m for block in self.plan.blocks for m in block.matrices]
        return [*blocks, *(m for group in self.plan.groups for m in group.matrices)]

    @property
    def multiplies(self) -> int:
        """Multiplications of the matrix products of one evaluation."""
        return sum(m.size for m in self.matrices)

    @property
    def ranks(self) -> list[tuple[str, int, int]]:
        """(shape pulls, size of their block's basis, number of functions kept) of every set of pulls."""
        blocks = [*self.plan.blocks, *(g.second.block for g in self.plan.groups if g.second is not None)]
        return [(" ".join(tree.degrees), block.basis_size, tree.rank) for block in blocks for tree in block.trees]


@dataclass(frozen=True)
class ExperimentTemplate:
    """Compressed templates of one experiment, for one amplitude basis.

    `errors` is the worst error of each channel's fits at random points, in standard deviations of the data.
    """

    experiment: BinnedExperiment
    basis: AmplitudeBasis
    monomials: MergedMonomials
    channels: tuple[ChannelTemplate, ...]

    @property
    def errors(self) -> dict[str, float]:
        """Channel name -> worst error of its fits."""
        return {c.channel.name: c.error for c in self.channels}

    @property
    def degrees(self) -> Mapping[str, int]:
        """Highest degree in each shape pull."""
        result: dict[str, int] = {}
        for channel in self.channels:
            for pull, degree in channel.plan.degrees.items():
                result[pull] = max(degree, result.get(pull, 0))
        return result

    def expected(self, products: Array, pulls: Pulls, sm: Array | float = 1.0, table: Table | None = None) -> dict[str, Array]:
        """Expected counts, channel name -> (bin,), from the products of amplitudes (product,), pulls and the SM's strength.

        Of a block of points: (bin, point) from products (product, point) and the others (point,), or () where all share them.
        `table`: polynomials of the shape pulls (`polynomials`), if they are known.
        """
        return self.expected_of(self.monomials_at(products, sm), pulls, table)

    def monomials_at(self, products: Array, sm: Array | float = 1.0) -> Array:
        """All that the counts read of couplings, (monomial, *points): see `expected`."""
        strength = jnp.broadcast_to(jnp.asarray(sm), (1, *products.shape[1:]))
        return times(jnp.concatenate([strength, products]), self.monomials.weights.T)

    def expected_of(self, monomials: Array, pulls: Pulls, table: Table | None = None) -> dict[str, Array]:
        """`expected`, from what `monomials_at` gives."""
        known = polynomials([self], pulls, monomials.shape[1:]) if table is None else table
        return {t.channel.name: t.expected(monomials, known, pulls) for t in self.channels}

    def slopes_of(
        self, monomials: Array, directions: Array, pulls: Pulls, names: Sequence[str]
    ) -> tuple[Array, tuple[Piece, ...]]:
        """Expected counts (bin of all channels,) and their derivatives (direction + pull, bin): `templates.slopes` at one point.

        Args:
            monomials: what `monomials_at` gives, (monomial,).
            directions: (direction, monomial) in which the monomials move.
            pulls: values of the pulls.
            names: those of them to differentiate in.
        """
        found = [slopes(t.plan, t.channel.components, monomials, directions, pulls, names) for t in self.channels]
        return jnp.concatenate([counts for counts, _ in found]), tuple(piece for _, pieces in found for piece in pieces)


def polynomials(templates: Iterable[ExperimentTemplate], pulls: Pulls, points: tuple[int, ...] = ()) -> Table:
    """Chebyshev polynomials (polynomial, *points) of every shape pull of some templates, as many as any of them needs or more."""
    degrees: dict[str, int] = {}
    for template in templates:
        for name, degree in template.degrees.items():
            degrees[name] = max(degree, degrees.get(name, 0))
    return polynomial_table({name: jnp.broadcast_to(pulls[name], points) for name in degrees}, degrees, HALF_WIDTH)


def relevant_coordinates(experiment: BinnedExperiment, basis: AmplitudeBasis) -> np.ndarray:
    """(form coordinate,) True where some rate depends on that real coordinate of its forms (`form_names`), of those in reach.

    Coordinates that no product of the basis' amplitudes reaches are False.
    """
    names = experiment.form_names
    size = 1 + 9 * len(names)
    pulls = experiment.nominal_pulls()
    functions = [f.function for ch in experiment.channels for c in ch.components for f in c.factors if f.forms is not None]
    relevant = np.zeros(size, dtype=bool)
    if not functions:
        return relevant
    reached = np.flatnonzero(np.any(basis.form_columns(experiment.is_massive) != 0.0, axis=0))
    # Rates are linear in the forms: one coordinate at a time against none shows what they depend on.
    points = np.zeros((1 + len(reached), len(reached)))
    points[1:] = np.eye(len(reached))

    def rates(values: Array) -> list[Array]:
        # What is never reached is a constant zero here, so that its kernels need not be computed.
        forms = vector_to_forms(jnp.zeros(size).at[reached].set(values), names)
        return [function(forms, pulls) for function in functions]

    # All factors in one program: what they have in common, a response matrix say, is compiled once.
    found = [np.asarray(v) for v in jit_once(jax.vmap(rates))(jnp.asarray(points))]
    relevant[reached] = np.any([np.any(v[1:] != v[0], axis=1) for v in found], axis=0)
    return relevant


def build_templates(
    experiment: BinnedExperiment, basis: AmplitudeBasis, tolerance: float = DEFAULT_TOLERANCE, fingerprint: str | None = None
) -> ExperimentTemplate:
    """Templates of an experiment for the amplitudes of a fit.

    Args:
        experiment: the experiment, with its direct evaluation.
        basis: real amplitudes that the fit can excite.
        tolerance: aimed error in the log-likelihood of a channel where every bin is a standard deviation off; new-physics rows
            count as if they were 30 standard deviations strong. The worst error of the fits at random points is kept per channel.
        fingerprint: of all that the experiment's numbers depend on (nmmfit/kept.py); templates are then kept on disk. None: they
            are made anew.
    Returns: templates whose `expected` agrees with the direct path.
    Raises: NotConvergedError if a shape needs an unreasonably large basis.
    """

    def made() -> Kept:
        monomials = merged_monomials(basis, relevant_coordinates(experiment, basis), experiment.is_massive)
        nominal = experiment.nominal_pulls()
        # An error of the counts, in norm, meets residuals of about one in every bin.
        tolerances = [tolerance / np.sqrt(len(c.observed)) for c in experiment.channels]
        # Thousands of small factorisations: threads of the linear algebra would wait for each other, for minutes on a machine
        # that does other things too.
        with threadpool_limits(1, user_api="blas"):
            plans = tuple(
                channel_plan(c, monomials.forms, nominal, tol) for c, tol in zip(experiment.channels, tolerances, strict=True)
            )
        forms: Any = {name: np.asarray(values) for name, values in monomials.forms.items()}
        hand_back()
        return MergedMonomials(monomials.weights, forms), plans

    key = None
    if fingerprint is not None:
        key = digest([fingerprint, repr(tolerance), basis.rows.tobytes(), basis.directions.tobytes()])
    monomials, plans = kept_or_made("templates", key, made)
    channels = tuple(ChannelTemplate(c, p) for c, p in zip(experiment.channels, plans, strict=True))
    return ExperimentTemplate(experiment, basis, monomials, channels)
