"""The coordinates in which posteriors are sampled: low-energy amplitudes in place of coefficients.

Rates depend on a few linear combinations of the coefficients; in the coefficients themselves the posterior is a thin curved
sheet. Unbounded coefficient parameters are replaced by y = M x', M square and invertible: the rows of the amplitudes at nominal
theory inputs (independent ones by pivoted QR), completed by directions that no rate depends on. x' differs from x by a shear of
the directly floated dipoles, L' = L + D^+ (d(theory) - d(nominal)) of the other coefficients, so that the dipole rows follow the
current c_T (of coefficients that M does not mix, bounded ones and those that models make, L' has all of d); its determinant is
one. Nuisances are shifted by their linear response to the signal, a quadratic form in the
amplitudes: a background that looks like a magnetic moment trades places with it along a parabola, which the shift straightens;
again the determinant is one. Amplitudes are stretched and nuisances bent where the posterior's width changes along them
(bends.py). Bounded parameters keep natural coordinates through a bijection, whose log-determinant is
added. Couplings of a model, of whose products with others the amplitudes are made, are scaled by what the other parameters of
the model leave them to say, so that neither a cross nor a funnel is left; a factor common to all of them, in which that leaves
a peak as narrow as the data are strong, is fanned out (bends.py). If the mass of N floats, the units of the amplitudes follow it:
an N that is too heavy to be made says nothing of its coupling. All else is shifted and scaled by its natural step.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg

from nmmfit.inference.bends import Knee, compressed, fanned, folded, stretched
from nmmfit.inference.data import Counts
from nmmfit.inference.joint import MASS, JointLikelihood
from nmmfit.inference.sensitivity import amplitude_sensitivity, nuisance_knees, signal_response
from nmmfit.inference.shear import dipole_shear, theory_at
from nmmfit.kept import digest, kept_or_made
from nmmfit.physics.amplitude_basis import independent_rows
from nmmfit.shapes import Array

# Masses of N at which units are made, evenly spaced and again in proportion, down to a part of the heaviest.
_MASSES = 24
_LIGHTEST = 1e-3


@dataclass(frozen=True)
class Coordinates:
    """A smooth bijection between the sampled vector z and the parameter vector x of a joint likelihood."""

    joint: JointLikelihood
    linear: np.ndarray
    """Indices of the coefficient parameters that M mixes."""
    matrix: np.ndarray
    """(linear, linear): scaled M, z_linear = matrix @ x'_linear."""
    shear: np.ndarray
    """(linear, amplitude): D^+ on the dipole rows; zero rows for all but directly floated dipoles."""
    nominal: np.ndarray
    """(amplitude, coefficient): amplitudes per coefficient at the nominal theory inputs."""
    bounded: tuple[tuple[int, Any], ...]
    """(index, bijection from the real line) of bounded parameters."""
    loc: np.ndarray
    scale: np.ndarray
    response: np.ndarray
    """(parameter, product): what products of amplitudes add to the nuisances, in their own units; zero for everything else."""
    knee: Knee
    """Bends of the nuisances, in natural steps; the identity for everything else."""
    stretch: np.ndarray
    """(linear,): amplitude beyond which a linear coordinate grows like its square, in units of its row; infinite for none."""
    n_amplitudes: int = 0
    """How many of the linear coordinates, the first, are amplitudes; the others are directions that no rate depends on."""
    couplings: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=int))
    """Indices of the parameters of a model that are scaled by what its other parameters leave them to say."""
    factors: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=int))
    """Indices of the parameters that multiply all `couplings` of their model."""
    sensitivity: np.ndarray = field(default_factory=lambda: np.zeros(0))
    """(amplitude,) unit of each amplitude in the scale of couplings and factors."""
    masses: np.ndarray = field(default_factory=lambda: np.zeros(0))
    """(mass,) masses of N in MeV at which the units of the amplitudes are known, if it floats."""
    log_sizes: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    """(mass, linear): log of the unit of each linear coordinate, in that of `matrix`."""

    def _slopes(self, vector: Array) -> Array:
        """(amplitude, coupling): slopes of the amplitudes, in units of `sensitivity`, at the vector's other parameters."""
        at = jnp.asarray(self.couplings)
        without = vector.at[at].set(0.0)

        def amplitudes(values: Array) -> Array:
            return (self.nominal @ self.joint.coefficients(without.at[at].set(values))) / self.sensitivity

        return jax.jacfwd(amplitudes)(jnp.zeros(len(self.couplings)))

    def _widths(self, vector: Array) -> Array:
        """Natural steps of `couplings`: the prior's, or what makes an amplitude of one unit at the vector's other parameters."""
        return (self.scale[self.couplings] ** -2.0 + jnp.sum(self._slopes(vector) ** 2, axis=0)) ** -0.5

    def _reach(self, vector: Array) -> Array:
        """(factor,): amplitude that a factor and its couplings make together, each at its prior's width, in units of
        `sensitivity`; depends on neither factors nor couplings."""
        at = jnp.asarray(self.factors)
        without = vector.at[at].set(0.0)
        curves = jax.jacfwd(lambda values: self._slopes(without.at[at].set(values)))(jnp.zeros(len(self.factors)))
        amplitudes = curves * self.scale[self.couplings][:, None] * self.scale[self.factors]
        return jnp.sqrt(jnp.sum(amplitudes**2, axis=(0, 1)))

    def _log_sizes(self, vector: Array) -> Array:
        """(linear,): log of the unit of each linear coordinate at the vector's mass of N, in that of `matrix`."""
        if not len(self.masses):
            return jnp.zeros(len(self.linear))
        mass = self.joint.mass_vector(vector)
        return jax.vmap(lambda sizes: jnp.interp(mass, jnp.asarray(self.masses), sizes), 1)(jnp.asarray(self.log_sizes))

    def _rows(self, vector: Array) -> Array:
        """(amplitude, coefficient): amplitudes per coefficient at the theory inputs of a vector."""
        return self.joint.linear_amplitudes(theory_at(self.joint, vector))

    def _offset(self, vector: Array, rows: Array) -> Array:
        """What the shear adds to the linear coefficients; depends on other parameters only.

        Of coefficients that M mixes it is what changes with the theory inputs, of all others (bounded, held or computed)
        everything. What the sheared dipoles themselves do is left out, so that the determinant is one.
        """
        mixed, others = np.zeros(self.nominal.shape[1]), np.ones(self.nominal.shape[1])
        mixed[self.linear] = 1.0
        others[self.linear[np.any(self.shear != 0.0, axis=1)]] = 0.0
        return jnp.asarray(self.shear) @ (((rows - self.nominal * mixed) * others) @ self.joint.coefficients(vector))

    def _shift(self, vector: Array, rows: Array) -> Array:
        """Linear response of the nuisances (parameter,) to the signal at a vector; depends on coefficients and theory inputs
        only."""
        products = self.joint.amplitudes.products(rows @ self.joint.coefficients(vector))
        shift = jnp.asarray(self.response) @ products
        if self.knee.is_identity:
            return shift
        # A background answers until it is used up, that is to where its bend ends.
        most = np.where(self.knee.ratio == 1.0, np.inf, (np.abs(self.knee.centre) + self.knee.width) * self.scale)
        return shift / jnp.sqrt(1.0 + (shift / most) ** 2)

    def to_parameters(self, z: Array) -> tuple[Array, Array]:
        """Parameter vector x (parameter,) of z (parameter,), and log |dx/dz|."""
        loc, scale = jnp.asarray(self.loc), jnp.asarray(self.scale)
        x = loc + scale * z
        log_det = jnp.asarray(float(np.sum(np.log(self.scale[self._plain]))))
        for i, bijection in self.bounded:
            value = bijection(z[i])
            x = x.at[i].set(value)
            log_det = log_det + bijection.log_abs_det_jacobian(z[i], value)
        if len(self.factors):
            factors, log_fan = fanned(z[self.factors], self._reach(x))
            x = x.at[self.factors].set(self.scale[self.factors] * factors)
            log_det = log_det + log_fan + float(np.sum(np.log(self.scale[self.factors])))
        if len(self.couplings):
            widths = self._widths(x)
            x = x.at[self.couplings].set(widths * z[self.couplings])
            log_det = log_det + jnp.sum(jnp.log(widths))
        if len(self.linear):
            amplitudes, log_stretch = stretched(z[self.linear], self.stretch)
            log_size = self._log_sizes(x)
            sheared = jnp.asarray(np.linalg.inv(self.matrix)) @ (jnp.exp(log_size) * amplitudes)
            x = x.at[self.linear].set(sheared)
            log_det = log_det + log_stretch + jnp.sum(log_size) - float(np.linalg.slogdet(self.matrix)[1])
        if np.any(self.shear) or np.any(self.response):
            # Theory inputs and models are in place, and nothing below moves them.
            rows = self._rows(x)
            if np.any(self.shear):
                # What is sheared takes no part in it, so that the shear may be taken from the sheared vector itself.
                x = x.at[self.linear].add(-self._offset(x, rows))
            if np.any(self.response):
                x = x + self._shift(x, rows)
        if not self.knee.is_identity:
            steps, log_bent = self.knee.forward((x - loc) / scale)
            x, log_det = loc + scale * steps, log_det + log_bent
        return x, log_det

    def from_parameters(self, x: Array) -> Array:
        """Sampled vector z of x, the inverse of `to_parameters`."""
        loc, scale = jnp.asarray(self.loc), jnp.asarray(self.scale)
        straight = x if self.knee.is_identity else loc + scale * self.knee.inverse((x - loc) / scale)
        if np.any(self.response):
            straight = straight - self._shift(x, self._rows(x))
        z = (straight - loc) / scale
        for i, bijection in self.bounded:
            z = z.at[i].set(bijection.inv(x[i]))
        if len(self.factors):
            z = z.at[self.factors].set(folded(x[self.factors] / self.scale[self.factors], self._reach(x)))
        if len(self.couplings):
            z = z.at[self.couplings].set(x[self.couplings] / self._widths(x))
        if len(self.linear):
            coefficients = x[self.linear]
            if np.any(self.shear):
                coefficients = coefficients + self._offset(x, self._rows(x))
            amplitudes = jnp.exp(-self._log_sizes(x)) * (jnp.asarray(self.matrix) @ coefficients)
            z = z.at[self.linear].set(compressed(amplitudes, self.stretch))
        return z

    def log_density(self, z: Array, data: Counts | None = None) -> Array:
        """Log posterior density of z, Jacobian included; of other data than those observed, if given."""
        x, log_det = self.to_parameters(z)
        return self.joint.log_prob_vector(x, data) + log_det

    @cached_property
    def fingerprint(self) -> str | None:
        """Digest of the coordinates and of their likelihood; None where that has none."""
        if self.joint.fingerprint is None:
            return None
        knee = self.knee.centre, self.knee.width, self.knee.ratio
        numbers = self.linear, self.matrix, self.shear, self.nominal, self.loc, self.scale, self.response, *knee, self.stretch
        arrays = [
            part
            for n in (*numbers, self.couplings, self.factors, self.sensitivity)
            for part in (f"{n.dtype} {n.shape}", n.tobytes())
        ]
        return digest([self.joint.fingerprint, str(self.n_amplitudes), *arrays])

    @property
    def _plain(self) -> np.ndarray:
        """Mask of the parameters that are only shifted and scaled."""
        plain = np.ones(len(self.loc), dtype=bool)
        plain[self.linear] = False
        plain[self.couplings] = False
        plain[self.factors] = False
        plain[[i for i, _ in self.bounded]] = False
        return plain


