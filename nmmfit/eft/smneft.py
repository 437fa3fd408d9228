"""The theory above m_W as a whole: run, match at m_W, and what a dipole means for the neutrino's mass.

Operators: `smneft_operators`; vectors of coefficients: `smneft_state`; couplings: `smneft_couplings`; running: `smneft_running`;
matching: `smneft_matching`, `smneft_lnv`; inputs: `smneft_inputs`. Coefficients that violate lepton number are given at m_W.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit import inputs as sm
from nmmfit.constants import bohr_magneton_per_gev
from nmmfit.eft import smneft_inputs as electroweak_inputs
from nmmfit.eft.smneft_couplings import LOOP, couplings_at_m_w
from nmmfit.eft.smneft_inputs import ElectroweakInputs, vacuum_value_gev
from nmmfit.eft.smneft_lnv import lnv_matched_from
from nmmfit.eft.smneft_matching import match, match_at_m_w, placed, reached_below, rotate_quarks
from nmmfit.eft.smneft_operators import SmneftCoefficient, check_runs, parse_all
from nmmfit.eft.smneft_running import LOWEST_M_W_GEV, check_scale, run_unchecked, steps_to_m_w
from nmmfit.eft.smneft_state import COMPONENTS, POSITION, POSITION_BELOW, Component, component, reached_by_running
from nmmfit.inputs import StandardModelInputs
from nmmfit.shapes import Array


def _checked(
    names: Iterable[str], scales: Mapping[str, Any], inputs: StandardModelInputs, electroweak: ElectroweakInputs
) -> tuple[SmneftCoefficient, ...]:
    """Coefficients of names. Raises: UserInputError for a wrong name, scale or input, and for what cannot run."""
    parsed = parse_all(names)
    sm.check(inputs)
    electroweak_inputs.check(electroweak)
    for where, scale in scales.items():
        check_scale(scale, inputs, where)
        if scale is not inputs.m_w_gev:
            # One that is being traced may be any.
            at = math.inf if isinstance(scale, jax.core.Tracer) else float(scale)
            m_w = LOWEST_M_W_GEV if isinstance(inputs.m_w_gev, jax.core.Tracer) else float(inputs.m_w_gev)
            check_runs((c.name for c in parsed), at, m_w, where)
    return parsed


def _separated(
    parsed: Iterable[SmneftCoefficient], coefficients: Mapping[str, complex | Array]
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Coefficients of independent representatives: those of dimension six, and those that violate lepton number."""
    six: dict[str, Array] = {}
    lnv: dict[str, Array] = {}
    for c, value in zip(parsed, coefficients.values(), strict=True):
        (six if c.operator.conserves_lepton_number else lnv)[c.name] = c.sign * jnp.asarray(value, dtype=complex)
    return six, lnv


@functools.partial(jax.jit, static_argnames="steps")
def run_in_basis(
    vector: Array, scales: Array, inputs: StandardModelInputs, electroweak: ElectroweakInputs, steps: tuple[int, int]
) -> Array:
    """`smneft_running.run_unchecked` in the basis of Q that `electroweak` names."""
    if not any(steps):
        return vector
    if electroweak.quark_basis == "down":
        return run_unchecked(vector, scales, inputs, electroweak, steps)
    down = run_unchecked(rotate_quarks(vector, electroweak, "down"), scales, inputs, electroweak, steps)
    return rotate_quarks(down, electroweak, "up")


@functools.partial(jax.jit, static_argnames="steps")
def run_and_match(
    vector: Array, scale_gev: Array, inputs: StandardModelInputs, electroweak: ElectroweakInputs, steps: int
) -> tuple[Array, Array]:
    """Vectors (`smneft_state`) at m_W, just above and just below, of one at a scale above; nothing is checked.

    Args:
        vector: (117, ...), complex, in the basis of Q that `electroweak` names.
        scale_gev: where, GeV; `steps`: from `smneft_running.steps_to_m_w`.
        inputs, electroweak: Standard Model inputs.
    Returns: (117, ...) in the same basis, and (123, ...).
    """
    scales = jnp.stack([scale_gev, jnp.asarray(inputs.m_w_gev, dtype=float)])
    above = run_in_basis(vector, scales, inputs, electroweak, (steps, 0))
    down = rotate_quarks(above, electroweak, "down") if electroweak.quark_basis == "up" else above
    return above, match(down, electroweak)


def reached_above(c: Component, steps: tuple[int, int] | int) -> tuple[Component, ...]:
    """What a component runs into, if it runs."""
    return reached_by_running(c) if np.any(steps) else (c,)


