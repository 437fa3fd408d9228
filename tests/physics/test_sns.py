"""SNS neutrinos: closed forms of decay at rest, and arrival times against the released histogram and direct integration."""

from __future__ import annotations

import filecmp
from itertools import pairwise
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, interpolate

from nmmfit.errors import DataError, UserInputError
from nmmfit.physics import make_sns_data
from nmmfit.physics.sns import (
    SNS_SOURCES,
    arrival_fraction,
    arrival_time,
    flux_per_pot_cm2,
    michel_nu_e,
    michel_nu_mu_bar,
    sns_flux_scale,
    sns_sources,
)
from nmmfit.tables import read_table

DATA = Path(make_sns_data.__file__).parent / "data"
CSI_EDGES_US = np.array([0.0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0, 2.0, 4.0, 6.0])
M_MU = 105.6583755


def efficiency(t: jnp.ndarray) -> jnp.ndarray:
    """CsI 2021 (arXiv:2110.07730): 1 until 0.52 us, then exp(-0.0494 (t - 0.52))."""
    return jnp.exp(-0.0494 * jnp.maximum(t - 0.52, 0.0))


@pytest.mark.parametrize(("spectrum", "mean"), [(michel_nu_mu_bar, 36.98), (michel_nu_e, 31.70)])
def test_michel_spectra(spectrum, mean: float) -> None:
    assert integrate.quad(spectrum, 0.0, 60.0, points=[M_MU / 2], epsabs=0)[0] == pytest.approx(1.0, abs=1e-12)
    first = integrate.quad(lambda e: e * spectrum(e), 0.0, 60.0, points=[M_MU / 2], epsabs=0)[0]
    assert first == pytest.approx(mean, abs=0.005)
    assert spectrum(-1.0) == spectrum(M_MU / 2 + 1e-9) == 0.0
    assert spectrum(M_MU / 2) == pytest.approx(64.0 / M_MU / 16.0 if spectrum is michel_nu_mu_bar else 0.0, abs=1e-15)


def test_prompt_line() -> None:
    source = sns_sources()["prompt_nu_mu"]
    # Two-body decay: E = (m_pi^2 - m_mu^2) / 2 m_pi.
    assert source.lines_mev[0] == pytest.approx(29.792, abs=5e-4)
    np.testing.assert_array_equal(source.quadrature(np.array([29.0, 30.0]))[1], [[1.0], [0.0]])


def test_sources_have_the_right_flavour_and_helicity() -> None:
    sources = sns_sources()
    assert tuple(sources) == SNS_SOURCES
    for name, flavour, anti in (("prompt_nu_mu", 1, False), ("delayed_nu_mu_bar", 1, True), ("delayed_nu_e", 0, False)):
        nodes = sources[name].nodes(np.array([0.0, 20.0]), order=8)
        expected = np.zeros((3, 3))
        expected[flavour, flavour] = 1.0
        np.testing.assert_array_equal(np.broadcast_to(nodes.density, (2, 8, 3, 3))[1, 3], expected)
        assert nodes.antineutrino is anti


@pytest.mark.parametrize("name", ["delayed_nu_mu_bar", "delayed_nu_e"])
def test_delayed_weights_above_threshold(name: str) -> None:
    source = sns_sources()[name]
    thresholds = np.array([0.0, 11.0, 52.0, 60.0])
    energy, weight = source.quadrature(thresholds, order=8)
    for t, total, over in zip(thresholds, weight.sum(-1), (weight / np.maximum(energy, 1.0) ** 0).sum(-1), strict=True):
        upper = max(t, M_MU / 2)
        assert (
            total
            == over
            == pytest.approx(integrate.quad(source.spectrum, t, upper, epsabs=0)[0] if t < upper else 0.0, abs=1e-13)
        )


def test_flux() -> None:
    """1 MW at 1 GeV: 6.24e15 protons per second, r = 0.0848, 19.3 m: 1.13e7 per cm^2 per s and flavour."""
    assert 6.2415e15 * flux_per_pot_cm2(19.3, 0.0848) == pytest.approx(1.13e7, rel=2e-3)
    assert flux_per_pot_cm2(10.0, 0.1) == pytest.approx(4 * flux_per_pot_cm2(20.0, 0.1), rel=1e-14)
    for bad in (0.0, -1.0, np.inf):
        with pytest.raises(UserInputError, match="distance_m must be positive"):
            flux_per_pot_cm2(bad, 0.08)


