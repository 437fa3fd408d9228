"""Solar neutrinos: the published tables, the radial integrals, rebuilding from the releases, pulls and the gallium rate."""

from __future__ import annotations

import filecmp
from itertools import pairwise
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from nmmfit.errors import DataError, UserInputError
from nmmfit.physics import make_solar_data
from nmmfit.physics.beta_spectrum import allowed_shape
from nmmfit.physics.oscillation import OSCILLATION_PULLS, OscillationParameters, mean_matter_cos_2theta, survival_probability
from nmmfit.physics.solar import (
    GALLIUM_CONTRIBUTIONS,
    SOLAR_COMPONENTS,
    SOLAR_MODELS,
    gallium_log_density,
    gallium_rate_snu,
    production_region,
    solar_flux_scale,
    solar_fluxes,
    solar_pull_priors,
    solar_sources,
    solar_spectrum,
)
from nmmfit.tables import read_table

DATA = Path(make_solar_data.__file__).parent / "data"
CONTINUOUS = ("pp", "b8", "hep", "n13", "o15", "f17")
# Mean energies in MeV with the tolerance that their source and the differences between spectra ask for: J. N. Bahcall, Neutrino
# Astrophysics (1989) and Phys. Rev. C 56, 3391 (1997); 8B: 6.735 +- 0.036 of nucl-th/9601044, an older measurement than ours.
MEAN_ENERGY = {
    "pp": (0.2668, 3e-3), "n13": (0.7067, 3e-3), "o15": (0.9965, 3e-3), "f17": (0.9994, 3e-3),
    "hep": (9.628, 3e-3), "b8": (6.735, 1e-2),
}  # fmt: skip


def test_fluxes_are_those_of_the_paper() -> None:
    """arXiv:1611.09867, table of fluxes (as printed in many places)."""
    gs98, agss = solar_fluxes("b16_gs98"), solar_fluxes("b16_agss09met")
    assert set(gs98) == set(agss) == set(SOLAR_COMPONENTS)
    assert gs98["pp"] == (5.98e10, 0.006)
    assert gs98["be7"] == (4.93e9, 0.06)
    assert gs98["b8"] == (5.46e6, 0.12)
    assert gs98["hep"] == (7.98e3, 0.30)
    assert agss["pp"] == (6.03e10, 0.005)
    assert agss["n13"] == (2.04e8, 0.14)
    # Low metallicity means a cooler core: less of everything that is sensitive to temperature, more pp and pep.
    for component in ("be7", "b8", "n13", "o15", "f17"):
        assert agss[component][0] < gs98[component][0]
    for component in ("pp", "pep"):
        assert agss[component][0] > gs98[component][0]


def test_luminosity_sum_rule() -> None:
    """Every flux carries its share of the Sun's energy: sum_i alpha_i Phi_i = L / 4 pi au^2 (J. N. Bahcall, hep-ph/0108148)."""
    alpha = {
        "pp": 13.0987,
        "pep": 11.9193,
        "hep": 3.7370,
        "be7": 12.6008,
        "b8": 6.6305,
        "n13": 3.4577,
        "o15": 21.5706,
        "f17": 2.363,
    }
    solar_constant = 8.5272e11  # MeV / cm^2 / s
    for model in SOLAR_MODELS:
        total = sum(alpha[c] * flux for c, (flux, _) in solar_fluxes(model).items())
        assert total == pytest.approx(solar_constant, rel=5e-3)


@pytest.mark.parametrize("component", CONTINUOUS)
def test_spectra_are_normalised_positive_and_have_the_known_mean(component: str) -> None:
    spectrum = solar_spectrum(component)
    edges = np.linspace(0.0, spectrum.endpoint_mev, 9)

    def moment(k: int) -> float:
        return sum(
            integrate.quad(lambda e: float(spectrum(e)) * e**k, a, b, epsabs=0, epsrel=1e-11, limit=400)[0]
            for a, b in pairwise(edges)
        )

    assert moment(0) == pytest.approx(1.0, abs=1e-7)
    mean, tolerance = MEAN_ENERGY[component]
    assert moment(1) == pytest.approx(mean, rel=tolerance)
    inside = np.linspace(0.0, spectrum.endpoint_mev, 1001)[1:-1]
    assert np.all(spectrum(inside) > 0.0)
    np.testing.assert_array_equal(spectrum(np.array([-0.1, 0.0, spectrum.endpoint_mev + 1e-6, 30.0])), 0.0)