def _by_name(targets: Mapping[str, tuple[int, int]], vector: Array) -> dict[str, Array]:
    """Entries of a vector (component, r) by name; `targets`: name -> where."""
    if not targets:
        return {}
    rows, columns = np.array(list(targets.values())).T
    return dict(zip(targets, vector[rows, columns], strict=True))


def _reached_above(parsed: Iterable[SmneftCoefficient], steps: tuple[int, int] | int) -> dict[str, tuple[int, int]]:
    """Where everything stands that coefficients of dimension six run into, by name."""
    starts = dict.fromkeys(component(c) for c in parsed if c.operator.conserves_lepton_number)
    found = dict.fromkeys((x, r) for c, r in starts for x in reached_above(c, steps))
    return {x.name(r): (POSITION[x], r - 1) for x, r in found}


def _reached_below(parsed: Iterable[SmneftCoefficient], steps: int, electroweak: ElectroweakInputs) -> dict[str, tuple[int, int]]:
    """Where everything stands below m_W that running and matching make of coefficients of dimension six, by name."""
    starts = dict.fromkeys(component(c) for c in parsed if c.operator.conserves_lepton_number)
    found = dict.fromkeys((x, r) for c, r in starts for x in _below(c, steps, electroweak))
    return {x.name(r): (POSITION_BELOW[x], r - 1) for x, r in found}


def run_smneft(
    coefficients: Mapping[str, complex | Array],
    scale_from: float | Array,
    scale_to: float | Array,
    inputs: StandardModelInputs,
    electroweak: ElectroweakInputs,
) -> dict[str, Array]:
    """Coefficients at a second scale above m_W, with all that running generates.

    Args:
        coefficients: SMNEFT name -> value at `scale_from`, GeV^-2, in the basis of Q that `electroweak.quark_basis` names.
        scale_from, scale_to: in [m_W, 1e10 GeV], in either order; differentiable, as are values and inputs.
        inputs, electroweak: Standard Model inputs.
    Returns: name -> complex value, in the same basis.
    Raises: UserInputError for a wrong name, scale or input, and for a coefficient that has no running.
    """
    scales = {"scale_from": scale_from, "scale_to": scale_to}
    parsed = _checked(coefficients, scales, inputs, electroweak)
    steps = (steps_to_m_w(scale_from, inputs), steps_to_m_w(scale_to, inputs))
    both = jnp.stack([jnp.asarray(x, dtype=float) for x in scales.values()])
    six, lnv = _separated(parsed, coefficients)
    return _by_name(_reached_above(parsed, steps), run_in_basis(placed(six), both, inputs, electroweak, steps)) | lnv


