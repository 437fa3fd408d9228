"""Reactor antineutrinos: published fluxes, numbers and cross sections per fission, scipy's quadrature, and the rebuilt table."""

from __future__ import annotations

import math
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import quad

from nmmfit.errors import DataError, UserInputError
from nmmfit.physics import make_reactor_data
from nmmfit.physics.make_solar_data import read_numbers
from nmmfit.physics.reactor import (
    ISOTOPES,
    SPECTRA,
    ReactorSpectrum,
    fission_spectrum,
    fissions_per_s,
    reactor_flux_cm2_s,
    reactor_source,
    tabulated_spectrum,
)
from nmmfit.tables import read_table


@pytest.mark.parametrize(
    ("where", "power_gw", "distance_m", "published"),
    [
        ("GEMMA, abstract of arXiv:1005.2736", 3.0, 13.9, 2.7e13),
        ("GEMMA, abstract of arXiv:0705.4576", 3.0, 13.9, 2.73e13),
        ("CONUS, abstract of arXiv:2401.07684, with 3.9 GW at 17.1 m of arXiv:2011.00210", 3.9, 17.1, 2.3e13),
    ],
)
def test_published_fluxes(where: str, power_gw: float, distance_m: float, published: float) -> None:
    """Half of the last digit and the few per cent by which fractions and captures differ between reactors."""
    assert reactor_flux_cm2_s(power_gw, distance_m) == pytest.approx(published, rel=0.03)


def test_about_six_antineutrinos_per_fission_and_two_per_capture() -> None:
    """6.14 (235U), 7.08 (238U), 5.58 (239Pu), 6.42 (241Pu) are quoted in the literature (from memory); within 4 %."""
    for isotope, number in zip(ISOTOPES, (6.14, 7.08, 5.58, 6.42), strict=True):
        assert ReactorSpectrum({isotope: 1.0}, captures=0.0).antineutrinos_per_fission() == pytest.approx(number, rel=0.04)
    captured = (
        ReactorSpectrum(captures=0.6).antineutrinos_per_fission() - ReactorSpectrum(captures=0.0).antineutrinos_per_fission()
    )
    assert captured == pytest.approx(0.6 * 2.0, rel=1e-5)


def inverse_beta_decay_cm2(e: float) -> float:
    """Cross section on protons, astro-ph/0302055, eq. (25): good to some per mille below 300 MeV."""
    positron = e - 1.293332
    momentum = math.sqrt(max(positron**2 - 0.510999**2, 0.0))
    log = math.log(e)
    return 1e-43 * momentum * positron * e ** (-0.07056 + 0.02018 * log - 0.001953 * log**3)


def test_cross_section_per_fission() -> None:
    """Huber-Mueller: 6.69, 10.10, 4.40, 6.03 e-43 cm^2 per fission (as in arXiv:1704.02276; from memory), errors 2 to 8 %.

    Their ratio for 235U and 239Pu is 1.054 times the 1.45 of the abstract of arXiv:2103.01684.
    """
    found = {}
    for isotope, published in zip(ISOTOPES, (6.69e-43, 10.10e-43, 4.40e-43, 6.03e-43), strict=True):
        pieces = [
            quad(lambda e, i=isotope: float(fission_spectrum(i, e)) * inverse_beta_decay_cm2(e), a, b, limit=200, epsrel=1e-6)[0]
            for a, b in ((1.8061, 2.0), (2.0, 8.0), (8.0, 12.5))
        ]
        found[isotope] = sum(pieces)
        assert found[isotope] == pytest.approx(published, rel=0.015)
    assert found["u235"] / found["pu239"] == pytest.approx(1.45 * 1.054, rel=0.01)


def second_moment_above(low: float, model: str) -> float:
    """Integral of E^2 dN/dE above a threshold: scipy over the polynomials, bins of the table by hand."""
    table = read_table(files("nmmfit.physics") / "data" / "reactor_spectrum.csv")
    fractions = {"u235": 0.58, "u238": 0.07, "pu239": 0.30, "pu241": 0.05}
    edges = 0.025 * np.arange(501)
    cubes = np.diff(np.maximum(edges, low) ** 3) / 3.0
    tabulated = (edges[:-1] < 1.99) | (edges[:-1] > 7.99) if model == "huber_mueller" else np.full(500, True)
    total = sum(f * np.sum((cubes * table[name])[tabulated]) for name, f in fractions.items())
    total += 0.6 * np.sum(cubes * (table["u239"] + table["np239"]))
    if model == "huber_mueller" and low < 8.0:
        for name, f in fractions.items():
            total += f * quad(lambda e, n=name: float(fission_spectrum(n, e)) * e**2, max(low, 2.0), 8.0, epsrel=1e-12)[0]
    return float(total)


