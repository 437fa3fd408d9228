"""The coordinates in which posteriors are sampled: low-energy amplitudes in place of coefficients.

Rates depend on a few linear combinations of the coefficients; in the coefficients themselves the posterior is a thin curved
sheet. Unbounded coefficient parameters are replaced by y = M x', M square and invertible: the rows of the amplitudes at nominal
theory inputs (independent ones by pivoted QR), completed by directions that no rate depends on. x' differs from x by a shear of
the directly floated dipoles, L' = L + D^+ (d(theory) - d(nominal)) of the other coefficients, so that the dipole rows follow the
current c_T; its determinant is one. Nuisances are shifted by their linear response to the signal, a quadratic form in the
amplitudes: a background that looks like a magnetic moment trades places with it along a parabola, which the shift straightens;
again the determinant is one. Bounded parameters keep natural coordinates through a bijection, whose log-determinant is
added. All else is shifted and scaled by its natural step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from numpyro.distributions import biject_to

from nmmfit.inference.joint import JointLikelihood
from nmmfit.physics.amplitude_basis import independent_rows
from nmmfit.shapes import Array


@dataclass(frozen=True)
class Coordinates:
    """A smooth bijection between the sampled vector z and the parameter vector x of a joint likelihood."""

    joint: JointLikelihood
    linear: np.ndarray
    """Indices of the coefficient parameters that M mixes."""
    matrix: np.ndarray
    """(linear, linear): scaled M, z_linear = matrix @ x'_linear."""
    shear: np.ndarray
    """(linear, amplitude): D^+ on the dipole rows; zero where no dipole is floated directly."""
    bounded: tuple[tuple[int, Any], ...]
    """(index, bijection from the real line) of bounded parameters."""
    loc: np.ndarray
    scale: np.ndarray
    response: np.ndarray
    """(parameter, pair): what products of amplitudes add to the nuisances, in their own units; zero for everything else."""
    n_amplitudes: int = 0
    """How many of the linear coordinates, the first, are amplitudes; the others are directions that no rate depends on."""

    def _offset(self, vector: Array) -> Array:
        """What the shear adds to the linear coefficients; depends on other coefficients and theory inputs only."""
        if not np.any(self.shear):
            return jnp.zeros(len(self.linear))
        nominal = _theory(self.joint, jnp.asarray(self.joint.start))
        change = self.joint.linear_amplitudes(_theory(self.joint, vector)) - self.joint.linear_amplitudes(nominal)
        return jnp.asarray(self.shear) @ (change @ self.joint.split(vector)[0])

    def _shift(self, vector: Array) -> Array:
        """Linear response of the nuisances (parameter,) to the signal at a vector; depends on coefficients and theory inputs
        only."""
        if not np.any(self.response):
            return jnp.zeros_like(vector)
        coefficients, theory, _ = self.joint.split(vector)
        return jnp.asarray(self.response) @ self.joint.amplitudes.products(self.joint.linear_amplitudes(theory) @ coefficients)

    def to_parameters(self, z: Array) -> tuple[Array, Array]:
        """Parameter vector x (parameter,) of z (parameter,), and log |dx/dz|."""
        x = jnp.asarray(self.loc) + jnp.asarray(self.scale) * z
        log_det = jnp.asarray(float(np.sum(np.log(self.scale[self._plain]))))
        for i, bijection in self.bounded:
            value = bijection(z[i])
            x = x.at[i].set(value)
            log_det = log_det + bijection.log_abs_det_jacobian(z[i], value)
        if len(self.linear):
            sheared = jnp.asarray(np.linalg.inv(self.matrix)) @ z[jnp.asarray(self.linear)]
            x = x.at[jnp.asarray(self.linear)].set(sheared)
            # Dipole columns of the change vanish, so the shear may be taken from the sheared vector itself.
            x = x.at[jnp.asarray(self.linear)].add(-self._offset(x))
            log_det = log_det - float(np.linalg.slogdet(self.matrix)[1])
        return x + self._shift(x), log_det

    def from_parameters(self, x: Array) -> Array:
        """Sampled vector z of x, the inverse of `to_parameters`."""
        z = (x - self._shift(x) - jnp.asarray(self.loc)) / jnp.asarray(self.scale)
        for i, bijection in self.bounded:
            z = z.at[i].set(bijection.inv(x[i]))
        if len(self.linear):
            index = jnp.asarray(self.linear)
            z = z.at[index].set(jnp.asarray(self.matrix) @ (x[index] + self._offset(x)))
        return z

    def log_density(self, z: Array) -> Array:
        """Log posterior density of z, Jacobian included."""
        x, log_det = self.to_parameters(z)
        return self.joint.log_prob_vector(x) + log_det

    @property
    def _plain(self) -> np.ndarray:
        """Mask of the parameters that are only shifted and scaled."""
        plain = np.ones(len(self.loc), dtype=bool)
        plain[self.linear] = False
        plain[[i for i, _ in self.bounded]] = False
        return plain


def _theory(joint: JointLikelihood, vector: Array) -> dict[str, Array]:
    return joint.split(vector)[1]


def natural_coordinates(joint: JointLikelihood) -> Coordinates:
    """Every parameter on its own: shifted and scaled, bounded ones through a bijection."""
    return _coordinates(joint, np.zeros(0, dtype=int))