def natural_coordinates(joint: JointLikelihood) -> Coordinates:
    """Every parameter on its own: shifted and scaled, bounded ones through a bijection."""
    none = np.zeros(0, dtype=int)
    return _coordinates(joint, none, none, none)


def amplitude_coordinates(joint: JointLikelihood) -> Coordinates:
    """Low-energy amplitudes in place of the unbounded coefficient parameters."""
    mixable = [i for i, p in enumerate(joint.of_kind("coefficient")) if p.is_unbounded]
    couplings = _centred(joint, joint.derived.linear if joint.derived is not None else ())
    factors = _centred(joint, joint.derived.factors if joint.derived is not None and couplings else ())
    return _coordinates(joint, *(np.asarray(which, dtype=int) for which in (mixable, couplings, factors)))


def _centred(joint: JointLikelihood, names: tuple[str, ...]) -> list[int]:
    """Indices of the unbounded parameters of models among `names`; none if one of them starts away from zero."""
    found = [i for i, p in enumerate(joint.parameters) if p.kind == "model" and p.name in names and p.is_unbounded]
    return [] if any(joint.start[i] != 0.0 for i in found) else found


def _coordinates(joint: JointLikelihood, linear: np.ndarray, couplings: np.ndarray, factors: np.ndarray) -> Coordinates:
    bounded = tuple((i, p.bijection) for i, p in enumerate(joint.parameters) if not p.is_unbounded)
    scale = np.asarray([p.scale for p in joint.parameters])
    made = _natural(len(joint.names))
    if len(linear) or len(couplings):
        key = None if joint.fingerprint is None else digest([joint.fingerprint, repr(linear.tolist())])
        made = kept_or_made("coordinates", key, lambda: _mixing(joint, linear, bounded))
    return Coordinates(
        joint,
        linear,
        made.matrix,
        made.shear,
        made.nominal,
        bounded,
        joint.start,
        scale,
        made.response,
        made.knee,
        made.stretch,
        made.n_amplitudes,
        couplings,
        factors,
        amplitude_sensitivity(joint) if len(couplings) else np.zeros(0),
        made.masses,
        made.log_sizes,
    )