def smneft_to_lneft(
    coefficients: Mapping[str, complex | Array],
    scale_gev: float | Array,
    inputs: StandardModelInputs,
    electroweak: ElectroweakInputs,
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Coefficients at m_W, just above and just below, of coefficients at a scale above.

    Args:
        coefficients: SMNEFT name -> complex value at `scale_gev`, GeV^-2; lepton-number violation at m_W only, GeV^-1 and GeV^-3.
        scale_gev: in [m_W, 1e10 GeV]; differentiable, as are values and inputs.
        inputs, electroweak: Standard Model inputs.
    Returns: (SMNEFT names, in the basis `electroweak.quark_basis`; LNEFT names, GeV^-1 or GeV^-2).
    Raises: UserInputError for a wrong name, scale or input, and for a coefficient that has no running above m_W.
    """
    parsed = _checked(coefficients, {"scale_gev": scale_gev}, inputs, electroweak)
    six, lnv = _separated(parsed, coefficients)
    steps = steps_to_m_w(scale_gev, inputs)
    vector, matched = run_and_match(placed(six), jnp.asarray(scale_gev, dtype=float), inputs, electroweak, steps)
    above = _by_name(_reached_above(parsed, steps), vector)
    below = _by_name(_reached_below(parsed, steps, electroweak), matched)
    return above | lnv, below | match_at_m_w(lnv, electroweak)


def _below(c: Component, steps: int, electroweak: ElectroweakInputs) -> tuple[Component, ...]:
    """Everything below m_W that running and matching make of a component."""
    reached = (target for one in reached_above(c, steps) for target in reached_below(one, electroweak))
    return tuple(dict.fromkeys(reached))


def smneft_weights(
    names: tuple[str, ...], scale_gev: float | Array, inputs: StandardModelInputs, electroweak: ElectroweakInputs
) -> tuple[tuple[str, ...], Array]:
    """The linear map from coefficients above m_W to those just below it.

    Args:
        names: SMNEFT names.
        scale_gev, inputs, electroweak: as for `smneft_to_lneft`.
    Returns: LNEFT names that anything reaches, and complex weights (operator above, operator below), L_j = sum_i C_i weights_ij.
    Raises: UserInputError for a wrong name, scale or input, and for a coefficient that has no running above m_W.
    """
    parsed = _checked(names, {"scale_gev": scale_gev}, inputs, electroweak)
    steps = steps_to_m_w(scale_gev, inputs)
    below = [_below(component(c)[0], steps, electroweak) if c.operator.conserves_lepton_number else () for c in parsed]
    violating = [{} if c.operator.conserves_lepton_number else lnv_matched_from(c, electroweak) for c in parsed]
    named = [{x.name(component(c)[1]): x for x in targets} for c, targets in zip(parsed, below, strict=True)]
    reached = tuple(sorted(set().union(*named, *violating)))
    column = {name: j for j, name in enumerate(reached)}
    weights = jnp.zeros((len(parsed), len(reached)), dtype=complex)
    entries = [(i, column[name], POSITION_BELOW[x]) for i, row in enumerate(named) for name, x in row.items()]
    if entries:
        # Every flavour of N runs alike, so that one column of each component serves all.
        starts = [POSITION[component(parsed[i])[0]] for i, _, _ in entries]
        needed = sorted(set(starts))
        unit = jnp.asarray(np.eye(len(COMPONENTS))[:, needed], dtype=complex)
        matched = run_and_match(unit, jnp.asarray(scale_gev, dtype=float), inputs, electroweak, steps)[1]
        rows, columns, targets = np.array(entries).T
        weights = weights.at[rows, columns].set(matched[targets, np.searchsorted(needed, starts)])
    for i, row in enumerate(violating):
        for name, factor in row.items():
            weights = weights.at[i, column[name]].set(factor)
    return reached, weights


def neutrino_mass_gev(c_nh: Array | complex, electroweak: ElectroweakInputs) -> Array:
    """Dirac mass that a coefficient of NH gives, v^3 / (2 sqrt 2) |C_NH|, in GeV.

    Args:
        c_nh: GeV^-2, at m_W.
        electroweak: G_F.
    """
    return vacuum_value_gev(electroweak) ** 3 / (2.0 * math.sqrt(2.0)) * jnp.abs(jnp.asarray(c_nh))


def mass_naturalness(
    scale_gev: float | Array, inputs: StandardModelInputs, electroweak: ElectroweakInputs
) -> dict[str, dict[str, Array]]:
    """How large a neutrino mass a dipole above m_W brings with it: leading logarithm of NB, NW -> NH from a scale to v.

        delta m_nu / mu_nu = v^2 / 4 ln(Lambda / v) / 16 pi^2 {3 g' (g'^2 + g^2) / c_W  [NB],  3 g (g'^2 + 3 g^2) / s_W  [NW]}

    with couplings at m_W and mu_nu = 2 |L_gamma|. DERIVED; hep-ph/0504134 quotes mu < 1e-14 mu_B from its own estimate (SEEN,
    abstract). An estimate to report: masses may cancel against others, and nothing here enters a likelihood.

    Args:
        scale_gev: Lambda, GeV, > v for a positive result.
        inputs, electroweak: Standard Model inputs.
    Returns: by operator `NB` and `NW`: `mass_per_moment_gev2` (90.7 and 765 at 1 TeV), and `moment_mub_at_1_ev`, the moment
        in mu_B whose contribution to the mass is 1 eV.
    """
    v = vacuum_value_gev(electroweak)
    g1, g2 = couplings_at_m_w(inputs, electroweak).gauge[:2]
    s = jnp.sqrt(jnp.asarray(electroweak.sin2_theta_w, dtype=float))
    c = jnp.sqrt(1.0 - s**2)
    common = v**2 / 4.0 * jnp.log(jnp.asarray(scale_gev, dtype=float) / v) / LOOP
    ratio = {"NB": common * 3.0 * g1 * (g1**2 + g2**2) / c, "NW": common * 3.0 * g2 * (g1**2 + 3.0 * g2**2) / s}
    return {
        name: {"mass_per_moment_gev2": x, "moment_mub_at_1_ev": 1e-9 / jnp.abs(x) / bohr_magneton_per_gev()}
        for name, x in ratio.items()
    }
