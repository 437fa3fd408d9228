"""Sign symmetries of the posterior: exact, derived from likelihood and prior.

Rates are sums over final states r of products of two couplings that lead to the same r. Reversing the sign of every coupling
that leads to a set of final states changes no rate, so each set of coefficient parameters that shares no final state with the
others can be reversed as a whole: (L, T) -> (-L, -T). Final states that the Standard Model leads to as well, those of vector
couplings, fix the sign of everything that shares them. The posterior has the symmetry if every prior of the set is even, which
an off-centre prior is not. Chains are diagnosed on folded draws (absolute values, which the symmetry leaves alone) and
symmetrised afterwards: a draw multiplied by a random sign is independent of its neighbours, so that r_hat and ESS computed
after it would prove nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nmmfit.inference.joint import JointLikelihood
from nmmfit.physics.amplitude_basis import SM_FINAL_STATES


@dataclass(frozen=True)
class SignSymmetry:
    """A set of coefficient parameters (indices into the vector) whose common sign the posterior does not fix."""

    indices: tuple[int, ...]
    names: tuple[str, ...]

    def __str__(self) -> str:
        return "(" + ", ".join(self.names) + ") -> -(" + ", ".join(self.names) + ")"


def decoupled_sets(finals: tuple[frozenset[int], ...]) -> list[list[int]]:
    """Groups of parameters connected by common final states, each sorted; parameters without final states are left out."""
    groups: list[tuple[set[int], list[int]]] = []
    for index, states in enumerate(finals):
        if not states:
            continue
        joined: tuple[set[int], list[int]] = (set(states), [index])
        kept = []
        for group in groups:
            if group[0] & joined[0]:
                joined = (joined[0] | group[0], group[1] + joined[1])
            else:
                kept.append(group)
        groups = [*kept, joined]
    return sorted(sorted(members) for _, members in groups)


def sign_symmetries(joint: JointLikelihood) -> tuple[SignSymmetry, ...]:
    """Every sign symmetry of the posterior of `joint`."""
    found = []
    n = joint.n_coefficients
    for members in decoupled_sets(joint.coupling_map.finals):
        if any(i >= n for i in members):
            # A coefficient held at a value other than zero fixes the sign.
            continue
        if any(joint.coupling_map.finals[i] & SM_FINAL_STATES for i in members):
            continue
        parameters = [joint.parameters[i] for i in members]
        if all(p.is_symmetric for p in parameters):
            found.append(SignSymmetry(tuple(members), tuple(p.name for p in parameters)))
    return tuple(found)


def folded(draws: np.ndarray, symmetries: tuple[SignSymmetry, ...]) -> np.ndarray:
    """Draws (..., parameter) in a representation that the symmetries leave alone: absolute values of what they reverse."""
    result = np.array(draws)
    for symmetry in symmetries:
        result[..., list(symmetry.indices)] = np.abs(result[..., list(symmetry.indices)])
    return result


def symmetrised(draws: np.ndarray, symmetries: tuple[SignSymmetry, ...], seed: int) -> np.ndarray:
    """Draws (..., parameter) with every symmetry's sign chosen at random, which leaves the posterior as it is."""
    result = np.array(draws)
    random = np.random.default_rng(seed)
    for symmetry in symmetries:
        sign = random.choice([-1.0, 1.0], size=draws.shape[:-1])
        result[..., list(symmetry.indices)] *= sign[..., None]
    return result
