"""Running coefficients from one scale to another, with matching at m_W and 2 GeV and the effective moments it leads to."""

from __future__ import annotations

import cmath
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit.checks import finite_number
from nmmfit.eft import smneft_inputs, smneft_operators, smneft_running
from nmmfit.eft.amplitudes import METHODS, check_coefficients, matching_at_2_gev, method_evolution, quark_couplings
from nmmfit.eft.chiral import LIGHT_QUARKS, ChiralInputs
from nmmfit.eft.operators import check_real, parse
from nmmfit.eft.penguin import penguin_to_zero
from nmmfit.eft.qcd import REFERENCE_SCALE_GEV
from nmmfit.eft.running import apply_evolution, check_scale, dipole_name, penguin_additions
from nmmfit.eft.smneft import mass_naturalness, neutrino_mass_gev, run_smneft, smneft_to_lneft
from nmmfit.eft.smneft_inputs import ElectroweakInputs, vacuum_value_gev
from nmmfit.errors import UserInputError, unknown
from nmmfit.inputs import StandardModelInputs
from nmmfit.inputs import check as check_inputs
from nmmfit.physics.moments import MOMENTS, effective_moment_mub, named_density, plasmon_moment_mub
from nmmfit.physics.solar import SOLAR_LINES, solar_density
from nmmfit.precision import require_double_precision
from nmmfit.shapes import Array

MATCHED_FERMIONS = (*LIGHT_QUARKS, "e")
"""Fermions whose vector coefficients at zero momentum transfer are shown: those that targets contain, and s."""


def _pairs(values: Mapping[str, complex]) -> dict[str, list[float]]:
    return {name: [z.real, z.imag] for name, z in values.items()}


def _unit(name: str) -> str:
    return (smneft_operators.parse(name) if smneft_operators.is_smneft(name) else parse(name)).operator.unit


@dataclass(frozen=True)
class Threshold:
    """Coefficients on both sides of a scale at which one theory goes over into another; exact zeros are left out."""

    name: str
    """`m_W`."""
    scale_gev: float
    above: dict[str, complex]
    """SMNEFT coefficients just above, GeV^-2."""
    below: dict[str, complex]
    """LNEFT coefficients just below, GeV^-1 (dipoles) or GeV^-2."""
    masses_ev: dict[str, float]
    """Dirac mass of neutrinos that each coefficient of NH just above gives, eV; a matter of naturalness, in no likelihood."""

    def as_json(self) -> dict[str, object]:
        """The same as JSON-compatible values, complex numbers as [re, im]."""
        sides = {"above": _pairs(self.above), "below": _pairs(self.below)}
        return {"name": self.name, "scale_gev": self.scale_gev, **sides, "masses_ev": dict(self.masses_ev)}


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
    """What confined u, d and s add: to the dipoles at 2 GeV, to vector coefficients at zero momentum transfer; empty unless
    `scale_gev` is 2 GeV."""
    loops: dict[str, complex]
    """The same of loops of charm and charged leptons below 2 GeV."""
    moments_mub: dict[str, float]
    """Effective moments at zero momentum transfer, after matching, whatever `scale_gev` is."""
    inputs: dict[str, float | int | str]
    thresholds: tuple[Threshold, ...] = ()
    """What exists at m_W, where SMNEFT coefficients were given; the moments pass through it whatever `scale_gev` is."""
    naturalness: dict[str, dict[str, float]] = field(default_factory=dict)
    """`smneft.mass_naturalness` at `scale_from_gev`, where SMNEFT coefficients were given above v; else empty."""

    def rows(self) -> list[tuple[str, str, complex, str]]:
        """(part, name, value, unit) of everything computed, in a fixed order, for printing."""
        parts = [(f"{side}_m_w", getattr(t, side)) for t in self.thresholds for side in ("above", "below")]
        parts += [("coefficient", self.coefficients), ("chiral", self.chiral), ("loops", self.loops)]
        rows = [(part, name, value, _unit(name)) for part, values in parts for name, value in values.items()]
        return rows + [("moment", name, complex(value), "mu_B") for name, value in self.moments_mub.items()]

    def as_json(self) -> dict[str, object]:
        """The same as JSON-compatible values, complex numbers as [re, im]."""
        return {
            "scale_from_gev": self.scale_from_gev,
            "scale_gev": self.scale_gev,
            "method": self.method,
            "coefficients": _pairs(self.coefficients),
            "chiral": _pairs(self.chiral),
            "loops": _pairs(self.loops),
            "moments_mub": dict(self.moments_mub),
            "inputs": dict(self.inputs),
            "thresholds": [t.as_json() for t in self.thresholds],
            "naturalness": {name: dict(numbers) for name, numbers in self.naturalness.items()},
        }


