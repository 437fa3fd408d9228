"""Standard Model inputs of running and matching, differentiable, with the orders in which they are used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

import jax

from nmmfit import precision as precision
from nmmfit.constants import STANDARD_MODEL_INPUTS, Constant
from nmmfit.errors import UserInputError, unknown
from nmmfit.shapes import Array

# Where the truncated running has a perturbative solution from m_W to the charm mass; outside, no number is returned.
_RANGES: Mapping[str, tuple[float, float]] = {
    "alpha_s_mz": (0.10, 0.13),
    "m_z_gev": (85.0, 95.0),
    "m_w_gev": (70.0, 90.0),
    "m_b_gev": (3.0, 6.0),
    "m_c_gev": (1.1, 1.9),
    "inv_alpha_mz": (120.0, 140.0),
    "inv_alpha_0": (130.0, 140.0),
}
_DEFAULT = STANDARD_MODEL_INPUTS
_OPTIONS: Mapping[str, tuple[object, ...]] = {
    "alpha_s_loops": (1, 2, 3, 4),
    "gamma_T_loops": (1, 2, 3),
    "e_running": ("one_loop", "fixed"),
}


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class StandardModelInputs:
    """Numbers and orders from which coefficients are run and matched; every number is differentiable.

    Quark masses are MS-bar: m_b(m_b), m_c(m_c) with four flavours, and u, d, s at 2 GeV with four flavours. Unit, uncertainty
    and source of each number: `describe`. The orders are static: `alpha_s_loops` (also that of the mass anomalous dimension;
    decoupling one order below), `gamma_T_loops` (tensor anomalous dimension), and `e_running`: "one_loop" from 1/alpha(m_Z), or
    "fixed" at 1/alpha(0). With "fixed" the dipole's own anomalous dimension -b_0e e^2 is kept, at that e, so that L_gamma / e
    then is not invariant.
    """

    alpha_s_mz: float | Array = _DEFAULT["alpha_s_mz"].value
    m_z_gev: float | Array = _DEFAULT["m_z_gev"].value
    m_w_gev: float | Array = _DEFAULT["m_w_gev"].value
    m_b_gev: float | Array = _DEFAULT["m_b_gev"].value
    m_c_gev: float | Array = _DEFAULT["m_c_gev"].value
    m_u_gev: float | Array = _DEFAULT["m_u_gev"].value
    m_d_gev: float | Array = _DEFAULT["m_d_gev"].value
    m_s_gev: float | Array = _DEFAULT["m_s_gev"].value
    m_e_gev: float | Array = _DEFAULT["m_e_gev"].value
    m_mu_gev: float | Array = _DEFAULT["m_mu_gev"].value
    m_tau_gev: float | Array = _DEFAULT["m_tau_gev"].value
    inv_alpha_mz: float | Array = _DEFAULT["inv_alpha_mz"].value
    inv_alpha_0: float | Array = _DEFAULT["inv_alpha_0"].value
    f_pi_gev: float | Array = _DEFAULT["f_pi_gev"].value
    alpha_s_loops: int = field(default=4, metadata={"static": True})
    gamma_T_loops: int = field(default=3, metadata={"static": True})
    e_running: str = field(default="one_loop", metadata={"static": True})

    @staticmethod
    def from_mapping(values: Mapping[str, float | int | str], where: str = "theory") -> StandardModelInputs:
        """Inputs with some defaults replaced.

        Args:
            values: field name -> value.
            where: the place the values come from, for the message.
        Raises: UserInputError for an unknown name or a value outside its range.
        """
        known = [f.name for f in fields(StandardModelInputs)]
        for name in values:
            if name not in known:
                raise unknown("input", name, known, where)
        inputs = StandardModelInputs(**values)  # type: ignore[arg-type]
        check(inputs, where)
        return inputs

    def as_dict(self) -> dict[str, float | int | str]:
        """Numbers and orders by name, as plain Python values."""
        out: dict[str, float | int | str] = {}
        for f in fields(self):
            value = getattr(self, f.name)
            out[f.name] = value if f.metadata.get("static") else float(value)
        return out


def describe(name: str) -> Constant:
    """Default value, unit, one-sigma uncertainty and source of an input.

    Raises: UserInputError for a name that is not a number of `StandardModelInputs`.
    """
    if name not in STANDARD_MODEL_INPUTS:
        raise unknown("input", name, STANDARD_MODEL_INPUTS)
    return STANDARD_MODEL_INPUTS[name]


def check(inputs: StandardModelInputs, where: str = "theory") -> None:
    """Refuse inputs for which running has no solution; numbers being traced are not looked at.

    Raises: UserInputError that names the first field outside its range.
    """
    for name, allowed in _OPTIONS.items():
        value = getattr(inputs, name)
        if value not in allowed or isinstance(value, bool):
            shown = ", ".join(map(repr, allowed))
            raise UserInputError(f"{where}: {name} = {value!r} is not available (allowed: {shown})")
    for name, constant in STANDARD_MODEL_INPUTS.items():
        value = getattr(inputs, name)
        if isinstance(value, jax.core.Tracer):
            continue
        low, high = _RANGES.get(name, (0.0, float("inf")))
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise UserInputError(f"{where}: {name} = {value!r} is not a number") from None
        if not (low < number < high):
            limits = f"between {low:g} and {high:g}" if name in _RANGES else "positive and finite"
            unit = "" if constant.unit == "1" else f" {constant.unit}"
            raise UserInputError(f"{where}: {name} = {number:g}{unit} is out of range (allowed: {limits})")
