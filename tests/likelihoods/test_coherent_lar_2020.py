"""COHERENT LAr 2020 against an independent computation, the release, the published fit, and properties."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from contract_parts import contract_parts
from scipy import integrate, optimize
from signal_fit import minimise
from sns_parts import Parts, compiled_first_axes, compiled_parts, forms_of, pulls_of, signal_of
from stopped_pion import ALPHA, M_E, largest_recoil, recoil_spectrum

from likelihoods.coherent_lar_2020 import build
from likelihoods.coherent_lar_2020.make_data import SHAPES, make
from likelihoods.coherent_lar_2020.shapes import Morph
from nmmfit.contract.evaluation import Evaluation
from nmmfit.errors import DataError, UserInputError
from nmmfit.experiment import BinnedExperiment, TheoryChoices
from nmmfit.tables import Table, read_table

PREFIX = "coherent_lar_2020."
SHAPE = (12, 8, 10)


@pytest.fixture(scope="module")
def tree() -> BinnedExperiment:
    return build(TheoryChoices(weak_charges="tree"))


@pytest.fixture(scope="module")
def evaluation(tree: BinnedExperiment) -> Evaluation:
    return Evaluation(tree)


def table(name: str) -> Table:
    return read_table(files("likelihoods.coherent_lar_2020") / "data" / f"{name}.csv")


@pytest.fixture(scope="module")
def parts(tree: BinnedExperiment) -> Parts:
    return compiled_parts(tree)


@pytest.fixture(scope="module")
def first_axes(tree: BinnedExperiment) -> Callable[..., dict[str, Any]]:
    return compiled_first_axes(tree)


# --- an independent computation ------------------------------------------------------------


def reference_energies(source: str, kind: str, offset: float, slope: float, rn: float) -> np.ndarray:
    """Counts per bin of energy, any F90 and time: Simpson over recoils and over reconstructed energies."""
    u = np.linspace(0.01, 1.0, 601)
    t = largest_recoil(source, "ar40") * (1 - 1e-12) * u**2
    nuclei = 24.4e3 / 39.9623831237 * 6.02214076e23
    recoils = recoil_spectrum(source, "ar40", kind, t, rn) * 2 * t / u * nuclei * 13.8e22 * 0.09 / (4 * np.pi * 2750.0**2)
    kev = 1e3 * t
    light = (0.246 + 0.006 * offset + (0.00078 + 0.00009 * slope) * kev) * kev
    # kinks of the acceptance, at 0.25, 0.75, ..., lie between pairs of intervals
    x = np.linspace(0.0, 80.0, 6401)
    sigma = 0.58 * np.sqrt(light)
    smeared = np.exp(-0.5 * ((x[:, None] - light) / sigma) ** 2) / (np.sqrt(2 * np.pi) * sigma)
    efficiency = table("efficiency")
    seen = np.interp(x, efficiency["energy_kee"], efficiency["efficiency"]) * integrate.simpson(smeared * recoils, x=u, axis=1)
    return np.array([integrate.simpson(seen[800 * k : 800 * k + 801], x=x[800 * k : 800 * k + 801]) for k in range(8)])


@pytest.mark.parametrize(
    ("source", "kind", "offset", "slope", "rn"),
    [
        ("prompt_nu_mu", "sm", 0.0, 0.0, 0.0),
        ("delayed_nu_e", "sm", 2.0, -1.5, -2.0),
        ("delayed_nu_mu_bar", "dipole", 0.0, 0.0, 0.0),
        ("prompt_nu_mu", "dipole", -3.0, 2.0, 1.0),
        ("delayed_nu_e", "tensor", 0.0, 1.0, 0.0),
    ],
)
def test_energy_spectrum_against_scipy(
    tree: BinnedExperiment,
    first_axes: Callable[..., dict[str, Any]],
    source: str,
    kind: str,
    offset: float,
    slope: float,
    rn: float,
) -> None:
    mu_b_per_gev = np.sqrt(4 * np.pi * ALPHA) / (2 * M_E * 1e-3)
    forms = {
        "sm": forms_of(),
        "dipole": forms_of(dipole=0.5e-9 * mu_b_per_gev, sm=0.0),
        "tensor": forms_of(tensor_p=1e-6, sm=0.0),
    }[kind]
    pulls = pulls_of(tree, qf_offset=offset, qf_slope=slope, theory_rn_ar40=rn)
    energies = np.asarray(first_axes(forms, pulls)[f"cevns_{source}_ar40"]).reshape(12, 8).sum(axis=1)
    reference = reference_energies(source, kind, offset, slope, rn)
    # the dipole's recoils below 1e-4 of the largest, which the reference leaves out, are not seen
    np.testing.assert_allclose(energies[:6], reference[:6], rtol=3e-5, atol=1e-6 * reference.max())


# --- the release and the published numbers ------------------------------------------------------------


def test_totals_of_the_release(tree: BinnedExperiment, parts: Parts) -> None:
    """3752 events; predictions 497, 33 and 3152 (LArParametersAnlA.yaml, and the sum of bkgpdf)."""
    assert tree.channels[0].observed.sum() == 3752
    totals = {name: float(values.sum()) for name, values in parts().items()}
    assert totals["brn"] == pytest.approx(497.0, rel=1e-6)
    # the positive part of 1 + pull, smeared: 4e-8 above 1
    assert totals["delayed_brn"] == pytest.approx(33.0, rel=1e-5)
    assert totals["steady_state"] == pytest.approx(3152.0, rel=1e-6)


def test_standard_model_prediction(parts: Parts) -> None:
    """Published 128 +- 17; at any time an independent sum without resolution gives 134, of which the window has 90 %."""
    late = 0.777 * np.exp(-(4.9 - 0.48) / 2.197)
    assert abs(signal_of(parts).sum() - 128.0) < 17.0
    assert signal_of(parts).sum() / (1.0 - late) == pytest.approx(134.0, rel=0.015)


@pytest.mark.slow
def test_signal_of_any_time(parts: Parts) -> None:
    """Within 5 % of the published 128; more than inside the window by the muon decays after it."""
    any_time = signal_of(compiled_parts(build(TheoryChoices(weak_charges="tree"), time_window="any_time")))
    assert abs(any_time.sum() - 128.0) < 0.05 * 128.0
    # pulses have a middle of 0.48 us, pion decay included
    assert signal_of(parts).sum() / any_time.sum() == pytest.approx(1.0 - 0.777 * np.exp(-(4.9 - 0.48) / 2.197), rel=3e-3)


def test_released_distributions_of_the_standard_model(parts: Parts) -> None:
    """Energy within 12 % (6 % below 20 keVee), F90 in each bin of energy as it is, time within 0.15 % of all events."""
    ours, outer, time = signal_of(parts), table("energy_f90"), table("time")
    released = outer["cevns"].reshape(12, 8)
    energies, theirs = ours.sum(axis=(1, 2)) / ours.sum(), released.sum(axis=1) / released.sum()
    np.testing.assert_allclose(energies[:4], theirs[:4], rtol=0.12)
    np.testing.assert_allclose(energies[:2], theirs[:2], rtol=0.06)
    np.testing.assert_allclose(
        ours.sum(axis=2)[:5] / ours.sum(axis=(1, 2))[:5, None], released[:5] / released[:5].sum(axis=1, keepdims=True), atol=1e-9
    )
    np.testing.assert_allclose(ours.sum(axis=(0, 1)) / ours.sum(), time["cevns"], atol=1.5e-3)
    later = signal_of(parts, timing=1.0)
    np.testing.assert_allclose(later.sum(axis=(0, 1)) / later.sum(), time["cevns_time_plus"], atol=8e-3)


@pytest.mark.parametrize(
    ("pull", "value", "column"),
    [
        ("brn_timing", 0.0, "brn"),
        ("brn_timing", 1.0, "brn_time_plus"),
        ("brn_timing", -1.0, "brn_time_minus"),
        ("brn_width", 1.0, "brn_width"),
    ],
)
def test_neutron_times_are_the_released_ones(parts: Parts, pull: str, value: float, column: str) -> None:
    brn = parts(**{pull: value})["brn"]
    np.testing.assert_allclose(brn.sum(axis=(0, 1)) / brn.sum(), table("time")[column], atol=6e-3)
    assert brn.sum() == pytest.approx(497.0, rel=1e-6)


@pytest.mark.parametrize(("value", "column"), [(1.0, "brn_energy_plus"), (-1.0, "brn_energy_minus")])
def test_neutron_energies_pass_through_the_released_variations(parts: Parts, value: float, column: str) -> None:
    """Up to the few cells that are empty in one of the tables, 6e-5 of the events."""
    brn = parts(brn_energy=value)["brn"].sum(axis=2).ravel()
    np.testing.assert_allclose(brn, table("energy_f90")[column], atol=0.03)


@pytest.mark.parametrize(("value", "column"), [(1.0, "cevns_f90_plus"), (-1.0, "cevns_f90_minus")])
def test_f90_passes_through_the_released_variations(value: float, column: str) -> None:
    """On top of the released energies: contents are ratios to the nominal ones."""
    outer = table("energy_f90")
    morph = Morph.through(outer["cevns"], outer["cevns_f90_plus"], outer["cevns_f90_minus"])
    moved = outer["cevns"] * np.asarray(morph.factors(jnp.asarray(value)))
    np.testing.assert_allclose(moved, outer[column], atol=2e-3)
    np.testing.assert_array_equal(morph.factors(jnp.asarray(0.0)), 1.0)


def test_the_morph_of_a_gaussian_is_exact() -> None:
    """Densities of a moving Gaussian have logarithms quadratic in the shift, to which s(p) is applied."""
    x = np.linspace(-3.0, 3.0, 31)
    density = {p: np.exp(-0.5 * (x - 0.2 * p) ** 2) for p in (-1.0, 0.0, 1.0)}
    morph = Morph.through(density[0.0], density[1.0], density[-1.0])
    s = 2.0 * np.sqrt(5.0 / 8.0)
    expected = np.exp(-0.5 * (x - 0.2 * s) ** 2)
    got = density[0.0] * np.asarray(morph.factors(jnp.asarray(2.0)))
    np.testing.assert_allclose(got / got.sum(), expected / expected.sum(), rtol=1e-12)


def test_the_published_fit_comes_out_of_the_released_distributions(tree: BinnedExperiment) -> None:
    """159 +- 43 signal, 553 +- 34, 10 +- 11 and 3131 +- 23 background events (release), with scipy on the tables alone."""
    outer, time = table("energy_f90"), table("time")
    names = ("cevns", "brn", "delayed_brn", "steady_state")
    shapes = np.stack([np.outer(outer[n], time[n]).ravel() / outer[n].sum() for n in names])
    predicted, width = np.array([128.0, 497.0, 33.0, 3152.0]), np.array([np.inf, 160.0, 33.0, 25.0])
    observed = tree.channels[0].observed

    def nll(yields: np.ndarray) -> float:
        expected = yields @ shapes
        return float(np.sum(expected - observed * np.log(expected)) + 0.5 * np.sum(((yields - predicted) / width) ** 2))

    found = optimize.minimize(
        nll, predicted, method="L-BFGS-B", bounds=[(0.1, None)] * 4, options={"maxiter": 500, "ftol": 1e-13}
    )
    information = (shapes * (observed / (found.x @ shapes) ** 2)) @ shapes.T + np.diag(width**-2.0)
    errors = np.sqrt(np.diag(np.linalg.inv(information)))
    assert np.abs(found.x - [159.0, 553.0, 10.0, 3131.0]).max() < 2.0
    assert np.abs(errors - [43.0, 34.0, 11.0, 23.0]).max() < 1.0


@pytest.mark.slow
@pytest.mark.parametrize(("times", "within"), [("common", 0.15), ("by_source", 0.7)])
def test_fitted_yield_with_fixed_shapes(times: str, within: float) -> None:
    """Within so many published standard deviations (43) of 159: a common time distribution, as released, or one per source."""
    experiment = build(signal_times=times)
    normalisations = {PREFIX + n for n in ("brn", "delayed_brn", "steady_state")}
    events, error, gradient = minimise(experiment, fixed=tuple(set(experiment.pulls) - normalisations))
    assert np.abs(gradient).max() < 1e-3
    assert abs(events - 159.0) < within * 43.0
    assert error == pytest.approx(43.0, rel=0.1)


@pytest.mark.slow
def test_fitted_yield_with_all_pulls() -> None:
    events, error, gradient = minimise(build(), fixed=("sns.flux", PREFIX + "signal"))
    assert np.abs(gradient).max() < 1e-3
    assert abs(events - 159.0) < 0.5 * 43.0
    assert error == pytest.approx(43.0, rel=0.1)


# --- properties ------------------------------------------------------------


@pytest.mark.parametrize(
    ("moved", "factor"),
    [
        ({"sns_flux": 1.0}, 1.1),
        ({"signal": 1.0}, 1.0 + np.sqrt((17 / 128) ** 2 - 0.01)),
        ({"f90": 2.0}, 1.0),
    ],
)
def test_pulls_of_the_yield(parts: Parts, moved: dict[str, float], factor: float) -> None:
    """F90 keeps the released total; with the model's own energies it moves it by less than 0.2 %."""
    assert signal_of(parts, **moved).sum() / signal_of(parts).sum() == pytest.approx(factor, rel=2e-3)


