"""A small joint likelihood of the real structure: a dipole-like and a nucleus-like experiment with invented numbers.

Its counts are closed-form functions, so that tests of templates, coordinates and samplers do not depend on any real experiment.
"""

from __future__ import annotations

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
from numpyro import distributions as dist

from nmmfit.experiment import BinnedExperiment, Channel, Component, Factor
from nmmfit.inference.joint import CouplingMap, JointLikelihood
from nmmfit.inference.parameters import Identified, Parameter
from nmmfit.physics.amplitude_basis import couplings_to_vector
from nmmfit.physics.forms import TargetCouplings

N_SPECTRUM, N_ENERGY, N_TIME = 30, 5, 4


def universal(value: complex) -> jnp.ndarray:
    """Flavour-universal LNC coupling matrix (3, 6)."""
    return jnp.concatenate([value * jnp.eye(3, dtype=complex), jnp.zeros((3, 3), dtype=complex)], axis=1)


def couplings(dipole: complex = 0.0, tensor_p: complex = 0.0, tensor_n: complex = 0.0) -> TargetCouplings:
    """Target couplings of a flavour-universal dipole and nucleon tensors."""
    values = {"dipole": universal(dipole), "tensor_p": universal(tensor_p), "tensor_n": universal(tensor_n)}
    return replace(TargetCouplings.zero(), **values)


def solar_like(scale: float = 1.0) -> BinnedExperiment:
    """Counts that depend on the dipole only, with one shape pull and a free background."""
    x = jnp.linspace(0.1, 1.0, N_SPECTRUM)

    def signal(forms, pulls):
        edge = 0.6 * (1.0 + 0.02 * pulls["solar_like.light_yield"])
        shape = 400.0 / (1.0 + jnp.exp((x - edge) / 0.05)) + 60.0
        dipole = jnp.real(jnp.trace(forms["dipole"])) / 3.0 / 1e-18 * 4.0 / x
        return scale * (forms["sm"] * shape + dipole * (1.0 + 0.02 * pulls["solar_like.light_yield"]))

    background = 200.0 * jnp.exp(-3.0 * x)
    components = (
        Component(
            "solar",
            (Factor(signal, ("solar_like.light_yield",), ("dipole",)),),
            lambda p: jnp.exp(0.05 * p["solar_like.flux"]),
            ("solar_like.flux",),
        ),
        Component(
            "background",
            (Factor(lambda forms, pulls: scale * background),),
            lambda p: jnp.exp(0.2 * p["solar_like.background"]),
            ("solar_like.background",),
        ),
    )
    pulls = {f"solar_like.{n}": dist.Normal(0.0, 1.0) for n in ("light_yield", "flux", "background")}
    shape = 400.0 / (1.0 + np.exp((np.asarray(x) - 0.6) / 0.05)) + 60.0 + np.asarray(background)
    observed = np.random.default_rng(1).poisson(scale * shape).astype(float)
    channel = Channel("spectrum", observed, components, {"x": np.linspace(0.1, 1.0, N_SPECTRUM + 1)})
    return BinnedExperiment("solar_like", "Synthetic solar-like spectrum", (channel,), pulls)


