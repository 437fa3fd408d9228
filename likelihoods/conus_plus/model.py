"""Recoils of reactor antineutrinos on natural germanium above a threshold of ionisation energy.

    N = exposure * flux * sum_i f_i / (mass per nucleus) int dT dR_i/dT P(E_ion > threshold | T)

over the isotopes of germanium. Nothing in it depends on pulls, so that recoils and isotopes are summed when the model is built.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
import numpy as np
from scipy.stats import norm

from nmmfit.cevns_signal import natural_element
from nmmfit.experiment import TheoryChoices
from nmmfit.numerics.quadrature import gauss_legendre
from nmmfit.physics.folded import FoldedKernels, fold_cevns, form_factor_product
from nmmfit.physics.form_factors import form_factor
from nmmfit.physics.forms import Forms, TargetCouplings, quadratic_forms
from nmmfit.physics.kinematics import max_recoil_energy, min_neutrino_energy, momentum_transfer
from nmmfit.physics.nuclei import Nucleus, target_spin
from nmmfit.physics.quenching import Quenching, germanium_quenching, recoil_energy_mev
from nmmfit.physics.rates import SourceNodes
from nmmfit.physics.reactor import ReactorSpectrum, reactor_flux_cm2_s, reactor_source
from nmmfit.shapes import Array
from nmmfit.units import SECONDS_PER_DAY

from .options import Options

NAME = "conus_plus"
# arXiv:2407.11912 (abstract) and arXiv:2501.05206.
THERMAL_POWER_GW, DISTANCE_M = 3.6, 20.7
EXPOSURE_KG_DAY = 327.0

EV_PER_MEV = 1.0e6
_FWHM_PER_SIGMA = 2.0 * np.sqrt(2.0 * np.log(2.0))
# How far below the threshold, in standard deviations of the resolution, recoils are followed.
_REACH = 6.0
# Nodes over recoils, and over energies in each panel of the source: both integrals to 1e-5.
_ORDER, _PANEL_ORDER = 40, 2
# Antineutrinos below this energy make recoils below every usual threshold.
_FROM_MEV = 3.0


@dataclass(frozen=True)
class CountedRecoils:
    """Number of recoils above threshold as a function of the forms, of a full exposure at full efficiency."""

    kernels: FoldedKernels
    quenching: str
    largest_ionisation_ev: float

    @property
    def forms(self) -> tuple[str, ...]:
        """Forms that the number depends on, beside `sm`."""
        return tuple(self.kernels.forms)

    def counts(self, forms: Forms) -> Array:
        """Number of recoils, (1,)."""
        return self.kernels.spectrum(forms, np.ones(1), np.ones(1))

    @property
    def standard_model(self) -> float:
        """Number of recoils in the Standard Model."""
        return float(self.counts(quadratic_forms(TargetCouplings.zero()))[0])


def counted_recoils(theory: TheoryChoices, options: Options) -> CountedRecoils:
    """Fold source, cross sections, quenching and threshold.

    Raises: UserInputError for a tensor coherence that a nucleus does not have, or another unknown choice.
    """
    spectrum = ReactorSpectrum(model=options.spectrum)
    source, quenching = reactor_source(spectrum), germanium_quenching(options.quenching, options.lindhard_k)
    # Isotopes with their numbers of nuclei times days.
    mixture = natural_element(EXPOSURE_KG_DAY, "Ge").nuclides
    fluence = reactor_flux_cm2_s(THERMAL_POWER_GW, DISTANCE_M, spectrum) * SECONDS_PER_DAY
    grids = [counted(quenching, float(max_recoil_energy(source.e_max_mev, n.mass_mev)), options) for n, _ in mixture]
    thresholds = [np.asarray(min_neutrino_energy(t, n.mass_mev)) for (t, _), (n, _) in zip(grids, mixture, strict=True)]
    # Of all isotopes together, and from a fixed energy on: one program folds them all, whatever the threshold.
    nodes = source.nodes(np.stack([*thresholds, np.full_like(thresholds[0], _FROM_MEV)]), order=_PANEL_ORDER)
    sums = [
        _summed(n, replace(nodes, energy_mev=nodes.energy_mev[k], weight=nodes.weight[k] * fluence * number), grids[k], theory)
        for k, (n, number) in enumerate(mixture)
    ]
    largest = max(float(quenching(max_recoil_energy(source.e_max_mev, n.mass_mev))) for n, _ in mixture)
    return CountedRecoils(
        FoldedKernels(
            {key: jnp.sum(jnp.stack([s.sm[key] for s in sums]), axis=0) for key in sums[0].sm},
            {key: jnp.sum(jnp.stack([s.forms[key] for s in sums]), axis=0) for key in sums[0].forms},
        ),
        quenching.describe(),
        largest * EV_PER_MEV,
    )


def _summed(nucleus: Nucleus, nodes: SourceNodes, grid: tuple[np.ndarray, np.ndarray], theory: TheoryChoices) -> FoldedKernels:
    """Kernels of one isotope with form factors, summed over recoils with their weights: a recoil axis of length 1."""
    profile: Callable[[Any, Any], Array] = form_factor(theory.form_factor)
    t_mev, weight = grid
    q_mev = np.asarray(momentum_transfer(t_mev, nucleus.mass_mev))
    f_p, f_n = np.asarray(profile(q_mev, nucleus.r_p_fm)), np.asarray(profile(q_mev, nucleus.r_n_fm))
    spin = target_spin(nucleus, theory.nuclear_spin)
    kernels = fold_cevns(nodes, t_mev, nucleus, theory.weak_charges, theory.tensor_coherence, spin)
    products = {"pp": f_p**2, "pn": f_p * f_n, "nn": f_n**2}
    weights = {key: weight * product for key, product in products.items()}
    return FoldedKernels(
        {key: np.sum(weights[key] * kernel, keepdims=True) for key, kernel in kernels.sm.items()},
        {
            name: np.einsum("t,tij->ij", weights[form_factor_product(name)], kernel)[None]
            for name, kernel in kernels.forms.items()
        },
    )


def counted(quenching: Quenching, t_max_mev: float, options: Options) -> tuple[np.ndarray, np.ndarray]:
    """Recoil energies and weights, each (recoil,), MeV: sum(weight * f(T)) is the integral of f over the recoils that count.

    Gauss-Legendre in log T from the threshold on, or from where the resolution lets recoils pass it.
    """
    sigma = options.fwhm_ev / _FWHM_PER_SIGMA
    lowest = max(options.threshold_ev - _REACH * sigma, 1.0)
    low = float(recoil_energy_mev(quenching, lowest / EV_PER_MEV))
    log_t, weight = gauss_legendre(_ORDER, np.log(low), np.log(t_max_mev))
    t = np.exp(log_t)
    if sigma == 0.0:
        return t, weight * t
    above = norm.cdf((np.asarray(quenching(t)) * EV_PER_MEV - options.threshold_ev) / sigma)
    return t, weight * t * above