def amplitude_coordinates(joint: JointLikelihood) -> Coordinates:
    """Low-energy amplitudes in place of the unbounded coefficient parameters."""
    mixable = [i for i, p in enumerate(joint.of_kind("coefficient")) if p.is_unbounded]
    return _coordinates(joint, np.asarray(mixable, dtype=int))


def _coordinates(joint: JointLikelihood, linear: np.ndarray) -> Coordinates:
    bounded = tuple((i, biject_to(p.prior.support)) for i, p in enumerate(joint.parameters) if not p.is_unbounded)
    scale = np.asarray([p.scale for p in joint.parameters])
    matrix, shear, n_amplitudes = np.eye(len(linear)), np.zeros((len(linear), 0)), 0
    if len(linear):
        nominal = np.asarray(joint.linear_amplitudes(_theory(joint, jnp.asarray(joint.start))))
        matrix, n_amplitudes = _completed(joint, nominal[:, linear], linear)
        shear = _shear(joint, nominal, linear)
    response = signal_response(joint, bounded) if len(linear) else np.zeros((len(joint.names), 0))
    return Coordinates(joint, linear, matrix, shear, bounded, joint.start, scale, response, n_amplitudes)


def _completed(joint: JointLikelihood, rows: np.ndarray, linear: np.ndarray) -> tuple[np.ndarray, int]:
    """Square matrix: independent amplitude rows in units of their sensitivity, then directions that no rate depends on.

    Returns: the matrix and the number of amplitude rows.
    """
    prior = np.asarray([joint.parameters[i].scale for i in linear])
    picked = independent_rows(rows * prior)
    chosen = rows[picked]
    by_prior = np.sqrt(((chosen * prior) ** 2).sum(axis=1))
    unit = np.minimum(amplitude_sensitivity(joint)[picked], by_prior)
    chosen = chosen / unit[:, None]
    if len(picked) == len(linear):
        return chosen, len(picked)
    # The rest of the space, orthogonal to the rows in the metric of the priors: these directions keep their prior.
    _, _, vt = scipy.linalg.svd(chosen * prior)
    return np.concatenate([chosen, vt[len(picked) :] / prior]), len(picked)


def _shear(joint: JointLikelihood, nominal: np.ndarray, linear: np.ndarray) -> np.ndarray:
    """D^+ of the dipole rows on parameters that move nothing but dipoles."""
    is_dipole = joint.amplitudes.is_dipole
    pure = ~np.any(np.abs(nominal[~is_dipole]) > 0.0, axis=0)[linear] & np.any(np.abs(nominal[is_dipole]) > 0.0, axis=0)[linear]
    shear = np.zeros((len(linear), nominal.shape[0]))
    if np.any(pure) and np.any(is_dipole):
        block = nominal[np.ix_(is_dipole, linear[pure])]
        shear[np.ix_(np.flatnonzero(pure), np.flatnonzero(is_dipole))] = np.linalg.pinv(block)
    return shear


def signal_response(joint: JointLikelihood, bounded: tuple[tuple[int, Any], ...]) -> np.ndarray:
    """(parameter, pair): change of the unbounded nuisances that best absorbs a unit of each product of amplitudes.

    -(J^T W J + P)^-1 J^T W s with J the slopes of the expected counts, W their inverse variances, P the prior information and
    s the counts that the product makes, all at the nominal point.
    """
    n_pairs = len(joint.amplitudes.pairs)
    result = np.zeros((len(joint.names), n_pairs))
    held = {i for i, _ in bounded}
    moving = [i for i, p in enumerate(joint.parameters) if p.kind == "nuisance" and i not in held]
    if not moving or not n_pairs or not joint.experiments:
        return result
    start = jnp.asarray(joint.start)
    index = jnp.asarray(moving)

    def counts(values: Array, products: Array) -> Array:
        return joint.counts_of_products(start.at[index].set(values), products)

    def at(values: Array) -> tuple[Array, Array, Array, Array]:
        zero, constraint = jnp.zeros(n_pairs), lambda v: joint.constraint_vector(start.at[index].set(v))
        slopes = jax.jacfwd(counts, argnums=(0, 1))(values, zero)
        return counts(values, zero), *slopes, -jax.hessian(constraint)(values)

    mean, slopes, signal, prior = (np.asarray(part) for part in jax.jit(at)(start[index]))
    weighted = slopes / np.maximum(np.abs(mean), 1e-12)[:, None]
    information = slopes.T @ weighted + prior
    values, vectors = np.linalg.eigh(information)
    result[moving] = -(vectors / np.maximum(values, 1e-3)) @ (vectors.T @ (weighted.T @ signal))
    return result


def amplitude_sensitivity(joint: JointLikelihood) -> np.ndarray:
    """(amplitude,) size of each amplitude that alone changes the counts by one standard deviation, at nominal nuisances."""
    n = joint.amplitudes.size
    start = jnp.asarray(joint.start)

    def counts(a: Array) -> Array:
        return joint.counts_of_products(start, joint.amplitudes.products(a))

    values = np.asarray(jax.jit(jax.vmap(counts))(jnp.concatenate([jnp.zeros((1, n)), jnp.eye(n)])))
    background = np.maximum(np.abs(values[0]), 1e-12)
    size = np.sqrt(np.sum((values[1:] - values[0]) ** 2 / background, axis=1))
    return np.where(size > 0, np.where(size > 0, size, 1.0) ** -0.5, 1.0)