def test_flux_pull() -> None:
    assert float(sns_flux_scale({"sns.flux": jnp.asarray(0.0)})) == 1.0
    assert float(sns_flux_scale({"sns.flux": jnp.asarray(1.0)})) == pytest.approx(1.1, rel=1e-14)
    assert float(sns_flux_scale({"sns.flux": jnp.asarray(-20.0)})) > 0.0


@pytest.mark.parametrize("source", SNS_SOURCES)
def test_arrival_times_follow_the_release(source: str, release_dir: Path) -> None:
    path = release_dir / "coherent_csi_2021" / "sns_flux_time_10ns.csv"
    histogram = np.genfromtxt(path, delimiter=",", names=True)[make_sns_data.FLAVOURS[source]]
    reference = np.concatenate([[0.0], np.cumsum(histogram)])
    every_edge = np.asarray(arrival_time(source).cumulative(0.01 * np.arange(len(reference))))
    np.testing.assert_allclose(every_edge, reference, atol=1.5e-5)  # thinned beyond 1.6 us, every edge before
    np.testing.assert_allclose(every_edge[:161], reference[:161], atol=1e-7)
    index = np.round(CSI_EDGES_US / 0.01).astype(int)  # 0.125 us is no edge of the release: compare where both have one
    shared = np.isclose(index * 0.01, CSI_EDGES_US)
    edges = CSI_EDGES_US[shared]
    np.testing.assert_allclose(arrival_fraction(source, edges), np.diff(reference[index[shared]]), atol=3e-5)


def test_pulse_and_lifetimes() -> None:
    """Prompt neutrinos follow the proton pulse (mean 501 ns, half maximum at 315 and 675 ns); the delayed decay with 2.197 us."""
    t = np.linspace(0.0, 14.0, 14001)
    density = {s: np.gradient(np.asarray(arrival_time(s).cumulative(t)), t) for s in SNS_SOURCES}
    pulse = density["prompt_nu_mu"]
    assert np.trapezoid(t * pulse, t) == pytest.approx(0.501, abs=0.003)
    above = t[pulse > 0.5 * pulse.max()]
    assert above[0] == pytest.approx(0.315, abs=0.01)
    assert above[-1] == pytest.approx(0.675, abs=0.01)
    for s in ("delayed_nu_mu_bar", "delayed_nu_e"):
        late = (t > 2.0) & (t < 8.0)
        lifetime = -1.0 / np.polyfit(t[late], np.log(density[s][late]), 1)[0]
        assert lifetime == pytest.approx(2.197, rel=0.01)
    for values in density.values():
        assert values.min() > -1e-10


@pytest.mark.parametrize("source", SNS_SOURCES)
def test_fractions_without_and_with_offset(source: str) -> None:
    fractions = np.asarray(arrival_fraction(source, CSI_EDGES_US))
    assert np.all(fractions > 0.0)
    assert fractions.sum() <= 1.0
    np.testing.assert_allclose(arrival_fraction(source, CSI_EDGES_US + 0.1, 0.1), fractions, atol=1e-12)
    merged = arrival_fraction(source, CSI_EDGES_US[[0, 4, 8, 11]], 0.06)
    apart = np.asarray(arrival_fraction(source, CSI_EDGES_US, 0.06))
    np.testing.assert_allclose(merged, [apart[:4].sum(), apart[4:8].sum(), apart[8:].sum()], atol=1e-14)
    before = np.asarray(arrival_fraction(source, np.array([-0.5, -0.1, 0.0]), 0.05))
    np.testing.assert_array_equal(before, 0.0)


@pytest.mark.parametrize("source", SNS_SOURCES)
@pytest.mark.parametrize("offset", [0.0, 0.0613, -0.15])
def test_efficiency_is_applied_under_the_integral(source: str, offset: float) -> None:
    """Against adaptive integration of scipy's spline derivative times the efficiency."""
    table = read_table(DATA / "sns_arrival_time.csv")
    density = interpolate.CubicSpline(table["time_us"], table[f"cdf_{source}"], bc_type="clamped").derivative()
    actual = np.asarray(jax.jit(lambda x: arrival_fraction(source, CSI_EDGES_US, x, efficiency, (0.52,)))(offset))
    for k, (a, b) in enumerate(pairwise(CSI_EDGES_US)):
        cuts = np.unique(np.clip(np.concatenate([[a, b, 0.52, offset], table["time_us"] + offset]), a, b))
        x, w = np.polynomial.legendre.leggauss(4)
        t = 0.5 * (cuts[1:] + cuts[:-1])[:, None] + 0.5 * np.diff(cuts)[:, None] * x
        values = np.where(t > offset, density(np.maximum(t - offset, 0.0)), 0.0) * np.asarray(efficiency(t))
        reference = (0.5 * np.diff(cuts)[:, None] * w * values).sum()
        assert actual[k] == pytest.approx(reference, abs=1e-8)
    np.testing.assert_allclose(
        arrival_fraction(source, CSI_EDGES_US, offset, lambda t: jnp.ones_like(t)), arrival_fraction(source, CSI_EDGES_US, offset)
    )