@pytest.mark.parametrize("component", CONTINUOUS)
def test_forty_nodes_integrate_to_1e_8(component: str) -> None:
    """Integrals over part of a spectrum, times something smooth, against scipy."""
    source = solar_sources()[component]
    end = source.e_max_mev
    thresholds = np.array([0.0, 0.25, 0.6, 0.95]) * end
    energy, weight = source.quadrature(thresholds)
    actual = (weight / (1.0 + energy / end)).sum(-1)
    for value, threshold in zip(actual, thresholds, strict=True):
        edges = np.linspace(threshold, end, 9)
        reference = sum(
            integrate.quad(lambda e: float(source.spectrum(e)) / (1.0 + e / end), a, b, epsabs=0, epsrel=1e-12, limit=400)[0]
            for a, b in pairwise(edges)
        )
        assert value == pytest.approx(reference, abs=1e-8)


@pytest.mark.parametrize("component", CONTINUOUS)
def test_spectra_follow_the_published_points(component: str, release_dir: Path) -> None:
    name, end, *_ = make_solar_data.SPECTRA[component]
    rows = make_solar_data.read_numbers(release_dir / "solar" / name)
    energy, density = rows[:, 0], rows[:, 1]
    # What is compared is shape: both normalised by their trapezium sum on the same points.
    ours = solar_spectrum(component)(energy)
    deviation = ours / np.trapezoid(ours, energy) - density / np.trapezoid(density, energy)
    peak = density.max() / np.trapezoid(density, energy)
    assert np.abs(deviation[energy < end]).max() < 4e-4 * peak


def test_lines() -> None:
    sources = solar_sources()
    np.testing.assert_allclose(sources["be7"].quadrature()[0], [0.8618, 0.3843])
    assert sources["be7"].quadrature()[1].sum() == pytest.approx(1.0, abs=1e-12)
    # Q-values (AME 2020): 7Be + e -> 7Li 861.9 keV, 477.6 keV below it to the excited state; pp + e -> d 1442 keV.
    assert sources["be7"].lines_mev[0] - sources["be7"].lines_mev[1] == pytest.approx(0.4776, abs=3e-4)
    assert sources["pep"].lines_mev == (1.442,)


def test_allowed_shape_without_charge_limit_and_at_the_end() -> None:
    e = np.array([0.0, 0.1, 0.3, 0.42, 0.5])
    m, w = 0.51099895, 0.42 - e + 0.51099895
    momentum = np.sqrt(np.maximum(w**2 - m**2, 0.0))
    x = 2 * np.pi / 137.036 * w / np.where(momentum > 0, momentum, 1.0)
    expected = np.where(momentum > 0, e**2 * w * momentum * x / np.expm1(x), 0.0)
    np.testing.assert_allclose(allowed_shape(e, 0.42, 1), np.where(e < 0.42, expected, 0.0), rtol=1e-6)
    np.testing.assert_array_equal(allowed_shape(e, 0.42, 0), np.where(e <= 0.42, e**2, 0.0))


@pytest.mark.parametrize("model", SOLAR_MODELS)
@pytest.mark.parametrize("component", SOLAR_COMPONENTS)
def test_production_average_is_the_radial_integral(component: str, model: str, release_dir: Path) -> None:
    rows = make_solar_data.read_numbers(release_dir / "solar" / f"nudistr_b16_{make_solar_data.MODELS[model]}.dat")
    column = 4 + ("pp", "pep", "hep", "be7", "b8", "n13", "o15", "f17").index(component)
    n_e, mass = 10.0 ** rows[:, 2], rows[:, column] / rows[:, column].sum()
    energies = np.linspace(
        0.01, {**{c: solar_spectrum(c).endpoint_mev for c in CONTINUOUS}, "be7": 0.862, "pep": 1.442}[component], 40
    )
    for s12sq in (0.27, 0.3085, 0.34):
        cos2 = 1 - 2 * s12sq
        beta = 2 * 7.63247e-14 * n_e * (1 - 0.02215) * energies[:, None] * 1e6 / 7.48e-5
        reference = (mass * (cos2 - beta) / np.sqrt((cos2 - beta) ** 2 + 1 - cos2**2)).sum(-1)
        actual = mean_matter_cos_2theta(OscillationParameters(s12sq=s12sq), energies, production_region(component, model))
        np.testing.assert_allclose(actual, reference, atol=1e-6)


