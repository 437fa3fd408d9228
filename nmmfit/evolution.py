"""Running a set of coefficients from one scale to another, with matching at 2 GeV and the effective moments it leads to."""

from __future__ import annotations

import cmath
import functools
from collections.abc import Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit.checks import finite_number
from nmmfit.eft.amplitudes import check_coefficients, matching_at_2_gev, method_evolution, quark_couplings
from nmmfit.eft.chiral import LIGHT_QUARKS, ChiralInputs
from nmmfit.eft.operators import parse
from nmmfit.eft.qcd import REFERENCE_SCALE_GEV
from nmmfit.eft.running import apply_evolution, check_scale, dipole_name
from nmmfit.errors import UserInputError
from nmmfit.inputs import StandardModelInputs
from nmmfit.physics.moments import effective_moment_mub, named_density, plasmon_moment_mub
from nmmfit.physics.solar import SOLAR_LINES, solar_density
from nmmfit.precision import require_double_precision
from nmmfit.shapes import Array

MOMENTS = ("reactor_e", "sns_mu", "sns_e", "solar", "plasmon")


@dataclass(frozen=True)
class EvolvedCoefficients:
    """Coefficients after running, and what matching makes of them; plain Python numbers.

    Units: GeV^-1 for dipoles, GeV^-2 for the rest, mu_B for moments.
    """

    scale_from_gev: float
    scale_gev: float
    method: str
    coefficients: dict[str, complex]
    """Coefficients at `scale_gev`, before matching, with the dipoles that mixing generated."""
    chiral: dict[str, complex]
    """What confinement of u, d and s adds to the dipoles at 2 GeV; empty unless `scale_gev` is 2 GeV."""
    loops: dict[str, complex]
    """What loops of charm and charged leptons below 2 GeV add to the dipoles at 2 GeV; empty unless `scale_gev` is 2 GeV."""
    moments_mub: dict[str, float]
    """Effective moments at zero momentum transfer, after matching, whatever `scale_gev` is."""
    inputs: dict[str, float | int | str]

    def rows(self) -> list[tuple[str, str, complex, str]]:
        """(part, name, value, unit) of everything computed, in a fixed order, for printing."""
        rows = []
        for part, values in (("coefficient", self.coefficients), ("chiral", self.chiral), ("loops", self.loops)):
            rows += [(part, name, value, parse(name).operator.unit) for name, value in values.items()]
        return rows + [("moment", name, complex(value), "mu_B") for name, value in self.moments_mub.items()]

    def as_json(self) -> dict[str, object]:
        """The same as JSON-compatible values, complex numbers as [re, im]."""

        def pairs(values: dict[str, complex]) -> dict[str, list[float]]:
            return {name: [z.real, z.imag] for name, z in values.items()}

        return {
            "scale_from_gev": self.scale_from_gev,
            "scale_gev": self.scale_gev,
            "method": self.method,
            "coefficients": pairs(self.coefficients),
            "chiral": pairs(self.chiral),
            "loops": pairs(self.loops),
            "moments_mub": dict(self.moments_mub),
            "inputs": dict(self.inputs),
        }