@dataclass(frozen=True)
class _Mixing:
    """What has to be computed of amplitude coordinates, as in `Coordinates`: plain numbers, which can be kept."""

    matrix: np.ndarray
    shear: np.ndarray
    nominal: np.ndarray
    response: np.ndarray
    knee: Knee
    stretch: np.ndarray
    n_amplitudes: int
    masses: np.ndarray
    log_sizes: np.ndarray


def _natural(n: int) -> _Mixing:
    """Nothing mixed, shifted or bent, for n parameters."""
    return _Mixing(
        np.eye(0),
        np.zeros((0, 0)),
        np.zeros((0, 0)),
        np.zeros((n, 0)),
        Knee.none(n),
        np.zeros(0),
        0,
        np.zeros(0),
        np.zeros((0, 0)),
    )


def _mixing(joint: JointLikelihood, linear: np.ndarray, bounded: tuple[tuple[int, Any], ...]) -> _Mixing:
    """Amplitudes in place of the coefficient parameters `linear`."""
    nominal = np.asarray(joint.linear_amplitudes(theory_at(joint, jnp.asarray(joint.start))))
    matrix, rows = _completed(joint, nominal[:, linear], linear)
    shear = dipole_shear(joint, nominal, linear)
    response, units, reach = signal_response(joint, bounded)
    knee = nuisance_knees(joint, bounded, reach)
    stretch = np.full(len(linear), np.inf)
    # Mixtures of several contact amplitudes extend far along directions that no rate depends on: they stay straight.
    for k, (amplitude, unit) in enumerate(rows):
        if joint.amplitudes.is_dipole[amplitude] and amplitude not in joint.amplitudes.linear:
            stretch[k] = units[amplitude] / unit
    masses, log_sizes = _sizes(joint, rows, nominal, linear)
    if len(masses):
        # The shape of a signal changes with the mass, and so does the answer to it.
        response = np.zeros_like(response)
    return _Mixing(matrix, shear, nominal, response, knee, stretch, len(rows), masses, log_sizes)