def test_heavier_elements_are_made_further_in() -> None:
    """Mean electron density at birth, mol/cm^3, B16-GS98: pp 60.6, 7Be 79.6, 8B 87.9; the hotter the reaction, the denser."""
    mean = {}
    for c in SOLAR_COMPONENTS:
        region = production_region(c)
        assert region.weight.sum() == pytest.approx(1.0, abs=1e-14)
        mean[c] = float((region.weight * region.n_e_mol_cm3).sum())
    assert mean["pp"] == pytest.approx(60.6, abs=0.1)
    assert mean["be7"] == pytest.approx(79.6, abs=0.1)
    assert mean["b8"] == pytest.approx(87.9, abs=0.1)
    assert mean["hep"] < mean["pp"] < mean["pep"] < mean["be7"] < mean["o15"] < mean["b8"]


def test_rebuild_gives_the_same_bytes(release_dir: Path, tmp_path: Path) -> None:
    assert make_solar_data.main(["--release", str(release_dir), "--out", str(tmp_path / "all")]) == 0
    assert make_solar_data.main(["--release", str(release_dir / "solar"), "--out", str(tmp_path / "own")]) == 0
    shipped = sorted(p.name for p in DATA.glob("solar_*.csv"))
    assert sorted(p.name for p in (tmp_path / "all").iterdir()) == shipped
    for name in shipped:
        assert filecmp.cmp(DATA / name, tmp_path / "all" / name, shallow=False), name
        assert filecmp.cmp(DATA / name, tmp_path / "own" / name, shallow=False), name


def test_maker_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert make_solar_data.main(["--release", str(tmp_path), "--out", str(tmp_path)]) == 2
    assert "neither the folder 'solar'" in capsys.readouterr().err
    (tmp_path / "solar").mkdir()
    assert make_solar_data.main(["--release", str(tmp_path), "--out", str(tmp_path)]) == 2
    assert "fluxes_b16.dat: cannot be read" in capsys.readouterr().err
    (tmp_path / "solar" / "fluxes_b16.dat").write_text("1 2 3 4\n1 2 3\n")
    assert make_solar_data.main(["--release", str(tmp_path), "--out", str(tmp_path)]) == 2
    assert "line 2: 3 numbers, expected 4" in capsys.readouterr().err
    (tmp_path / "x.dat").write_text("a b\n")
    with pytest.raises(DataError, match="is not a row of numbers"):
        make_solar_data.read_numbers(tmp_path / "x.dat")


def test_tables_say_where_they_come_from() -> None:
    for path in DATA.glob("*.csv"):
        text = {"solar_fluxes.csv": ("model", "component"), "xenon_shells.csv": ("shell",)}.get(
            path.name, ("component",) if "production" in path.name else ()
        )
        meta = read_table(path, text=text).meta
        # A table made of several files of a release holds a checksum of each.
        assert {"title", "source", "licence", "status"} <= set(meta), path.name
        sums = [value for key, value in meta.items() if key.partition(".")[0] == "release_sha256"]
        assert sums, path.name
        assert all(len(value) == 64 for value in sums), path.name


def test_density_follows_the_mixing_parameters_under_jit() -> None:
    source = solar_sources()["b8"]
    thresholds = np.array([1.0, 5.0])

    def electron_fraction(dm21: jnp.ndarray) -> jnp.ndarray:
        nodes = source.nodes(thresholds, OscillationParameters(dm21=dm21), order=12)
        return jnp.sum(nodes.weight * jnp.real(nodes.density[..., 0, 0]), axis=-1)

    value, slope = jax.jit(electron_fraction)(7.48e-5), jax.jit(jax.jacobian(electron_fraction))(7.48e-5)
    h = 1e-9
    np.testing.assert_allclose(slope, (electron_fraction(7.48e-5 + h) - electron_fraction(7.48e-5 - h)) / (2 * h), rtol=1e-5)
    assert np.all((np.asarray(value) > 0.2) & (np.asarray(value) < 0.5))
    default = source.nodes(thresholds, order=12)
    np.testing.assert_allclose(default.density[..., 0, 0].real.shape, (2, 12))
    np.testing.assert_allclose(jnp.sum(default.weight * default.density[..., 0, 0].real, -1), value, rtol=1e-12)


