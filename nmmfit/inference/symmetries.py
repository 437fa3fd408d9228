"""Sign symmetries of the posterior: exact, derived from likelihood and prior.

Rates are sums over final states r of products of two couplings that lead to the same r. Reversing the sign of every coupling
that leads to a set of final states changes no rate, so each set of coefficient parameters that shares no final state with the
others can be reversed as a whole: (L, T) -> (-L, -T). Final states that the Standard Model leads to as well, those of vector
couplings, fix the sign of everything that shares them. The posterior has the symmetry if every prior of the set is even, which
an off-centre prior is not. Parameters of a model have such symmetries too: sets of them whose common sign multiplies, for each
final state, all that the model makes by one sign, together with the coefficients that lead to the same states; again not where
the Standard Model leads to the state. Chains are diagnosed on folded draws (absolute values, which the symmetry leaves alone) and
symmetrised afterwards: a draw multiplied by a random sign is independent of its neighbours, so that r_hat and ESS computed
after it would prove nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit.inference.joint import JointLikelihood
from nmmfit.physics.amplitude_basis import SM_FINAL_STATES

_POINTS = 3
"""Random points in which the signs of a model are looked at."""


@dataclass(frozen=True)
class SignSymmetry:
    """A set of coefficient parameters (indices into the vector) whose common sign is not fixed."""

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
    found = [s for s in even_sets(joint) if all(joint.parameters[i].is_symmetric for i in s.indices)]
    return (*found, *_of_models(joint))


def even_sets(joint: JointLikelihood) -> tuple[SignSymmetry, ...]:
    """Sets of coefficient parameters in which every rate is even, whatever their priors."""
    found = []
    n = joint.n_coefficients
    for members in decoupled_sets(joint.coupling_map.finals):
        if any(i >= n for i in members):
            # A coefficient held at a value other than zero fixes the sign.
            continue
        if any(joint.coupling_map.finals[i] & SM_FINAL_STATES for i in members):
            continue
        found.append(SignSymmetry(tuple(members), tuple(joint.names[i] for i in members)))
    return tuple(found)


def _of_models(joint: JointLikelihood) -> tuple[SignSymmetry, ...]:
    """Sign symmetries that reverse parameters of a model."""
    if joint.derived is None:
        return ()
    found: list[SignSymmetry] = []
    places = {p.name: i for i, p in enumerate(joint.parameters) if p.kind == "model"}
    n, finals = joint.n_coefficients, joint.coupling_map.finals
    first = len(finals) - joint.derived.size
    made: frozenset[int] = frozenset().union(*finals[first:])
    for names in joint.derived.signs:
        flipped = [places[name] for name in names if name in places]
        states = _reversed_states(joint, flipped, finals[first:]) if flipped else None
        if states is None:
            continue
        # Coefficients that interfere with what is reversed are reversed too, and so on with what these lead to.
        kept, moved = made - states, set[int]()
        while more := {i for i in range(first) if finals[i] & states} - moved:
            moved |= more
            states = states.union(*(finals[i] for i in more))
        members = sorted({*moved, *flipped})
        if states & (kept | SM_FINAL_STATES) or any(i >= n for i in moved):
            continue
        if all(joint.parameters[i].is_symmetric for i in members) and not _is_made_of(members, [s.indices for s in found]):
            found.append(SignSymmetry(tuple(members), tuple(joint.names[i] for i in members)))
    return tuple(found)


def _is_made_of(members: list[int], others: list[tuple[int, ...]]) -> bool:
    """Whether a set is the disjoint union of others, whose signs then are all there is."""
    inside = [i for other in others if set(other) <= set(members) for i in other]
    return sorted(inside) == sorted(members)


def _reversed_states(joint: JointLikelihood, flipped: list[int], finals: tuple[frozenset[int], ...]) -> frozenset[int] | None:
    """Final states in which all that the model makes changes its sign with these parameters; None if only a part of it does.

    Looked at in random points, where functions that differ do so for certain.
    """
    first = joint.n_coefficients + len(joint.fixed_coefficients)
    keys = iter(jax.random.split(jax.random.PRNGKey(0), _POINTS * len(joint.parameters)))
    signs: dict[int, set[float]] = {}
    for _ in range(_POINTS):
        x = np.array(joint.start)
        for i, p in enumerate(joint.parameters):
            if p.kind == "model":
                x[i] = float(p.prior.sample(next(keys)))
        y = x.copy()
        y[flipped] *= -1.0
        before, after = (np.asarray(joint.coefficients(jnp.asarray(v)))[first:] for v in (x, y))
        for a, b, states in zip(before, after, finals, strict=True):
            if a == 0.0 and b == 0.0:
                continue
            sign = next((s for s in (1.0, -1.0) if abs(b - s * a) <= 1e-9 * abs(a)), 0.0)
            for state in states:
                signs.setdefault(state, set()).add(sign)
    if any(len(s) > 1 or 0.0 in s for s in signs.values()):
        return None
    return frozenset(state for state, s in signs.items() if s == {-1.0})


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
