"""A shear that straightens the valleys in which a dipole and tensors cancel.

What a direct dipole L and tensors T make together is d = L + S(theory) T, with S proportional to c_T. Where the data hold d and
little else, the valley d = constant is straight in L and T, but bent as soon as c_T floats: with tensors of a thousand times what
a dipole could be, a change of c_T by a hundredth of its uncertainty leaves the valley. In L' = L + (S(theory) - S(reference)) T
it is straight whatever c_T is; all else stays as it is, and the determinant is one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.sensitivity import amplitude_sensitivity
from nmmfit.shapes import Array

# What else a dipole may do, or how its own part may change with a theory input, as a fraction of what it does as a dipole.
_TRACE = 0.01


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Shear:
    """A shear: `back` (coefficient, amplitude), which dipole coefficients make up for a change of amplitudes, zero for none, and
    `rows` (amplitude, coefficient), amplitudes of a unit of each coefficient at the reference theory inputs; all coefficients,
    of which the free ones come first."""

    back: Any
    rows: Any

    def offset(self, joint: JointLikelihood, x: Array) -> Array:
        """L' - L of the free coefficients, at parameters x (parameter,); the same at the sheared ones, as no sheared coefficient
        takes part."""
        change = joint.linear_amplitudes(theory_at(joint, x)) - self.rows
        sheared = jnp.any(self.back != 0.0, axis=1)
        others = jnp.where(jnp.pad(sheared, (0, change.shape[1] - len(sheared))), 0.0, joint.coefficients(x))
        return jnp.asarray(self.back @ (change @ others))


def theory_at(joint: JointLikelihood, vector: Array) -> dict[str, Array]:
    """Theory inputs of a vector (parameter,)."""
    return joint.split(vector)[1]


def dipole_shear(joint: JointLikelihood, nominal: np.ndarray, linear: np.ndarray) -> np.ndarray:
    """D^+ of the dipole rows on parameters of which nothing but dipoles is seen, whatever the theory inputs.

    Above m_W a dipole makes traces of other operators, and they dipoles that depend on c_T.
    """
    is_dipole, sensitivity = joint.amplitudes.is_dipole, amplitude_sensitivity(joint)[:, None]
    start = jnp.asarray(joint.start)
    moved = [start.at[i].add(p.scale) for i, p in enumerate(joint.parameters) if p.kind == "theory"]
    changes = [np.asarray(joint.linear_amplitudes(theory_at(joint, x))) - nominal for x in moved]

    def size(rows: np.ndarray) -> np.ndarray:
        return np.sqrt(np.sum(rows[:, linear] ** 2, axis=0))

    dipoles, rest = (size((nominal / sensitivity)[which]) for which in (is_dipole, ~is_dipole))
    others = np.max([rest, *(size((change / sensitivity)[is_dipole]) for change in changes)], axis=0)
    pure = (dipoles > 0.0) & (others < _TRACE * dipoles)
    shear = np.zeros((len(linear), nominal.shape[0]))
    if np.any(pure):
        # Of several dipoles those move most that their priors let move most.
        prior = np.asarray([joint.parameters[i].scale for i in linear[pure]])
        block = nominal[np.ix_(is_dipole, linear[pure])]
        shear[np.ix_(np.flatnonzero(pure), np.flatnonzero(is_dipole))] = prior[:, None] * np.linalg.pinv(block * prior)
    return shear