@pytest.mark.parametrize("model", SPECTRA)
def test_nodes_integrate_the_spectrum_above_thresholds(model: str) -> None:
    spectrum = ReactorSpectrum(model=model)
    source, total = reactor_source(spectrum), spectrum.antineutrinos_per_fission()
    thresholds = np.array([0.0, 0.013, 1.8113, 2.71, 7.993, 12.4, 12.5, 20.0])
    energy, weight = source.quadrature(thresholds)
    expected = [second_moment_above(low, model) for low in thresholds]
    np.testing.assert_allclose(total * np.sum(weight * energy**2, axis=-1), expected, rtol=1e-9, atol=1e-30)
    assert weight[0].sum() == pytest.approx(1.0, rel=1e-9)
    assert np.all(np.isfinite(energy))
    # a high threshold alone leaves out the panels below it
    fewer = source.quadrature(np.array([7.993]))[0]
    assert fewer.shape[-1] < energy.shape[-1]
    assert total * np.sum(source.quadrature(7.993)[1]) == pytest.approx(total * weight[4].sum(), rel=1e-12)


def test_source_is_pure_electron_antineutrinos() -> None:
    source = reactor_source()
    assert source.antineutrino
    np.testing.assert_allclose(source.mean_density(e_min_mev=3.0), np.diag([1.0, 0.0, 0.0]), atol=1e-14)


def test_polynomials_are_those_of_the_published_table(release_dir: Path) -> None:
    """Huber's own points from 2.5 to 7 MeV scatter around his parametrisation by 2.6 % and less on average."""
    for isotope in ("u235", "pu239", "pu241"):
        rows = read_numbers(release_dir / "reactor_flux" / f"huber_{isotope}.txt", 2)
        used = (rows[:, 0] >= 2.0) & (rows[:, 0] <= 7.0)
        ratio = fission_spectrum(isotope, rows[used, 0]) / rows[used, 1]
        assert np.mean(ratio) == pytest.approx(1.0, abs=0.012)
        assert np.std(ratio) < 0.045


def test_flux_is_power_over_heat_per_fission() -> None:
    """3 GW are 9.2e19 fissions per second; the flux falls with the square of the distance and follows the fractions."""
    only = ReactorSpectrum({"u235": 1.0})
    assert fissions_per_s(3.0, only) == pytest.approx(3e9 / (202.36 * 1.602176634e-13), rel=1e-12)
    assert reactor_flux_cm2_s(3.0, 10.0, only) == pytest.approx(4.0 * reactor_flux_cm2_s(3.0, 20.0, only), rel=1e-12)


def test_bins_of_the_table_are_constant_and_end() -> None:
    table = read_table(files("nmmfit.physics") / "data" / "reactor_spectrum.csv")
    np.testing.assert_array_equal(tabulated_spectrum("u235", np.array([0.0, 0.0249, 0.025, 1.0])), table["u235"][[0, 0, 1, 40]])
    np.testing.assert_array_equal(tabulated_spectrum("u235", np.array([-0.1, 12.5, 13.0])), 0.0)
    assert float(tabulated_spectrum("np239", np.array(0.73))) == pytest.approx(0.0, abs=1e-300)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fractions": {"u235": 0.9}}, "must sum to 1, got 0.9"),
        ({"fractions": {"u23": 1.0}}, "fractions: unknown fissile isotope 'u23'"),
        ({"fractions": {"u235": 1.5, "u238": -0.5}}, r"fractions\.u235: a fraction of fissions lies in \[0, 1\], got 1.5"),
        ({"captures": -0.1}, "captures per fission must be >= 0"),
        ({"model": "huber"}, "unknown reactor spectrum 'huber'; did you mean 'huber_mueller'"),
    ],
)
def test_impossible_cores_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UserInputError, match=message):
        ReactorSpectrum(**arguments)  # type: ignore[arg-type]


def test_impossible_places_are_refused() -> None:
    with pytest.raises(UserInputError, match="thermal_power_gw must be positive"):
        reactor_flux_cm2_s(0.0, 10.0)
    with pytest.raises(UserInputError, match="distance_m must be positive"):
        reactor_flux_cm2_s(3.0, -1.0)
    with pytest.raises(UserInputError, match="unknown fissile isotope"):
        fission_spectrum("u233", np.array([3.0]))


def test_table_is_rebuilt_from_the_release(release_dir: Path, tmp_path: Path) -> None:
    make_reactor_data.make(release_dir, tmp_path)
    assert (tmp_path / "reactor_spectrum.csv").read_bytes() == (
        files("nmmfit.physics") / "data" / "reactor_spectrum.csv"
    ).read_bytes()


def test_a_release_with_other_bins_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "reactor_flux"
    folder.mkdir()
    (folder / "bestiole_u235.txt").write_text("# title\n0.0125, 1.0\n0.05, 1.0\n")
    with pytest.raises(DataError, match=r"bestiole_u235\.txt: energies are not the centres of 500 bins"):
        make_reactor_data.make(tmp_path, tmp_path)