def test_flux_pulls() -> None:
    scale = solar_flux_scale("be7")
    assert float(scale({"solar.be7": jnp.asarray(0.0)})) == 1.0
    assert float(scale({"solar.be7": jnp.asarray(1.0)})) == pytest.approx(1.06, rel=1e-12)
    assert float(scale({"solar.be7": jnp.asarray(-50.0)})) > 0.0
    assert float(solar_flux_scale("pp", width="free")({"solar.pp": jnp.asarray(1.0)})) == pytest.approx(2.0, rel=1e-12)
    assert float(solar_flux_scale("pp", "b16_agss09met")({"solar.pp": jnp.asarray(1.0)})) == pytest.approx(1.005, rel=1e-12)
    assert list(solar_pull_priors(("pp", "be7"))) == ["solar.pp", "solar.be7"]


def test_gallium_rate_is_the_sum_of_its_parts() -> None:
    parts = {}
    for component, (rate, energy) in GALLIUM_CONTRIBUTIONS.items():
        parts[component] = rate * float(survival_probability(OscillationParameters(), energy, production_region(component)))
    assert float(gallium_rate_snu({})) == pytest.approx(sum(parts.values()), rel=1e-12)
    # arXiv:1707.09355: the measured 66.1 +- 3.1 SNU is compatible with the high-metallicity model.
    assert abs(float(gallium_rate_snu({})) - 66.1) < 4.1
    zero = {f"solar.{c}": jnp.asarray(0.0) for c in GALLIUM_CONTRIBUTIONS} | {n: jnp.asarray(0.0) for n in OSCILLATION_PULLS}
    slope = jax.grad(gallium_rate_snu)(zero)
    for component, rate in parts.items():
        error = solar_fluxes()[component][1]
        assert float(slope[f"solar.{component}"]) == pytest.approx(rate * np.log1p(error), rel=1e-10)
    assert float(slope["oscillation.s12sq"]) < 0.0
    agss = {c: solar_fluxes("b16_agss09met")[c][0] / solar_fluxes()[c][0] for c in parts}
    expected = sum(agss[c] * parts[c] for c in parts)
    assert float(gallium_rate_snu({}, "b16_agss09met")) == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize("component", ["pp", "n13", "o15", "b8"])
def test_gallium_energies_stand_for_the_capture_average(component: str) -> None:
    """Weights: phase space p_e E_e of capture to the ground state above 0.2327 MeV; its power 1.5 for 8B (excited states)."""
    energy, weight = solar_sources()[component].quadrature(0.2327, order=80)
    total = energy - 0.2327 + 0.511
    capture = (total * np.sqrt(total**2 - 0.511**2)) ** (1.5 if component == "b8" else 1.0)
    p_ee = np.asarray(survival_probability(OscillationParameters(), energy, production_region(component)))
    mean = (weight * capture * p_ee).sum() / (weight * capture).sum()
    at_one = float(
        survival_probability(OscillationParameters(), GALLIUM_CONTRIBUTIONS[component][1], production_region(component))
    )
    assert at_one == pytest.approx(mean, abs=0.004)


def test_gallium_log_density() -> None:
    rate = float(gallium_rate_snu({}))
    expected = stats.norm(66.1, np.hypot(3.1, 0.04 * 66.1)).logpdf(rate)
    assert float(gallium_log_density({})) == pytest.approx(expected, rel=1e-12)
    pulls = {"solar.pp": jnp.asarray(0.3), "oscillation.s12sq": jnp.asarray(-0.5), "oscillation.dm21": jnp.asarray(0.2)}
    gradient = jax.jit(jax.grad(lambda p: gallium_log_density(p, width="free")))(pulls)
    for name, slope in gradient.items():
        step = {**pulls, name: pulls[name] + 1e-5}, {**pulls, name: pulls[name] - 1e-5}
        up, down = (float(gallium_log_density(p, width="free")) for p in step)
        assert float(slope) == pytest.approx((up - down) / 2e-5, rel=1e-5, abs=1e-9)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UserInputError, match="did you mean 'b16_gs98'"):
        solar_sources("b16_gs89")
    with pytest.raises(UserInputError, match="did you mean 'be7'"):
        solar_flux_scale("7be")
    with pytest.raises(UserInputError, match="continuous solar component"):
        solar_spectrum("be7")
    with pytest.raises(UserInputError, match="flux width"):
        solar_flux_scale("pp", width="wide")
    with pytest.raises(UserInputError, match="solar component"):
        production_region("ppp")