def evolve(
    coefficients: Mapping[str, complex],
    scale_from: float,
    scale_to: float = REFERENCE_SCALE_GEV,
    method: str = "exact",
    inputs: StandardModelInputs | None = None,
    chiral: ChiralInputs | None = None,
    rho_solar: Array | np.ndarray | None = None,
    electroweak: ElectroweakInputs | None = None,
) -> EvolvedCoefficients:
    """Run coefficients from one scale to another and match at 2 GeV, and at m_W if they are those of the theory above it.

    >>> from nmmfit.evolution import evolve
    >>> result = evolve({"TnuNdRR_1122": 1e-6}, 80.379, 2.0)
    >>> sorted(result.coefficients)
    ['TnuNdRR_1122', 'nuNgamma_11']
    >>> result = evolve({"LNQd3_1122": 1e-8}, 1000.0, 2.0)
    >>> round(result.thresholds[0].below["SnuNdRR_1122"].real / 1e-8, 3)
    -0.124

    Args:
        coefficients: name -> value at `scale_from`: LNEFT names, GeV^-1 (dipoles) or GeV^-2, or SMNEFT names, GeV^-2.
        scale_from, scale_to: GeV; in [2 GeV, m_W] in either order for LNEFT names; for SMNEFT names `scale_from` is in
            [m_W, 1e10 GeV] and `scale_to` not above it. At m_W itself the result has LNEFT names.
        method: "exact" or "seed" (arXiv:2206.13122, eqs. (2.4)-(2.6)).
        inputs, chiral: Standard Model inputs and c_T; the defaults if absent.
        rho_solar: flavour density matrix (3, 3) to which the solar moment refers; 7Be neutrinos of 0.862 MeV if absent.
        electroweak: what the theory above m_W needs beyond `inputs`, with the basis of Q; the defaults if absent.
    Returns: `EvolvedCoefficients`.
    Raises: UserInputError for a wrong name, value, scale, method, input or density matrix.
    """
    require_double_precision()
    inputs = StandardModelInputs() if inputs is None else inputs
    chiral = ChiralInputs() if chiral is None else chiral
    if not isinstance(coefficients, Mapping):
        raise UserInputError(f"coefficients: expected name -> value, such as {{'TnuNdRR_1122': 1e-6}}, got {coefficients!r}")
    electroweak = ElectroweakInputs() if electroweak is None else electroweak
    kinds = (
        ("inputs", inputs, StandardModelInputs),
        ("chiral", chiral, ChiralInputs),
        ("electroweak", electroweak, ElectroweakInputs),
    )
    for name, given, kind in kinds:
        if not isinstance(given, kind):
            raise UserInputError(f"{name}: expected {kind.__name__}, got {type(given).__name__}")
    finite_number(chiral.c_T, "chiral: c_T")
    finite_number(chiral.c_T_s, "chiral: c_T_s")
    smneft = smneft_operators.theory_of(coefficients) == "smneft"
    if smneft:
        _check_smneft(coefficients, scale_from, scale_to, inputs, electroweak, method)
    else:
        _refuse_above_m_w(coefficients, scale_from, inputs)
        check_coefficients(coefficients, scale_from, inputs, method)
        check_scale(scale_to, inputs, "scale_to")
    values = [_finite(name, value) for name, value in coefficients.items()]
    if not smneft:
        check_real(coefficients)
    if rho_solar is None:
        rho_solar = solar_density("be7")(jnp.asarray(SOLAR_LINES["be7"][0][0]), None)
    elif np.shape(rho_solar) != (3, 3) or not np.all(np.isfinite(rho_solar)):
        raise UserInputError(f"rho_solar: expected a finite matrix (3, 3), got shape {np.shape(rho_solar)}")
    elif not np.allclose(rho_solar, np.conj(np.transpose(rho_solar)), rtol=0.0, atol=1e-9):
        raise UserInputError("rho_solar: a density matrix is Hermitian, and this one is not")
    used: dict[str, float | int | str] = inputs.as_dict() | {"c_T": float(chiral.c_T), "c_T_s": float(chiral.c_T_s)}
    thresholds: tuple[Threshold, ...] = ()
    naturalness: dict[str, dict[str, float]] = {}
    start, end = float(scale_from), float(scale_to)
    present = dict(zip(coefficients, values, strict=True))
    if smneft:
        start, end = float(inputs.m_w_gev), min(end, float(inputs.m_w_gev))
        threshold = _at_m_w(present, float(scale_from), inputs, electroweak)
        thresholds, present = (threshold,), threshold.below
        used |= electroweak.as_dict()
        if float(scale_from) > float(vacuum_value_gev(electroweak)):
            estimate = mass_naturalness(float(scale_from), inputs, electroweak)
            naturalness = {name: {key: float(x) for key, x in numbers.items()} for name, numbers in estimate.items()}
    evolved, added, looped, moments = _evolve(
        tuple(present),
        jnp.asarray(list(present.values()), dtype=complex),
        jnp.asarray(start),
        jnp.asarray(end),
        inputs,
        chiral,
        jnp.asarray(rho_solar, dtype=complex),
        method=method,
        matched=end == REFERENCE_SCALE_GEV,
        bottom_exists=end >= float(inputs.m_b_gev),
    )
    if smneft and float(scale_to) > end:
        generated = run_smneft(
            dict(zip(coefficients, values, strict=True)), float(scale_from), float(scale_to), inputs, electroweak
        )
        evolved = {name: value for name, value in generated.items() if name in coefficients or complex(value) != 0.0}
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
        inputs=used,
        thresholds=thresholds,
        naturalness=naturalness,
    )


