"""Choices of theory and theory inputs of a run file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from nmmfit.constants import ELECTROWEAK_INPUTS, STANDARD_MODEL_INPUTS
from nmmfit.errors import unknown
from nmmfit.presets import C_T, C_T_S, Preset
from nmmfit.priors import PriorSpec, prior_schema
from nmmfit.validation import StrictModel, refuse


def _resolve(presets: Mapping[str, Preset]) -> BeforeValidator:
    """Lets a named preset stand for its prior."""

    def resolve(given: Any) -> Any:
        if not isinstance(given, str):
            return given
        if given not in presets:
            raise refuse(str(unknown("preset", given, presets)))
        return presets[given].prior()

    return BeforeValidator(resolve)


def _input(name: str) -> Any:
    """Field of a Standard Model input: left out, it keeps its default value."""
    constant = {**STANDARD_MODEL_INPUTS, **ELECTROWEAK_INPUTS}[name]
    unit = "" if constant.unit == "1" else f" {constant.unit}"
    return Field(
        default=None,
        description=f"default {constant.value:.8g}{unit}, uncertainty {constant.uncertainty:.2g} ({constant.source})",
    )


def _charge(meaning: str) -> Any:
    """Field of a nucleon charge: left out, it keeps the value of its set."""
    return Field(default=None, description=f"{meaning}, MS-bar at 2 GeV; default that of nucleon_charges")


def _prior(given: dict[str, Any]) -> PriorSpec:
    return PriorSpec.model_validate(given)


class TheorySpec(StrictModel):
    """Choices of theory, and theory inputs as numbers, presets or priors (`nmmfit list presets`)."""

    c_T: Annotated[
        PriorSpec,
        _resolve(C_T),
        WithJsonSchema(prior_schema(tuple(C_T))),
        Field(description="low-energy constant c_T that turns tensors with u and d quarks into dipoles at 2 GeV"),
    ] = _prior(C_T["susceptibility"].prior())
    c_T_s: Annotated[
        PriorSpec,
        _resolve(C_T_S),
        WithJsonSchema(prior_schema(tuple(C_T_S))),
        Field(description="the same for the strange quark"),
    ] = _prior(C_T_S["susceptibility"].prior())
    nucleon_charges: Literal["flag2021", "seed"] = "flag2021"
    tensor_coherence: Literal["coherent", "nonrelativistic"] = "coherent"
    weak_charges: Literal["radiative", "tree"] = "radiative"
    electron_radiative: Literal["bks", "rho_kappa", "none"] = "bks"
    form_factor: Literal["helm", "klein_nystrand", "fermi"] = "helm"
    nuclear_spin: Annotated[
        Literal["half", "true"],
        Field(description="half: every nucleus as a spin-1/2 target, as in the literature; true: nuclides of spin 0 as such"),
    ] = "half"
    m_N_mev: Annotated[
        PriorSpec,
        Field(description="mass of the right-handed neutrinos N, MeV, one for the three; a prior on masses >= 0 floats it"),
    ] = _prior({"delta": 0.0})
    sm_strength: Annotated[
        PriorSpec,
        Field(description="Standard Model rates in units of their prediction; a prior on values >= 0 measures them"),
    ] = _prior({"delta": 1.0})
    running: Literal["exact", "seed"] = "exact"
    alpha_s_loops: Literal[1, 2, 3, 4] = 4
    gamma_T_loops: Literal[1, 2, 3] = 3
    e_running: Literal["one_loop", "fixed"] = "one_loop"
    alpha_s_mz: PriorSpec | None = _input("alpha_s_mz")
    m_z_gev: PriorSpec | None = _input("m_z_gev")
    m_w_gev: PriorSpec | None = _input("m_w_gev")
    m_b_gev: PriorSpec | None = _input("m_b_gev")
    m_c_gev: PriorSpec | None = _input("m_c_gev")
    m_u_gev: PriorSpec | None = _input("m_u_gev")
    m_d_gev: PriorSpec | None = _input("m_d_gev")
    m_s_gev: PriorSpec | None = _input("m_s_gev")
    m_e_gev: PriorSpec | None = _input("m_e_gev")
    m_mu_gev: PriorSpec | None = _input("m_mu_gev")
    m_tau_gev: PriorSpec | None = _input("m_tau_gev")
    inv_alpha_mz: PriorSpec | None = _input("inv_alpha_mz")
    inv_alpha_0: PriorSpec | None = _input("inv_alpha_0")
    f_pi_gev: PriorSpec | None = _input("f_pi_gev")
    quark_basis: Annotated[Literal["down", "up"], Field(description="what Q is in coefficients above m_W")] = "down"
    sin2_theta_w: PriorSpec | None = _input("sin2_theta_w")
    m_t_gev: PriorSpec | None = _input("m_t_gev")
    m_h_gev: PriorSpec | None = _input("m_h_gev")
    wolfenstein_lambda: PriorSpec | None = _input("wolfenstein_lambda")
    wolfenstein_a: PriorSpec | None = _input("wolfenstein_a")
    wolfenstein_rhobar: PriorSpec | None = _input("wolfenstein_rhobar")
    wolfenstein_etabar: PriorSpec | None = _input("wolfenstein_etabar")
    nucleon_charges_float: Annotated[
        bool, Field(description="float the nucleon charges that matter with the uncertainties of their set")
    ] = False
    delta_u: PriorSpec | None = _charge("tensor charge F_1 of u in the proton")
    delta_d: PriorSpec | None = _charge("tensor charge F_1 of d in the proton")
    delta_s: PriorSpec | None = _charge("tensor charge F_1 of s in the nucleon")
    g_s_u: PriorSpec | None = _charge("scalar charge of u in the proton")
    g_s_d: PriorSpec | None = _charge("scalar charge of d in the proton")
    g_s_s: PriorSpec | None = _charge("scalar charge of s in the nucleon")
    f2_u: PriorSpec | None = _charge("tensor form factor F_2 of u in the proton (nonrelativistic)")
    f2_d: PriorSpec | None = _charge("tensor form factor F_2 of d in the proton (nonrelativistic)")
    f2_s: PriorSpec | None = _charge("tensor form factor F_2 of s in the nucleon (nonrelativistic)")
    f3_u: PriorSpec | None = _charge("tensor form factor F_3 of u in the proton (nonrelativistic)")
    f3_d: PriorSpec | None = _charge("tensor form factor F_3 of d in the proton (nonrelativistic)")
    f3_s: PriorSpec | None = _charge("tensor form factor F_3 of s in the nucleon (nonrelativistic)")

    @model_validator(mode="after")
    def _used(self) -> TheorySpec:
        if self.tensor_coherence == "coherent":
            for name in (f"{f}_{q}" for f in ("f2", "f3") for q in ("u", "d", "s")):
                if getattr(self, name) is not None:
                    raise refuse(f"{name}: only tensor_coherence = 'nonrelativistic' has it, this run's is 'coherent'")
        return self

    @field_validator("m_N_mev")
    @classmethod
    def _is_a_mass(cls, given: PriorSpec) -> PriorSpec:
        if given.support[0] < 0.0:
            raise refuse(f"a mass is not negative, and {given} allows it (a number >= 0, uniform, log_uniform, half_normal, ...)")
        return given

    @field_validator("sm_strength")
    @classmethod
    def _is_a_strength(cls, given: PriorSpec) -> PriorSpec:
        if given.support[0] < 0.0:
            raise refuse(f"rates are not negative, and {given} allows it (a number >= 0, uniform, log_uniform, half_normal, ...)")
        return given

    def inputs(self) -> dict[str, PriorSpec]:
        """Numerical theory inputs that this run sets or floats, by name; those not named keep their default value."""
        given = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: value for name, value in given.items() if isinstance(value, PriorSpec)}

    def choices(self) -> dict[str, str | int]:
        """Named choices of theory and orders of the running, key -> value."""
        given = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: value for name, value in given.items() if isinstance(value, str | int) and not isinstance(value, bool)}