def test_offset_is_twice_differentiable() -> None:
    """Against central differences off the 10-ns knots (third derivatives jump there), and continuous across them."""

    def f(x: jnp.ndarray) -> jnp.ndarray:
        return arrival_fraction("prompt_nu_mu", CSI_EDGES_US, x, efficiency, (0.52,))

    value, slope, curvature = (jax.jit(g) for g in (f, jax.jacrev(f), jax.jacfwd(jax.jacrev(f))))
    h = 1e-5
    for offset in (-0.12, 0.0, 0.06, 0.3):
        x = offset + 0.0043
        np.testing.assert_allclose(slope(x), (value(x + h) - value(x - h)) / (2 * h), atol=1e-6)
        np.testing.assert_allclose(curvature(x), (slope(x + h) - slope(x - h)) / (2 * h), atol=1e-3)
        # At offset 0 the first edge meets the table's start, where the curvature steps by 3e-4 of its 10 per us^2.
        np.testing.assert_allclose(curvature(offset - 1e-9), curvature(offset + 1e-9), atol=1e-3)
        assert np.abs(curvature(x)).max() > 1.0


def test_rebuild_gives_the_same_bytes(release_dir: Path, tmp_path: Path) -> None:
    assert make_sns_data.main(["--release", str(release_dir), "--out", str(tmp_path)]) == 0
    assert [p.name for p in tmp_path.iterdir()] == ["sns_arrival_time.csv"]
    assert filecmp.cmp(DATA / "sns_arrival_time.csv", tmp_path / "sns_arrival_time.csv", shallow=False)


def test_flux_outside_decay_at_rest_is_small(release_dir: Path) -> None:
    meta = read_table(DATA / "sns_arrival_time.csv").meta
    spectrum = np.genfromtxt(release_dir / "coherent_csi_2021" / "sns_flux_energy_1MeV.csv", delimiter=",", names=True)
    outside = 1.0 - spectrum["nuMu"][spectrum["E_label_MeV"] == 30].item() / spectrum["nuMu"].sum()
    stated = float(meta["nu_mu_fraction_below_line"]) + float(meta["nu_mu_fraction_above_line"])
    assert stated == pytest.approx(outside, abs=2e-5)
    assert outside < 0.01
    # The released bins are Michel's spectra to the per mille of the total, bin = label +- 0.5 MeV.
    for column, density in (("nuMuBar", michel_nu_mu_bar), ("nuE", michel_nu_e)):
        bins = [integrate.quad(density, e - 0.5, e + 0.5, points=[M_MU / 2])[0] for e in range(1, 60)]
        assert np.abs(np.cumsum(bins) - np.cumsum(spectrum[column]) / spectrum[column].sum()).max() < 0.01


def test_maker_refuses_broken_releases(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "coherent_csi_2021"
    folder.mkdir()
    assert make_sns_data.main(["--release", str(tmp_path), "--out", str(tmp_path)]) == 2
    assert "cannot be read as columns" in capsys.readouterr().err
    (folder / "sns_flux_time_10ns.csv").write_text("t_lo_ns,t_hi_ns,nuMu,nuMuBar,nuE\n0,10,1,1,1\n20,30,1,1,1\n")
    (folder / "sns_flux_energy_1MeV.csv").write_text("E_label_MeV,nuMu,nuMuBar,nuE,nuEBar\n1,1,1,1,1\n")
    assert make_sns_data.main(["--release", str(tmp_path), "--out", str(tmp_path)]) == 2
    assert "time bins have gaps" in capsys.readouterr().err


def test_bad_requests_are_refused() -> None:
    with pytest.raises(UserInputError, match="did you mean 'delayed_nu_e'"):
        arrival_time("nu_e")
    with pytest.raises(UserInputError, match="increasing"):
        arrival_fraction("delayed_nu_e", [1.0, 0.0])
    with pytest.raises(DataError, match=r"bins to 14\.5 us"):
        arrival_fraction("delayed_nu_e", [0.0, 14.5])
