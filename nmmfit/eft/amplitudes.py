"""The whole linear map: Wilson coefficients at a scale to the couplings at 2 GeV that enter cross sections.

Running, matching and the passage to zero momentum transfer are linear in the coefficients and, at fixed running, linear in
c_T. `linear_map` returns the three pieces, from which `QuarkCouplings` are sums of products.

Three conventions are settled here.

- Lepton-number violating operators nubar^c_p Gamma nu_r have the Hermitian conjugate nubar_r Gamma nu^c_p. With N replaced by
  nu^c this is the lepton-number conserving operator with the matrix L^dagger, and the two identical fields give a factor 2:
  the coupling is A = 2 L^dagger, so that an incoming neutrino has the amplitude sum_p c_p conj(A[p, r]) in both cases (as
  `physics.forms` reads it). The map is therefore linear in conj(L) for these operators and in L for the others; for real
  coefficients it is simply linear.
- Hermitian vector operators have their own matrix, A = L: an entry and its conjugate across the diagonal. The map is linear in
  L and conj(L) together, which `LinearMap.mirror` carries. Vector operators nubar^c gamma N annihilate the neutrino themselves,
  A = conj(L), with N's conjugate as the final state and no factor 2, the two fields being different.
- L_gamma / e does not run, so that the dipole at zero momentum transfer is L_gamma(2 GeV) e(0) / e(2 GeV), after matching.
  `QuarkCouplings.dipole` is that one: cross sections use it with e(0), and a moment is 2 |dipole| / mu_B with e(0) in mu_B.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit.eft import smneft_operators
from nmmfit.eft.chiral import LIGHT_QUARKS, ChiralInputs, dipole_per_tensor
from nmmfit.eft.couplings import QuarkCouplings
from nmmfit.eft.loops import loop_dipole
from nmmfit.eft.operators import Coefficient, check_real, validate_all
from nmmfit.eft.penguin import penguin_total
from nmmfit.eft.qcd import REFERENCE_SCALE_GEV
from nmmfit.eft.running import Evolution, check_scale, diagonal_factor, evolution
from nmmfit.eft.seed import check_seed, seed_evolution
from nmmfit.eft.smneft import smneft_weights
from nmmfit.eft.smneft_inputs import ElectroweakInputs
from nmmfit.eft.smneft_operators import theory_of
from nmmfit.eft.theories import CHARGE, FERMION_TYPE, inverse_alpha
from nmmfit.errors import UserInputError, unknown
from nmmfit.inputs import StandardModelInputs, check
from nmmfit.shapes import Array

METHODS = ("exact", "seed")
_VECTOR_FERMIONS = {"vector_u": "u", "vector_d": "d", "vector_s": "s", "electron_left": "e", "electron_right": "e"}
_PHOTON = {"dipole": "dipole", "millicharge": "charge"}
_COUPLINGS = tuple(f.name for f in fields(QuarkCouplings))


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class LinearMap:
    """Couplings per unit of each coefficient: sum_i x_i (constant_i + c_T c_t_i + c_T_s c_t_s_i) + conj(x_i) mirror_i, with
    x_i = L_i or conj(L_i).

    Each of them has the fields of `QuarkCouplings` with a leading axis `operator`, in the order of `names`.
    """

    constant: QuarkCouplings
    c_t: QuarkCouplings
    c_t_s: QuarkCouplings
    names: tuple[str, ...] = field(metadata={"static": True})
    conjugated: tuple[bool, ...] = field(metadata={"static": True})
    """Which coefficients enter as complex conjugates: those that violate lepton number."""
    mirror: QuarkCouplings | None = None
    """What multiplies conj(x_i): the entries across the diagonal of Hermitian matrices; None where there are none."""

    def rows(self, chiral: ChiralInputs) -> QuarkCouplings:
        """Couplings per real unit of each coefficient at given c_T, with a leading axis `operator`."""
        rows = self._linear(chiral)
        return rows if self.mirror is None else jax.tree.map(jnp.add, rows, self.mirror)

    def _linear(self, chiral: ChiralInputs) -> QuarkCouplings:
        return jax.tree.map(
            lambda a, b, c: a + chiral.c_T * b + chiral.c_T_s * c,
            self.constant,
            self.c_t,
            self.c_t_s,
        )

    def couplings(self, values: Array, chiral: ChiralInputs) -> QuarkCouplings:
        """Couplings for coefficient values (complex, shape (operator,)), GeV^-1 or GeV^-2."""
        x = jnp.asarray(values, dtype=complex)
        x = jnp.where(jnp.asarray(self.conjugated, dtype=bool), jnp.conj(x), x)
        found = jax.tree.map(lambda rows: jnp.tensordot(x, rows, axes=1), self._linear(chiral))
        if self.mirror is None:
            return found
        return jax.tree.map(lambda a, rows: a + jnp.tensordot(jnp.conj(x), rows, axes=1), found, self.mirror)

    def for_parameters(self, names: Sequence[str], weights: np.ndarray | Array) -> LinearMap:
        """The map from real parameters theta, where coefficient i is sum_k theta_k weights[k, i].

        Args:
            names: parameter names, in the order of the rows of `weights`.
            weights: complex, shape (parameter, operator).
        Returns: a map with an axis of parameters in place of the operators; nothing is conjugated any more.
        """
        w = jnp.asarray(weights, dtype=complex)
        w = jnp.where(jnp.asarray(self.conjugated, dtype=bool), jnp.conj(w), w)
        pieces = (jax.tree.map(lambda rows: jnp.tensordot(w, rows, axes=1), x) for x in (self.constant, self.c_t, self.c_t_s))
        constant, c_t, c_t_s = pieces
        if self.mirror is not None:
            across = jax.tree.map(lambda rows: jnp.tensordot(jnp.conj(w), rows, axes=1), self.mirror)
            constant = jax.tree.map(jnp.add, constant, across)
        return LinearMap(constant, c_t, c_t_s, tuple(names), (False,) * len(names))


def _placement(c: Coefficient) -> np.ndarray:
    """Entries of a (3, 6) coupling matrix that a coefficient occupies; zero if it has no left-handed neutrino in it."""
    out = np.zeros((3, 6))
    p, r = (k - 1 for k in c.neutrinos)
    if c.operator.lorentz in ("vector", "charge_radius", "millicharge"):
        if c.operator.sector == "nuN":
            out[p, 3 + r] = 1.0
        elif c.operator.sector == "nu":
            # the other half of a diagonal entry, and the entry across, are the mirror's
            here = (r, p) if c.conjugated else (p, r)
            out[here] = 0.5 if p == r else 1.0
    elif c.operator.sector == "nuN":
        out[p, r] = 1.0
    elif c.operator.sector == "nu":
        # A = 2 L^dagger: L_pr goes to A[r, p], and L_rp = symmetry L_pr to A[p, r].
        out[p, 3 + r] = 2.0 * c.operator.symmetry
        out[r, 3 + p] = 2.0
    return c.sign * out


def _target(c: Coefficient) -> str | None:
    """Field of `QuarkCouplings` that a coefficient enters directly; None if it enters none."""
    op = c.operator
    if op.lorentz in _PHOTON:
        return _PHOTON[op.lorentz]
    if op.lorentz == "vector" and c.fermion == "e":
        return "electron_left" if op.on_left else "electron_right"
    if c.fermion == "e" and op.fermion == "e":
        if op.lorentz == "tensor":
            return "electron_tensor"
        return "electron_s1" if op.name[-2:] in ("RR", "LL") else "electron_s2"
    return f"{op.lorentz}_{c.fermion}" if c.fermion in LIGHT_QUARKS else None


def check_coefficients(
    names: Iterable[str], scale_gev: float | Array, inputs: StandardModelInputs, method: str = "exact"
) -> tuple[Coefficient, ...]:
    """Check at the door that a method can run these coefficients from a scale; what is being traced is not looked at.

    Raises: UserInputError for a wrong name, scale, method or input, a b quark below m_b, or c, b and leptons by method "seed".
    """
    coefficients = validate_all(names)
    if method not in METHODS:
        raise unknown("method", method, METHODS)
    check(inputs)
    check_scale(scale_gev, inputs, "scale_from")
    if method == "seed":
        check_seed(coefficients)
    if not (isinstance(scale_gev, jax.core.Tracer) or isinstance(inputs.m_b_gev, jax.core.Tracer)):
        for c in coefficients:
            if c.involves_bottom and float(scale_gev) < float(inputs.m_b_gev):
                raise UserInputError(
                    f"coefficient {c.name!r} does not exist at {float(scale_gev):g} GeV: the b quark is integrated out below "
                    f"m_b(m_b) = {float(inputs.m_b_gev):g} GeV"
                )
    return coefficients


def method_evolution(method: str, scale_from: float | Array, scale_to: float | Array, inputs: StandardModelInputs) -> Evolution:
    """Evolution between two scales by the method named, "exact" or "seed"."""
    return (seed_evolution if method == "seed" else evolution)(scale_from, scale_to, inputs)


def matching_at_2_gev(inputs: StandardModelInputs, method: str) -> tuple[dict[str, Array], dict[str, Array]]:
    """What tensors at 2 GeV add to L_gamma(2 GeV), GeV: by light quark per unit of c_T L^T, and by heavier fermion per L^T.

    Method "seed" has no loops below 2 GeV.
    """
    e_2 = jnp.sqrt(4.0 * jnp.pi / inverse_alpha(REFERENCE_SCALE_GEV, inputs))
    chiral = {q: jnp.asarray(dipole_per_tensor(q, e_2, inputs)) for q in LIGHT_QUARKS}
    return chiral, loop_dipole(inputs) if method == "exact" else {}


def linear_map(
    names: Sequence[str],
    scale_gev: float | Array,
    inputs: StandardModelInputs,
    method: str = "exact",
    electroweak: ElectroweakInputs | None = None,
) -> LinearMap:
    """The map from coefficients at a scale to couplings at 2 GeV.

    Args:
        names: coefficient names; any representative of a symmetry class, each once.
        scale_gev: where the coefficients live, in [2 GeV, m_W], or from m_W to 1e10 GeV for names of the theory above m_W (method
            "exact"); differentiable.
        inputs: Standard Model inputs; differentiable.
        method: "exact" or "seed" (arXiv:2206.13122, eqs. (2.4)-(2.6)).
        electroweak: inputs of the theory above m_W, basis of Q included; the defaults if absent.
    Returns: `LinearMap`.
    Raises: UserInputError for a wrong name, scale, method or input.
    """
    names = tuple(names)
    if theory_of(names) == "smneft":
        if method != "exact":
            raise unknown("method above m_W", method, ("exact",))
        below, weights = smneft_weights(names, scale_gev, inputs, electroweak or ElectroweakInputs())
        mapped = linear_map(below, inputs.m_w_gev, inputs).for_parameters(names, weights)
        violates = tuple(not c.operator.conserves_lepton_number for c in smneft_operators.parse_all(names))
        return replace(mapped, conjugated=violates)
    check_coefficients(names, scale_gev, inputs, method)
    return _linear_map(names, jnp.asarray(scale_gev, dtype=float), inputs, method)


@functools.partial(jax.jit, static_argnums=(0, 3))
def _linear_map(names: tuple[str, ...], scale_gev: Array, inputs: StandardModelInputs, method: str) -> LinearMap:
    """`linear_map` without the checks; compiled as a whole, which is faster than its many small operations one by one."""
    coefficients = validate_all(names)
    evolved = method_evolution(method, scale_gev, REFERENCE_SCALE_GEV, inputs)
    to_zero_momentum = jnp.sqrt(inverse_alpha(REFERENCE_SCALE_GEV, inputs) / inputs.inv_alpha_0)
    per_chiral, per_loop = matching_at_2_gev(inputs, method)
    penguin = penguin_total(evolved.penguin, inputs)

    zero = jnp.zeros(())
    direct: dict[str, list[Array]] = {name: [] for name in _COUPLINGS}
    per_c_t: list[Array] = []
    per_c_t_s: list[Array] = []
    for c in coefficients:
        factor = diagonal_factor(c, evolved)
        target = _target(c)
        # of a quark's two chiralities each is half of the vector part
        share = 0.5 if c.operator.lorentz == "vector" and target != "electron_left" and target != "electron_right" else 1.0
        entries = {name: share * factor if name == target else zero for name in _COUPLINGS}
        per_charge = None
        if c.operator.lorentz == "charge_radius":
            per_charge = 2.0 * jnp.pi / 3.0 / jnp.asarray(inputs.inv_alpha_0, dtype=float)
        elif c.operator.lorentz == "vector":
            per_charge = penguin.get(str(c.fermion))
        if per_charge is not None:
            for name, fermion in _VECTOR_FERMIONS.items():
                entries[name] = entries[name] + CHARGE[FERMION_TYPE[fermion]] * per_charge
        chiral = zero
        if c.operator.lorentz == "tensor" and c.fermion is not None:
            entries["dipole"] = evolved.mixing[c.fermion] + factor * per_loop.get(c.fermion, zero)
            chiral = to_zero_momentum * factor * per_chiral.get(c.fermion, zero)
        entries["dipole"] = to_zero_momentum * entries["dipole"]
        for name in _COUPLINGS:
            direct[name].append(entries[name])
        per_c_t.append(zero if c.fermion == "s" else chiral)
        per_c_t_s.append(chiral if c.fermion == "s" else zero)

    placement = jnp.asarray(np.stack([_placement(c) for c in coefficients]) if coefficients else np.zeros((0, 3, 6)))

    def place(values: list[Array]) -> Array:
        column = jnp.stack([jnp.asarray(v, dtype=float) for v in values]) if values else jnp.zeros((0,))
        return (column[:, None, None] * placement).astype(complex)

    constant = QuarkCouplings(**{name: place(direct[name]) for name in _COUPLINGS})
    hermitian = np.asarray([c.operator.hermitian for c in coefficients], dtype=bool)[:, None, None]
    mirror = None
    if np.any(hermitian):
        mirror = jax.tree.map(lambda rows: jnp.where(hermitian, _across(rows), 0.0), constant)
    nil = jnp.zeros_like(placement, dtype=complex)
    only_dipole = {name: nil for name in _COUPLINGS}
    return LinearMap(
        constant=constant,
        c_t=QuarkCouplings(**(only_dipole | {"dipole": place(per_c_t)})),
        c_t_s=QuarkCouplings(**(only_dipole | {"dipole": place(per_c_t_s)})),
        names=names,
        conjugated=tuple(not c.operator.conserves_lepton_number for c in coefficients),
        mirror=mirror,
    )


def _across(rows: Array) -> Array:
    """(..., 3, 6) with the entries of the columns 0-2 exchanged across the diagonal, those of 3-5 zero."""
    square = jnp.swapaxes(rows[..., :3], -1, -2)
    return jnp.concatenate([square, jnp.zeros_like(square)], axis=-1)


def quark_couplings(
    coefficients: Mapping[str, complex | Array],
    scale_gev: float | Array,
    inputs: StandardModelInputs,
    chiral: ChiralInputs,
    method: str = "exact",
) -> QuarkCouplings:
    """Couplings at 2 GeV of Wilson coefficients at a scale.

    Args:
        coefficients: name -> complex value, GeV^-1 (dipoles) or GeV^-2; absent ones vanish.
        scale_gev: where they live, in [2 GeV, m_W].
        inputs, chiral: Standard Model inputs and c_T.
        method: "exact" or "seed".
    Returns: `QuarkCouplings`; differentiable in values, scale and inputs.
    Raises: UserInputError for a wrong name, scale, method or input, and a complex value of a coefficient that is real.
    """
    mapping = linear_map(tuple(coefficients), scale_gev, inputs, method)
    if theory_of(coefficients) == "lneft":
        check_real(coefficients)
    values = [jnp.asarray(v, dtype=complex) for v in coefficients.values()]
    return mapping.couplings(jnp.stack(values) if values else jnp.zeros((0,), dtype=complex), chiral)
