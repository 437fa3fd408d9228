"""A made-up argon detector at the Spallation Neutron Source: four bins of energy, invented counts, an example to copy."""

from __future__ import annotations

from importlib.resources import files

import jax.numpy as jnp
import numpy as np
from numpyro import distributions as dist
from pydantic import BaseModel, ConfigDict

from nmmfit.experiment import BinnedExperiment, Channel, Component, Factor, Pulls, TheoryChoices
from nmmfit.listing import Listing
from nmmfit.physics.detector import gaussian_bin_probabilities
from nmmfit.physics.folded import fold_cevns
from nmmfit.physics.form_factors import form_factor
from nmmfit.physics.forms import Forms
from nmmfit.physics.kinematics import max_recoil_energy, min_neutrino_energy, momentum_transfer
from nmmfit.physics.nuclei import nucleus
from nmmfit.physics.sns import flux_per_pot_cm2, sns_flux_scale, sns_pull_priors, sns_sources
from nmmfit.physics.sources import NeutrinoSource, flavour_projector
from nmmfit.shapes import Array
from nmmfit.tables import Table, bin_grid, read_table
from nmmfit.units import AVOGADRO_PER_MOL, KEV_PER_MEV

# Read from this text by `nmmfit list experiments`, so that the arguments are literals.
LISTING = Listing(kind="projection", status="invented numbers, no data", in_all=False)

# All made up, as PROVENANCE.md says: a real experiment gives a source for each number.
MASS_G, MOLAR_MASS_G, DISTANCE_M = 25e3, 39.96, 28.0
PROTONS, NEUTRINOS_PER_PROTON = 3e23, 0.09
QUENCHING_WIDTH, BACKGROUND_WIDTH, RADIUS_WIDTH = 0.05, 0.10, 0.02

QUENCHING, BACKGROUND, RADIUS = "my_experiment.quenching", "my_experiment.background", "theory.rn_ar40"


class Options(BaseModel):
    """Options of `build`, the keys of a run file's [options.my_experiment]; the quenching factor at nominal."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    quenching_factor: float = 0.25


def build(theory: TheoryChoices = TheoryChoices(), quenching_factor: float = 0.25) -> BinnedExperiment:  # noqa: B008 (frozen)
    """Read the table, fold the kernels, and put the parts together."""
    table = read_table(files(__name__) / "data" / "counts.csv")
    (edges_kevee,) = bin_grid(table, (("energy_low_kevee", "energy_high_kevee"),))
    signal = [_signal(source, table, edges_kevee, theory, quenching_factor) for source in sns_sources().values()]
    background = Component("background", (_constant(table["background"]),), _background_scale, (BACKGROUND,))
    return BinnedExperiment(
        name="my_experiment",
        title="An argon detector at the SNS, made up as an example",
        channels=(Channel("counts", table["observed"], (*signal, background), {"energy_kevee": edges_kevee}),),
        pulls={**sns_pull_priors(), **{pull: dist.Normal(0.0, 1.0) for pull in (QUENCHING, BACKGROUND, RADIUS)}},
        references=("none: invented for the documentation of nmmfit",),
        status=LISTING.status,
        choices={"quenching_factor": f"{quenching_factor:g}", "form_factor": theory.form_factor},
        nuclei=("Ar40",),
        effective_moments={"sns_mu": (flavour_projector("mu"), False), "sns_e": (flavour_projector("e"), False)},
    )


def _signal(source: NeutrinoSource, table: Table, edges_kevee: np.ndarray, theory: TheoryChoices, quenching: float) -> Component:
    """Coherent scattering of one source: everything that no pull moves is computed here, once."""
    argon = nucleus("Ar40")
    u, w = np.polynomial.legendre.leggauss(60)
    # T = T_max v^2 makes the dT / T of a magnetic moment regular at small recoils.
    v, t_max = 0.5 * (u + 1.0), float(max_recoil_energy(source.e_max_mev, argon.mass_mev))
    t_mev, weight_mev = t_max * v**2, t_max * v * w
    nodes = source.nodes(np.asarray(min_neutrino_energy(t_mev, argon.mass_mev)), order=16)
    kernels = fold_cevns(nodes, t_mev, argon, theory.weak_charges, theory.tensor_coherence)
    profile, q_mev = form_factor(theory.form_factor), np.asarray(momentum_transfer(t_mev, argon.mass_mev))
    f_p = np.asarray(profile(q_mev, argon.r_p_fm))
    fluence_per_cm2 = PROTONS * flux_per_pot_cm2(DISTANCE_M, NEUTRINOS_PER_PROTON)
    exposure = weight_mev * fluence_per_cm2 * MASS_G / MOLAR_MASS_G * AVOGADRO_PER_MOL

    def counts(forms: Forms, pulls: Pulls) -> Array:
        f_n = profile(q_mev, argon.r_n_fm * (1.0 + RADIUS_WIDTH * pulls[RADIUS]))
        recoils = kernels.spectrum(forms, f_p, f_n) * exposure
        # Exponentials stay positive, however far a pull is moved.
        seen_kevee = quenching * jnp.exp(QUENCHING_WIDTH * pulls[QUENCHING]) * t_mev * KEV_PER_MEV
        smeared = gaussian_bin_probabilities(seen_kevee, 0.3 * jnp.sqrt(seen_kevee + 1.0), edges_kevee)
        return (recoils @ smeared) * table["efficiency"]

    factor = Factor(counts, shape_pulls=(QUENCHING, RADIUS), forms=tuple(kernels.forms))
    return Component(f"cevns_{source.name}", (factor,), sns_flux_scale, ("sns.flux",))


def _constant(values: np.ndarray) -> Factor:
    def function(forms: Forms, pulls: Pulls) -> Array:
        return jnp.asarray(values)

    return Factor(function)


def _background_scale(pulls: Pulls) -> Array:
    return jnp.exp(BACKGROUND_WIDTH * pulls[BACKGROUND])