def evolve(
    coefficients: Mapping[str, complex],
    scale_from: float,
    scale_to: float = REFERENCE_SCALE_GEV,
    method: str = "exact",
    inputs: StandardModelInputs | None = None,
    chiral: ChiralInputs | None = None,
    rho_solar: Array | np.ndarray | None = None,
) -> EvolvedCoefficients:
    """Run coefficients from one scale to another and match at 2 GeV.

    >>> from nmmfit.evolution import evolve
    >>> result = evolve({"TnuNdRR_1122": 1e-6}, 80.379, 2.0)
    >>> sorted(result.coefficients)
    ['TnuNdRR_1122', 'nuNgamma_11']

    Args:
        coefficients: name -> value at `scale_from`, GeV^-1 (dipoles) or GeV^-2.
        scale_from, scale_to: GeV, in [2 GeV, m_W], in either order.
        method: "exact" or "seed" (arXiv:2206.13122, eqs. (2.4)-(2.6)).
        inputs, chiral: Standard Model inputs and c_T; the defaults if absent.
        rho_solar: flavour density matrix (3, 3) to which the solar moment refers; 7Be neutrinos of 0.862 MeV if absent.
    Returns: `EvolvedCoefficients`.
    Raises: UserInputError for a wrong name, value, scale, method, input or density matrix.
    """
    require_double_precision()
    inputs = StandardModelInputs() if inputs is None else inputs
    chiral = ChiralInputs() if chiral is None else chiral
    if not isinstance(coefficients, Mapping):
        raise UserInputError(f"coefficients: expected name -> value, such as {{'TnuNdRR_1122': 1e-6}}, got {coefficients!r}")
    for name, given, kind in (("inputs", inputs, StandardModelInputs), ("chiral", chiral, ChiralInputs)):
        if not isinstance(given, kind):
            raise UserInputError(f"{name}: expected {kind.__name__}, got {type(given).__name__}")
    finite_number(chiral.c_T, "chiral: c_T")
    finite_number(chiral.c_T_s, "chiral: c_T_s")
    check_coefficients(coefficients, scale_from, inputs, method)
    check_scale(scale_to, inputs, "scale_to")
    values = [_finite(name, value) for name, value in coefficients.items()]
    if rho_solar is None:
        rho_solar = solar_density("be7")(jnp.asarray(SOLAR_LINES["be7"][0][0]), None)
    elif np.shape(rho_solar) != (3, 3) or not np.all(np.isfinite(rho_solar)):
        raise UserInputError(f"rho_solar: expected a finite matrix (3, 3), got shape {np.shape(rho_solar)}")
    evolved, added, looped, moments = _evolve(
        tuple(coefficients),
        jnp.asarray(values, dtype=complex),
        jnp.asarray(scale_from, dtype=float),
        jnp.asarray(scale_to, dtype=float),
        inputs,
        chiral,
        jnp.asarray(rho_solar, dtype=complex),
        method=method,
        matched=float(scale_to) == REFERENCE_SCALE_GEV,
        bottom_exists=float(scale_to) >= float(inputs.m_b_gev),
    )

    if not all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves((evolved, added, looped, moments))):
        raise UserInputError("coefficients: so large that what they lead to is not finite; they are in GeV^-1 or GeV^-2")

    def plain(found: dict[str, Array]) -> dict[str, complex]:
        return {name: complex(z) for name, z in sorted(found.items())}

    return EvolvedCoefficients(
        scale_from_gev=float(scale_from),
        scale_gev=float(scale_to),
        method=method,
        coefficients=plain(evolved),
        chiral=plain(added),
        loops=plain(looped),
        moments_mub={name: float(moments[name]) for name in MOMENTS},
        inputs=inputs.as_dict() | {"c_T": float(chiral.c_T), "c_T_s": float(chiral.c_T_s)},
    )


def _finite(name: str, value: complex) -> complex:
    try:
        if isinstance(value, str | bool):
            raise TypeError
        number = complex(value)
    except (TypeError, ValueError):
        raise UserInputError(f"coefficient {name!r}: {value!r} is not a number") from None
    if not cmath.isfinite(number):
        raise UserInputError(f"coefficient {name!r}: {value!r} is not finite")
    return number


@functools.partial(jax.jit, static_argnums=0, static_argnames=("method", "matched", "bottom_exists"))
def _evolve(
    names: tuple[str, ...],
    values: Array,
    scale_from: Array,
    scale_to: Array,
    inputs: StandardModelInputs,
    chiral: ChiralInputs,
    rho_solar: Array,
    method: str,
    matched: bool,
    bottom_exists: bool,
) -> tuple[dict[str, Array], dict[str, Array], dict[str, Array], dict[str, Array]]:
    given = dict(zip(names, values, strict=True))
    evolved = apply_evolution(given, method_evolution(method, scale_from, scale_to, inputs), bottom_exists)
    added: dict[str, Array] = {}
    looped: dict[str, Array] = {}
    if matched:
        per_chiral, per_loop = matching_at_2_gev(inputs, method)
        for name, value in evolved.items():
            c = parse(name)
            if c.operator.lorentz != "tensor" or c.fermion is None:
                continue
            target, dipole = (added, per_chiral) if c.fermion in LIGHT_QUARKS else (looped, per_loop)
            if c.fermion in dipole:
                factor = chiral.of(c.fermion) if c.fermion in LIGHT_QUARKS else 1.0
                target[dipole_name(c)] = target.get(dipole_name(c), 0.0) + factor * dipole[c.fermion] * value
    dipole_matrix = quark_couplings(given, scale_from, inputs, chiral, method).dipole
    moments = {"solar": effective_moment_mub(dipole_matrix, rho_solar), "plasmon": plasmon_moment_mub(dipole_matrix)}
    for name in ("reactor_e", "sns_mu", "sns_e"):
        moments[name] = effective_moment_mub(dipole_matrix, *named_density(name))
    return evolved, added, looped, moments