def _sizes(
    joint: JointLikelihood, rows: list[tuple[int, float]], nominal: np.ndarray, linear: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Masses of N (mass,) in MeV, and log of the unit of each linear coordinate there (mass, linear), in that of `rows`.

    A unit is what the data can tell at that mass, or the prior where it is narrower, both together in between.
    """
    ends = [e.largest_m_n_mev for e in joint.experiments if e.largest_m_n_mev is not None]
    if not joint.floats_mass or not rows or not ends:
        return np.zeros(0), np.zeros((0, len(linear)))
    at = joint.names.index(MASS)
    # Above every threshold all masses are alike.
    low, high = (float(end) for end in np.clip(joint.parameters[at].range, 0.0, 1.05 * max(ends)))
    masses = np.union1d(np.linspace(low, high, _MASSES), np.geomspace(max(low, _LIGHTEST * high), high, _MASSES))
    points = np.tile(joint.start, (len(masses), 1))
    points[:, at] = masses
    picked, unit = np.asarray([a for a, _ in rows]), np.asarray([u for _, u in rows])
    told = amplitude_sensitivity(joint, points)[:, picked]
    widths = np.asarray([joint.parameters[i].scale for i in linear])
    prior = np.sqrt(((nominal[np.ix_(picked, linear)] * widths) ** 2).sum(axis=1))
    sizes = np.zeros((len(masses), len(linear)))
    sizes[:, : len(rows)] = np.log((told**-2.0 + prior**-2.0) ** -0.5 / unit)
    return masses, sizes


def _completed(joint: JointLikelihood, rows: np.ndarray, linear: np.ndarray) -> tuple[np.ndarray, list[tuple[int, float]]]:
    """Square matrix: independent amplitude rows in units of their sensitivity, then directions that no rate depends on.

    Returns: the matrix, and of its first rows which amplitude each is, and in what unit.
    """
    prior = np.asarray([joint.parameters[i].scale for i in linear])
    picked = independent_rows(rows * prior)
    chosen = rows[picked]
    by_prior = np.sqrt(((chosen * prior) ** 2).sum(axis=1))
    unit = np.minimum(amplitude_sensitivity(joint)[picked], by_prior)
    chosen = chosen / unit[:, None]
    named = [(int(amplitude), float(size)) for amplitude, size in zip(picked, unit, strict=True)]
    if len(picked) == len(linear):
        return chosen, named
    # The rest of the space, orthogonal to the rows in the metric of the priors: these directions keep their prior.
    _, _, vt = scipy.linalg.svd(chosen * prior)
    return np.concatenate([chosen, vt[len(picked) :] / prior]), named