@pytest.mark.parametrize(("pull", "scale"), [(0.5, 1.5), (-0.5, 0.5), (-4.0, 0.0)])
def test_delayed_neutrons_reach_zero(parts: Parts, pull: float, scale: float) -> None:
    """33 +- 33: linear in the pull down to nothing, smooth and positive."""
    events = parts(delayed_brn=pull)["delayed_brn"].sum()
    assert events >= 0.0
    assert events == pytest.approx(33.0 * scale, abs=0.05)


@pytest.mark.parametrize("part", contract_parts(gradient_is_slow=True))
def test_contract(part: Callable[[Evaluation], str], evaluation: Evaluation) -> None:
    """Each check raises what is wrong."""
    assert part(evaluation)


# --- options and data ------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [({"time_windw": "inside"}, "time_window"), ({"signal_times": "comon"}, "common"), ({"rn_width": 0.0}, "rn_width")],
)
def test_wrong_options_are_refused_in_one_line(options: dict[str, object], said: str) -> None:
    with pytest.raises(UserInputError, match=said) as caught:
        build(**options)
    assert "\n" not in str(caught.value)


def test_tables_are_rebuilt_byte_by_byte(release_dir: Path, tmp_path: Path) -> None:
    make(release_dir, tmp_path)
    shipped = Path(__file__).parents[2] / "likelihoods" / "coherent_lar_2020" / "data"
    names = sorted(p.name for p in shipped.iterdir())
    assert sorted(p.name for p in tmp_path.iterdir()) == names
    for name in names:
        assert (tmp_path / name).read_bytes() == (shipped / name).read_bytes(), name


def test_a_release_that_is_no_product_is_refused(release_dir: Path, tmp_path: Path) -> None:
    """One bin of the signal changed."""
    changed = tmp_path / "coherent_lar_2020"
    changed.mkdir()
    for path in (release_dir / "coherent_lar_2020").glob("*.txt"):
        (changed / path.name).write_bytes(path.read_bytes())
    target = changed / SHAPES["cevns"]
    lines = target.read_text().splitlines()
    lines[3] = lines[3].rsplit(maxsplit=1)[0] + " 2.9"
    target.write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match="not a product"):
        make(tmp_path, tmp_path)