def _check_smneft(
    coefficients: Mapping[str, complex],
    scale_from: float,
    scale_to: float,
    inputs: StandardModelInputs,
    electroweak: ElectroweakInputs,
    method: str,
) -> None:
    """Check what is special to coefficients given above m_W. Raises: UserInputError."""
    parsed = smneft_operators.parse_all(coefficients)
    check_inputs(inputs)
    smneft_inputs.check(electroweak)
    if method not in METHODS:
        raise unknown("method", method, METHODS)
    if method != "exact":
        raise UserInputError(f"method {method!r}: has no theory above m_W, where {parsed[0].name!r} lives (allowed: 'exact')")
    first, second = finite_number(scale_from, "scale_from"), finite_number(scale_to, "scale_to")
    m_w = float(inputs.m_w_gev)
    if first < m_w:
        raise UserInputError(
            f"scale_from: {parsed[0].name!r} does not exist at {first:g} GeV, below m_W = {m_w:g} GeV; "
            "give names of the theory below it, such as 'nuNgamma_11'"
        )
    smneft_running.check_scale(first, inputs, "scale_from")
    smneft_operators.check_runs(coefficients, first, m_w, "scale_from")
    if second > first:
        raise UserInputError(
            f"scale_to: {second:g} GeV is above scale_from = {first:g} GeV; coefficients given above m_W run downwards only"
        )
    if second < m_w:
        check_scale(second, inputs, "scale_to")


def _refuse_above_m_w(coefficients: Mapping[str, complex], scale_from: float, inputs: StandardModelInputs) -> None:
    """Name the theory that lives above m_W where a coefficient of the theory below it is given there. Raises: UserInputError."""
    check_inputs(inputs)
    try:
        above = float(scale_from) > float(inputs.m_w_gev)
    except (TypeError, ValueError):
        return  # `check_scale` words it
    if coefficients and above:
        raise UserInputError(
            f"scale_from: {float(scale_from):g} GeV is outside the range of {next(iter(coefficients))!r}, 2 GeV to "
            f"m_W = {float(inputs.m_w_gev):g} GeV; above m_W give SMNEFT names, such as 'NB_11'"
        )


def _at_m_w(
    given: dict[str, complex], scale_from: float, inputs: StandardModelInputs, electroweak: ElectroweakInputs
) -> Threshold:
    above, below = smneft_to_lneft(given, scale_from, inputs, electroweak)
    plain_above = {name: complex(z) for name, z in sorted(above.items()) if name in given or complex(z) != 0.0}
    plain_below = {name: complex(z) for name, z in sorted(below.items()) if complex(z) != 0.0}
    masses = {name: 1e9 * float(neutrino_mass_gev(z, electroweak)) for name, z in plain_above.items() if name.startswith("NH")}
    return Threshold("m_W", float(inputs.m_w_gev), plain_above, plain_below, masses)


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
        below = penguin_to_zero(inputs) if method == "exact" else {}
        for name, value in evolved.items():
            c = parse(name)
            for generated, share in penguin_additions(c, below, MATCHED_FERMIONS).items():
                target = added if c.fermion in LIGHT_QUARKS else looped
                target[generated] = target.get(generated, 0.0) + share * value
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