def nuclear_like(scale: float = 1.0) -> BinnedExperiment:
    """Counts in energy times time that depend on dipole and nucleon tensors, with two shape pulls and a timing pull."""
    energy, time = jnp.arange(1.0, N_ENERGY + 1.0), jnp.arange(N_TIME) + 0.5

    def spectrum(z: int, n: int):
        def counts(forms, pulls):
            q = jnp.exp(-0.1 * energy * (1.0 + 0.05 * pulls["nuclear_like.radius"]))
            falling = jnp.exp(-energy * (0.5 + 0.03 * pulls["nuclear_like.quenching"]))

            def mu(name):
                return jnp.real(forms[name][1, 1])

            tensor = z * z * mu("tensor_pp") + 2 * z * n * mu("tensor_pn") + n * n * mu("tensor_nn")
            mixed = z * z * mu("dipole_tensor_p") + z * n * mu("dipole_tensor_n")
            dipole = z * z * mu("dipole")
            return scale * (
                forms["sm"] * n * n / 20.0 * falling * q
                + tensor / 1e-12 * 0.02 * falling * q
                + mixed / 1e-15 * 1e-6 * q
                + dipole / 1e-18 * 1e-6 * q / energy
            )

        return counts

    def arrival(forms, pulls):
        weights = jnp.exp(-time / (1.0 + 0.1 * pulls["nuclear_like.timing"]))
        return weights / jnp.sum(weights)

    names = ("nuclear_like.radius", "nuclear_like.quenching")
    forms = ("dipole", "tensor_pp", "tensor_pn", "tensor_nn", "dipole_tensor_p", "dipole_tensor_n")
    second = Factor(arrival, ("nuclear_like.timing",))
    flat = Factor(lambda forms, pulls: jnp.full(N_TIME, 0.25))
    components = (
        Component(
            "a",
            (Factor(spectrum(5, 8), names, forms), second),
            lambda p: jnp.exp(0.1 * p["nuclear_like.flux"]),
            ("nuclear_like.flux",),
        ),
        Component(
            "b",
            (Factor(spectrum(5, 7), names, forms), second),
            lambda p: jnp.exp(0.1 * p["nuclear_like.flux"]),
            ("nuclear_like.flux",),
        ),
        Component("steady", (Factor(lambda forms, pulls: scale * jnp.full(N_ENERGY, 3.0)), flat)),
    )
    pulls = {f"nuclear_like.{n}": dist.Normal(0.0, 1.0) for n in ("radius", "quenching", "timing", "flux")}
    draft = Channel(
        "beam_on", np.zeros(N_ENERGY * N_TIME), components, {"e": np.arange(N_ENERGY + 1.0), "t": np.arange(N_TIME + 1.0)}
    )
    nominal = {name: jnp.asarray(0.0) for name in pulls}
    from nmmfit.physics.forms import quadratic_forms

    mean = np.asarray(draft.expected(quadratic_forms(TargetCouplings.zero()), nominal))
    observed = np.random.default_rng(2).poisson(mean).astype(float)
    channel = Channel("beam_on", observed, components, draft.edges)
    return BinnedExperiment("nuclear_like", "Synthetic nucleus-like counts", (channel,), pulls)


def coupling_map(float_c_t: bool = True) -> CouplingMap:
    """Four coefficients L_dipole, L_T_u, L_T_d, L_T_s in units of 1e-9 and 1e-6, with a dipole shift that grows with c_T."""
    unit = [
        couplings(1e-9, 0, 0),
        couplings(1e-10, 0.8e-6, -0.2e-6),
        couplings(2e-10, -0.2e-6, 0.8e-6),
        couplings(1e-9, -3e-9, -3e-9),
    ]
    shift = [0.0, -1.2e-9, 0.6e-9, 0.6e-9]
    base = np.asarray([couplings_to_vector(c) for c in unit])
    slope = np.asarray([couplings_to_vector(couplings(s, 0, 0)) for s in shift])

    def coordinates(theory):
        return jnp.asarray(base) + theory["theory.c_T"] * jnp.asarray(slope)

    samples = (base, base - 3.0 * slope) if float_c_t else (base - 2.9 * slope,)
    return CouplingMap(coordinates, samples, (frozenset({0, 1, 2}),) * 4)


def synthetic_joint(
    method: str = "templates", priors: dict | None = None, scale: float = 1.0, tolerance: float | dict[str, float] = 5e-5
) -> JointLikelihood:
    """Joint likelihood of both synthetic experiments; `priors` replaces coefficient priors (in units of 1e-9 or 1e-6)."""
    experiments = (solar_like(scale), nuclear_like(scale))
    names = ("L_dipole", "L_T_u", "L_T_d", "L_T_s")
    defaults = dict.fromkeys(names, dist.Normal(0.0, 10.0))
    defaults["L_dipole"] = dist.Normal(0.0, 30.0)
    chosen = defaults | (priors or {})
    parameters = [
        Parameter(
            n, "coefficient", "GeV^-1" if n == "L_dipole" else "GeV^-2", chosen[n], 0.0, float(jnp.sqrt(chosen[n].variance))
        )
        for n in names
    ]
    parameters.append(Parameter("theory.c_T", "theory", "1", dist.Normal(-2.9, 0.3), -2.9, 0.3))
    for e in experiments:
        parameters += [Parameter(n, "nuisance", "1", prior, 0.0, 1.0) for n, prior in e.pulls.items()]
    identified = (
        Identified("mu", "1e-9 GeV^-1", "moment", lambda c: jnp.real(c.dipole[0, :1]) / 1e-9),
        Identified(
            "t", "1e-6 GeV^-2", "tensor charge", lambda c: jnp.real(5 * c.tensor_p[1, 1:2] + 8 * c.tensor_n[1, 1:2]) / 1e-6
        ),
    )
    return JointLikelihood(experiments, parameters, coupling_map(), identified, method=method, tolerance=tolerance)
