"""The source abstraction: weights, thresholds and densities of lines and of a continuous spectrum with known integrals."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmmfit.errors import UserInputError
from nmmfit.physics.rates import recoil_spectrum
from nmmfit.physics.sources import NeutrinoSource, flavour_projector, pure_flavour

LINES = NeutrinoSource("two", False, 2.0, pure_flavour("e"), lines_mev=(0.5, 2.0), branching=(0.25, 0.75))
# 3 E^2 / 8 on [0, 2].
PARABOLA = NeutrinoSource(
    "parabola", True, 2.0, pure_flavour("mu"), spectrum=lambda e: np.where(e <= 2.0, 0.375 * e**2, 0.0), smooth_ends=False
)


def test_lines_switch_off_above_their_energy() -> None:
    energy, weight = LINES.quadrature(np.array([0.0, 0.5, 0.6, 2.0, 2.1]))
    np.testing.assert_array_equal(energy, [0.5, 2.0])
    np.testing.assert_array_equal(weight, [[0.25, 0.75], [0.25, 0.75], [0.0, 0.75], [0.0, 0.75], [0.0, 0.0]])


@pytest.mark.parametrize("smooth_ends", [False, True])
def test_continuous_weights_integrate_above_the_threshold(smooth_ends: bool) -> None:
    source = NeutrinoSource("p", False, 2.0, pure_flavour("e"), spectrum=PARABOLA.spectrum, smooth_ends=smooth_ends)
    thresholds = np.array([0.0, 0.3, 1.9, 2.0, 5.0])
    nodes = source.nodes(thresholds, order=20)
    assert nodes.energy_mev.shape == nodes.weight.shape == (5, 20)
    inside = np.minimum(thresholds, 2.0)
    np.testing.assert_allclose(nodes.weight.sum(-1), 1.0 - inside**3 / 8.0, atol=1e-13)
    np.testing.assert_allclose((nodes.weight * nodes.energy_mev).sum(-1), 0.375 * (16.0 - inside**4) / 4.0, atol=1e-13)
    assert np.all(np.isfinite(nodes.energy_mev))
    assert np.all(nodes.energy_mev >= inside[:, None] - 1e-12)


def test_scalar_threshold_has_no_recoil_axis() -> None:
    assert PARABOLA.nodes(order=4).energy_mev.shape == (4,)
    assert LINES.nodes().weight.shape == (2,)


def test_nodes_enter_the_recoil_spectrum() -> None:
    """d sigma / dT = 1 for flavour mu above threshold: the rate is the fraction of the spectrum above it."""
    e_min = jnp.array([0.0, 1.0])
    nodes = PARABOLA.nodes(np.asarray(e_min), order=8)
    kernel = jnp.stack([jnp.zeros((2, 8)), jnp.ones((2, 8)), 7.0 * jnp.ones((2, 8))])
    rate = jax.jit(lambda n: recoil_spectrum({"sm": jnp.asarray(1.0)}, n, kernel, {}))(nodes)
    np.testing.assert_allclose(rate, [1.0, 7.0 / 8.0], rtol=1e-13)
    assert nodes.antineutrino


def test_mean_density_is_the_average_over_the_spectrum() -> None:
    """rho = diag(x, 1 - x, 0) with x = E / 2: above E_0 its mean is that of x over 3 E^2 / 8."""
    tilted = NeutrinoSource(
        "tilted",
        False,
        2.0,
        lambda e, _: jnp.stack([e / 2, 1 - e / 2, 0 * e], -1)[..., None] * jnp.eye(3),
        spectrum=PARABOLA.spectrum,
    )
    np.testing.assert_allclose(tilted.mean_density(), np.diag([0.75, 0.25, 0.0]), atol=1e-12)
    mean = 0.375 * (16 - 1) / 4 / 2 / (1 - 1 / 8)
    np.testing.assert_allclose(tilted.mean_density(e_min_mev=1.0), np.diag([mean, 1 - mean, 0.0]), atol=1e-12)
    np.testing.assert_allclose(LINES.mean_density(e_min_mev=1.0), flavour_projector("e"), atol=1e-15)
    with pytest.raises(UserInputError, match="nothing above 3 MeV"):
        LINES.mean_density(e_min_mev=3.0)


def test_projectors() -> None:
    for i, flavour in enumerate(("e", "mu", "tau")):
        expected = np.zeros((3, 3))
        expected[i, i] = 1.0
        np.testing.assert_array_equal(flavour_projector(flavour), expected)
    with pytest.raises(UserInputError, match="e, mu, tau"):
        flavour_projector("muon")


STEPS = NeutrinoSource(
    "steps",
    False,
    2.0,
    pure_flavour("e"),
    spectrum=lambda e: np.where(e < 0.7, 1.0, np.where(e <= 2.0, 0.3 / 1.3, 0.0)),
    panels_mev=(0.0, 0.7, 2.0),
)


def test_a_spectrum_with_steps_is_integrated_between_them() -> None:
    energy, weight = STEPS.quadrature(np.array([0.0, 0.6, 0.7, 1.0, 3.0]))
    low, high = np.array([0.0, 0.6, 0.7, 0.7, 0.7]), np.array([0.7, 0.7, 0.7, 1.0, 2.0])
    expected = (0.7**3 - np.minimum(low, 0.7) ** 3) / 3 + 0.3 / 1.3 * (8.0 - high**3) / 3
    np.testing.assert_allclose((weight * energy**2).sum(-1), expected, atol=1e-14)
    assert STEPS.quadrature(0.0, order=5)[0].shape == (10,)
    with pytest.raises(UserInputError, match="panels must increase and end at 2 MeV"):
        NeutrinoSource("bad", False, 2.0, pure_flavour("e"), spectrum=STEPS.spectrum, panels_mev=(0.0, 1.0))


def test_sources_that_make_no_sense_are_refused() -> None:
    with pytest.raises(UserInputError, match="either lines or a continuous"):
        NeutrinoSource("none", False, 1.0, pure_flavour("e"))
    with pytest.raises(UserInputError, match="branching"):
        NeutrinoSource("l", False, 1.0, pure_flavour("e"), lines_mev=(1.0,))
    with pytest.raises(UserInputError, match="finite"):
        LINES.quadrature(np.array([np.nan]))
