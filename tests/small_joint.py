"""Joint likelihoods small enough to have closed forms: a few bins, one to four coefficients, few pulls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
from numpyro import distributions as dist

from nmmfit.experiment import BinnedExperiment, Channel, Component, Factor
from nmmfit.inference.joint import CouplingMap, JointLikelihood
from nmmfit.inference.parameters import Identified, Parameter
from nmmfit.physics.amplitude_basis import couplings_to_vector
from nmmfit.physics.forms import TargetCouplings

DIPOLE, TENSOR = 1e-9, 1e-6


def couplings(dipole: float = 0.0, tensor_p: float = 0.0, tensor_n: float = 0.0) -> TargetCouplings:
    """Diagonal in nu_e only, in units of 1e-9 GeV^-1 and 1e-6 GeV^-2."""

    def matrix(value: float):
        return jnp.zeros((3, 6), dtype=complex).at[0, 0].set(value)

    values = {"dipole": matrix(dipole * DIPOLE), "tensor_p": matrix(tensor_p * TENSOR), "tensor_n": matrix(tensor_n * TENSOR)}
    return replace(TargetCouplings.zero(), **values)


def counts_of(
    background: Sequence[float], dipole: Sequence[float], tensor_pp=0.0, tensor_nn=0.0, dipole_tensor_p=0.0
) -> Callable[[Mapping, Mapping], jnp.ndarray]:
    """Counts per bin: background + dipole d^2 + tensor_pp t_p^2 + tensor_nn t_n^2 + dipole_tensor_p d t_p."""

    def counts(forms, pulls):
        def entry(name, unit):
            return jnp.real(forms[name][0, 0]) / unit

        return (
            jnp.asarray(background, dtype=float)
            + jnp.asarray(dipole, dtype=float) * entry("dipole", DIPOLE**2)
            + jnp.asarray(tensor_pp, dtype=float) * entry("tensor_pp", TENSOR**2)
            + jnp.asarray(tensor_nn, dtype=float) * entry("tensor_nn", TENSOR**2)
            + jnp.asarray(dipole_tensor_p, dtype=float) * entry("dipole_tensor_p", DIPOLE * TENSOR)
        )

    return counts


FORMS = ("dipole", "tensor_pp", "tensor_nn", "dipole_tensor_p")


def experiment(
    observed: Sequence[float],
    function: Callable,
    pulls: Mapping[str, Callable] | None = None,
    distribution: Callable = dist.Poisson,
    forms: tuple[str, ...] = FORMS,
) -> BinnedExperiment:
    """One channel; `pulls` maps a name to its log of the scale, a function of the pull."""
    scales = pulls or {}
    names = tuple(f"lab.{n}" for n in scales)

    def scale(values):
        return jnp.exp(sum((f(values[f"lab.{n}"]) for n, f in scales.items()), jnp.asarray(0.0)))

    component = Component("all", (Factor(function, (), forms),), scale, names)
    statistic = "poisson" if distribution is dist.Poisson else "other"
    channel = Channel(
        "bins",
        np.asarray(observed, dtype=float),
        (component,),
        {"x": np.arange(len(observed) + 1.0)},
        distribution=distribution,
        statistic=statistic,
    )
    return BinnedExperiment("lab", "Closed form", (channel,), {n: dist.Normal(0.0, 1.0) for n in names})


def quick_joint() -> JointLikelihood:
    """A posterior of one coefficient that compiles quickly."""
    lab = experiment([103.0, 98.0], counts_of([100.0, 100.0], [4.0, 1.0]))
    return joint(lab, {"L": couplings(1.0)})


def pulled_joint() -> JointLikelihood:
    """One coefficient and a nuisance."""
    lab = experiment([105.0, 98.0], counts_of([100.0, 100.0], [4.0, 1.0]), {"norm": lambda x: 0.03 * x})
    return joint(lab, {"L": couplings(1.0)})


def joint(
    lab: BinnedExperiment,
    units: Mapping[str, TargetCouplings],
    shifts: Mapping[str, float] | None = None,
    c_t: dist.Distribution | None = None,
    prior: float = 10.0,
) -> JointLikelihood:
    """Joint likelihood of one experiment; `shifts` are dipoles per coefficient and c_T, which floats with prior `c_t`."""
    names = tuple(units)
    base = np.asarray([couplings_to_vector(units[n]) for n in names])
    slope = np.asarray([couplings_to_vector(couplings((shifts or {}).get(n, 0.0))) for n in names])
    parameters = [Parameter(n, "coefficient", "GeV^-2", dist.Normal(0.0, prior), 0.0, prior) for n in names]
    samples = (base,)
    if c_t is not None:
        center, width = float(c_t.mean), float(c_t.variance) ** 0.5
        parameters.append(Parameter("theory.c_T", "theory", "1", c_t, center, width))
        samples = (base, base + center * slope)

    def coordinates(theory):
        return jnp.asarray(base) + (theory["theory.c_T"] * jnp.asarray(slope) if c_t is not None else 0.0)

    parameters += [Parameter(n, "nuisance", "1", p, 0.0, 1.0) for n, p in lab.pulls.items()]
    identified = (
        Identified("mu", "1e-9 GeV^-1", "moment", lambda c: jnp.real(c.dipole[0, :1]) / DIPOLE),
        Identified("t_p", "1e-6 GeV^-2", "proton tensor", lambda c: jnp.real(c.tensor_p[0, :1]) / TENSOR),
    )
    finals = (frozenset({0}),) * len(names)
    return JointLikelihood((lab,), parameters, CouplingMap(coordinates, samples, finals), identified, method="direct")
