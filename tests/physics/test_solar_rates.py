"""Solar neutrino-electron rates in Borexino, from fluxes, spectra, mixing and cross sections together.

Reference: an independent script (BKS radiative corrections, B16-GS98, NuFIT 6.0, production-averaged conversion), and what
Borexino itself expects in its high-metallicity model, arXiv:1707.09279: pp 131.1, 7Be 47.9, pep 2.74, CNO 4.92; all in counts
per day and 100 t.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmmfit.constants import M_ELECTRON_MEV
from nmmfit.numerics.quadrature import gauss_legendre, gauss_legendre_smooth_ends
from nmmfit.physics import electron
from nmmfit.physics.kinematics import max_recoil_energy, min_neutrino_energy
from nmmfit.physics.oscillation import OscillationParameters, oscillation_preset
from nmmfit.physics.rates import SourceNodes, recoil_spectrum
from nmmfit.physics.solar import solar_fluxes, solar_sources
from nmmfit.physics.sources import NeutrinoSource
from nmmfit.units import SECONDS_PER_DAY

ELECTRONS_PER_100_T = 3.307e31
NUFIT = oscillation_preset("nufit60_sk")
M_E = M_ELECTRON_MEV.value


def recoil_grids(source: NeutrinoSource, t_min_mev: float, order: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Recoil nodes and weights, (recoil,): one grid between the ends of successive lines, where the spectrum steps."""
    ends = sorted(float(max_recoil_energy(e, M_E)) for e in source.lines_mev or (source.e_max_mev,))
    rule = gauss_legendre if source.lines_mev else gauss_legendre_smooth_ends
    return [rule(order, a, b) for a, b in zip([t_min_mev, *ends[:-1]], ends, strict=True)]


@partial(jax.jit, static_argnames="radiative")
def integral(nodes: SourceNodes, t_mev: np.ndarray, weight: np.ndarray, radiative: str) -> jax.Array:
    kernel = electron.sm_kernel(nodes.energy_mev, t_mev[:, None], radiative)
    return weight @ recoil_spectrum({"sm": jnp.asarray(1.0)}, nodes, kernel, {})


def rate_cpd_100t(
    component: str,
    radiative: str = "bks",
    t_min_mev: float = 0.0,
    model: str = "b16_gs98",
    oscillation: OscillationParameters = NUFIT,
    order: int = 40,
) -> jax.Array:
    source = solar_sources(model)[component]
    flux, _ = solar_fluxes(model)[component]
    total = jnp.asarray(0.0)
    for t, w in recoil_grids(source, t_min_mev, order):
        nodes = source.nodes(np.asarray(min_neutrino_energy(t, M_E)), oscillation, order)
        total = total + integral(nodes, t, w, radiative)
    return flux * ELECTRONS_PER_100_T * SECONDS_PER_DAY * total


@pytest.mark.parametrize(
    ("component", "expected"),
    [("pp", 131.7), ("be7", 48.0), ("pep", 2.754), ("n13", 2.295), ("o15", 2.543), ("f17", 0.066), ("b8", 0.438)],
)
def test_zero_threshold_rates(component: str, expected: float) -> None:
    assert float(rate_cpd_100t(component)) == pytest.approx(expected, rel=1e-2)


def test_boron_above_3_mev() -> None:
    assert float(rate_cpd_100t("b8", t_min_mev=3.0)) == pytest.approx(0.226, rel=1e-2)


@pytest.mark.parametrize(("component", "expected"), [("pp", 135.7), ("be7", 49.6), ("pep", 2.849)])
def test_tree_level_is_3_percent_higher(component: str, expected: float) -> None:
    assert float(rate_cpd_100t(component, "none")) == pytest.approx(expected, rel=1e-2)


def test_borexino_expects_the_same() -> None:
    for components, expected in ((("pp",), 131.1), (("be7",), 47.9), (("pep",), 2.74), (("n13", "o15", "f17"), 4.92)):
        assert sum(float(rate_cpd_100t(c)) for c in components) == pytest.approx(expected, rel=1e-2)


def test_low_metallicity_lowers_the_temperature_dependent_rates() -> None:
    """AGSS09met / GS98 rates follow the fluxes (conversion differs by less than a per mille): 7Be 4.50/4.93, 13N 2.04/2.78."""
    for component, ratio in (("be7", 4.50 / 4.93), ("n13", 2.04 / 2.78), ("pp", 6.03 / 5.98)):
        both = [float(rate_cpd_100t(component, model=m)) for m in ("b16_agss09met", "b16_gs98")]
        assert both[0] / both[1] == pytest.approx(ratio, rel=1e-3)


@pytest.mark.parametrize("component", ["pp", "be7", "b8"])
def test_forty_nodes_have_converged(component: str) -> None:
    """The rate with the default orders against twice as many nodes in energy and recoil."""
    assert float(rate_cpd_100t(component)) == pytest.approx(float(rate_cpd_100t(component, order=80)), rel=1e-5)


def test_rate_is_differentiable_in_the_mixing_angle() -> None:
    def rate(s12sq: jax.Array) -> jax.Array:
        return rate_cpd_100t("be7", oscillation=OscillationParameters(s12sq=s12sq), order=16)

    slope = float(jax.grad(rate)(0.3085))
    assert slope == pytest.approx(float(rate(0.3086) - rate(0.3084)) / 2e-4, rel=1e-5)
    assert slope < 0.0
