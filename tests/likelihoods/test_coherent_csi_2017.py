"""COHERENT CsI[Na] 2017 against an independent computation, the release, the published fit, and properties."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contract_parts import contract_parts
from scipy import integrate, optimize, stats
from signal_fit import minimise
from sns_parts import Parts, compiled_first_axes, compiled_parts, forms_of, pulls_of, signal_of
from stopped_pion import ALPHA, M_E, largest_recoil, recoil_spectrum

from likelihoods.coherent_csi_2017 import build
from likelihoods.coherent_csi_2017.make_data import make
from nmmfit.contract.evaluation import Evaluation
from nmmfit.errors import UserInputError
from nmmfit.experiment import BinnedExperiment, TheoryChoices
from nmmfit.inference.compatibility import refuse_overlaps
from nmmfit.tables import read_table

PREFIX = "coherent_csi_2017."


@pytest.fixture(scope="module")
def tree() -> BinnedExperiment:
    return build(TheoryChoices(weak_charges="tree"))


@pytest.fixture(scope="module")
def evaluation(tree: BinnedExperiment) -> Evaluation:
    return Evaluation(tree)


@pytest.fixture(scope="module")
def parts(tree: BinnedExperiment) -> Parts:
    return compiled_parts(tree)


@pytest.fixture(scope="module")
def first_axes(tree: BinnedExperiment) -> Callable[..., dict[str, Any]]:
    return compiled_first_axes(tree)


# --- an independent computation ------------------------------------------------------------


def reference_energies(source: str, nuclide: str, kind: str, qf: float, plateau: float, onset: float, rn: float) -> np.ndarray:
    """Counts per bin of energy at any time: Simpson over recoils, scipy's Poisson probabilities."""
    u = np.linspace(0.005, 1.0, 1201)
    t = largest_recoil(source, nuclide) * (1 - 1e-12) * u**2
    nuclei = 14.6e3 / (132.905451961 + 126.9044719) * 6.02214076e23
    recoils = recoil_spectrum(source, nuclide, kind, t, rn) * 2 * t / u * nuclei * 1.76e23 * 0.08 / (4 * np.pi * 1930.0**2)
    mean = 13.348 * 1e3 * t * 0.0878 * (1 + 0.0166 / 0.0878) ** qf
    n = np.arange(6, 30)
    seen = integrate.simpson(stats.poisson.pmf(n[:, None], mean) * recoils, x=u, axis=1)
    middle = n + 0.5
    acceptance = (0.6655 + 0.0298 * plateau) / (1 + np.exp(-0.4942 * (middle - 10.8507 - 0.29165 * onset)))
    return (acceptance * seen).reshape(12, 2).sum(axis=1)


@pytest.mark.parametrize(
    ("source", "nuclide", "kind", "qf", "plateau", "onset", "rn"),
    [
        ("prompt_nu_mu", "cs133", "sm", 0.0, 0.0, 0.0, 0.0),
        ("delayed_nu_e", "i127", "sm", 2.0, -1.0, 1.5, -2.0),
        ("delayed_nu_mu_bar", "cs133", "dipole", 0.0, 0.0, 0.0, 0.0),
        ("prompt_nu_mu", "i127", "dipole", -3.0, 2.0, -1.0, 1.0),
        ("delayed_nu_e", "cs133", "tensor", 1.0, 0.0, 0.0, 0.0),
    ],
)
def test_energy_spectrum_against_scipy(
    tree: BinnedExperiment,
    first_axes: Callable[..., dict[str, Any]],
    source: str,
    nuclide: str,
    kind: str,
    qf: float,
    plateau: float,
    onset: float,
    rn: float,
) -> None:
    mu_b_per_gev = np.sqrt(4 * np.pi * ALPHA) / (2 * M_E * 1e-3)
    forms = {
        "sm": forms_of(),
        "dipole": forms_of(dipole=0.5e-9 * mu_b_per_gev, sm=0.0),
        "tensor": forms_of(tensor_p=1e-6, sm=0.0),
    }[kind]
    moved = {"qf": qf, "efficiency_plateau": plateau, "efficiency_onset": onset, f"theory_rn_{nuclide}": rn}
    found = first_axes(forms, pulls_of(tree, **moved))[f"cevns_{source}_{nuclide}"]
    reference = reference_energies(source, nuclide, kind, qf, plateau, onset, rn)
    np.testing.assert_allclose(found, reference, rtol=2e-6, atol=1e-9 * reference.max())


# --- the release and the published numbers -------------------------------------------------


def test_events_in_the_window(tree: BinnedExperiment) -> None:
    """547 coincidence and 405 anti-coincidence events."""
    assert {c.name: int(c.observed.sum()) for c in tree.channels} == {"coincidence": 547, "anticoincidence": 405}


def test_standard_model_prediction(parts: Parts) -> None:
    """173 +- 48 published; 165 from an independent script with the same ingredients and 14.57 kg."""
    total = signal_of(parts).sum()
    assert total == pytest.approx(165.0 * 14.6 / 14.57, rel=0.01)
    assert total == pytest.approx(173.0, rel=0.05)


def test_backgrounds(parts: Parts) -> None:
    """6.0 +- 1.3 prompt neutrons published, 5.4 from the release, all in the first 4 us; steady state as the control sample."""
    found = parts()
    assert found["neutrons"].sum() == pytest.approx(5.4, abs=0.05)
    assert found["neutrons"][:, 8:].sum() == 0.0
    steady = np.sum([v for k, v in found.items() if k.startswith("ssb")], axis=0)
    counts = read_table(files("likelihoods.coherent_csi_2017") / "data" / "counts.csv")
    np.testing.assert_allclose(steady.sum(axis=1), counts["anticoincidence"].reshape(12, 12).sum(axis=1), rtol=1e-12)
    times = steady.sum(axis=0)
    # equal widths: an exponential falls by the same factor from bin to bin, exp(-0.097 / 2)
    np.testing.assert_allclose(times[1:] / times[:-1], np.exp(-0.0485), rtol=1e-12)


def test_fall_of_the_steady_state_is_that_of_the_data_without_beam() -> None:
    """Maximum likelihood of an exponential in 12 bins: 0.097 +- 0.029 per us."""
    counts = read_table(files("likelihoods.coherent_csi_2017") / "data" / "counts.csv")
    off = counts["off_beam"].reshape(12, 12).sum(axis=0)
    middle = 0.25 + 0.5 * np.arange(12)

    def nll(rate: float) -> float:
        shape = np.exp(-rate * middle)
        return -float(np.sum(off * np.log(shape / shape.sum())))

    best = optimize.minimize_scalar(nll, bounds=(-0.3, 0.5), method="bounded").x
    curvature = (nll(best + 0.01) + nll(best - 0.01) - 2 * nll(best)) / 1e-4
    assert off.sum() == 416
    assert best == pytest.approx(0.097, abs=0.001)
    assert curvature**-0.5 == pytest.approx(0.029, abs=0.001)


@pytest.mark.parametrize(
    ("moved", "low", "high"),
    [
        ({"qf": 1.0}, 0.17, 0.25),
        ({"qf": -1.0}, -0.27, -0.17),
        ({"efficiency_plateau": 1.0}, 0.0447, 0.0449),
        ({"efficiency_onset": 1.0}, -0.05, -0.02),
        ({"efficiency_steepness": 1.0}, -0.01, 0.01),
        ({"sns_flux": 1.0}, 0.0999, 0.1001),
        ({"theory_rn_cs133": 1.7, "theory_rn_i127": 1.7}, -0.08, -0.04),
    ],
)
def test_shifts_of_the_yield(parts: Parts, moved: dict[str, float], low: float, high: float) -> None:
    """Published: 25 % from quenching, 5 % from acceptance, 10 % from the flux, 5 % from the form factor (from memory)."""
    assert low < signal_of(parts, **moved).sum() / signal_of(parts).sum() - 1.0 < high


def test_newer_quenching_predicts_fewer_events(parts: Parts) -> None:
    """The curve of 2021 lies below 8.78 % where recoils are seen: 0.89 of the events (from scipy's Poisson probabilities)."""
    newer = compiled_parts(build(TheoryChoices(weak_charges="tree"), quenching="polynomial_2021"))
    flat, curve = 0.0, 0.0
    for source in ("prompt_nu_mu", "delayed_nu_mu_bar", "delayed_nu_e"):
        u = np.linspace(0.01, 1.0, 401)
        t = largest_recoil(source, "cs133") * (1 - 1e-12) * u**2
        recoils = recoil_spectrum(source, "cs133", "sm", t) * t / u
        n = np.arange(6, 30)
        acceptance = 0.6655 / (1 + np.exp(-0.4942 * (n + 0.5 - 10.8507)))
        for name, light in (
            ("flat", 0.0878 * t),
            ("curve", 0.0554628 * t + 4.30681 * t**2 - 111.707 * t**3 + 840.384 * t**4),
        ):
            seen = stats.poisson.pmf(n[:, None], 13348.0 * light) * recoils
            events = float(acceptance @ integrate.simpson(seen, x=u, axis=1))
            share = 1.0 if source.startswith("prompt") else 0.9148
            flat, curve = (flat + share * events, curve) if name == "flat" else (flat, curve + share * events)
    caesium = [np.sum([v for k, v in p().items() if k.startswith("cevns") and k.endswith("cs133")]) for p in (newer, parts)]
    assert caesium[0] / caesium[1] == pytest.approx(curve / flat, rel=1e-3)
    assert 0.8 < curve / flat < 0.95


@pytest.mark.slow
@pytest.mark.parametrize("steady_state", ["free_shape", "fixed_shape"])
def test_fitted_yield_agrees_with_the_published_one(steady_state: str) -> None:
    """134 +- 22 events, arXiv:1708.01294, with quenching, acceptance and radii profiled."""
    events, error, gradient = minimise(build(steady_state=steady_state), fixed=("sns.flux",))
    assert np.abs(gradient).max() < 1e-3
    assert abs(events - 134.0) < 0.5 * 22.0
    # the minimiser's estimate of the curvature is good to some per cent
    assert error == pytest.approx(22.0, rel=0.15)


# --- properties ------------------------------------------------------------------------------


@pytest.mark.parametrize("part", contract_parts(gradient_is_slow=True))
def test_contract(part: Callable[[Evaluation], str], evaluation: Evaluation) -> None:
    """Each check raises what is wrong."""
    assert part(evaluation)


# --- options and data ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [({"quenchng": "flat_2017"}, "quenching"), ({"steady_state": "free"}, "free_shape"), ({"rn_width": 1.0}, "rn_width")],
)
def test_wrong_options_are_refused_in_one_line(options: dict[str, object], said: str) -> None:
    with pytest.raises(UserInputError, match=said) as caught:
        build(**options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("other", ["coherent_csi_2021", "coherent_csi_2017_limit"])
def test_the_same_crystal_is_not_counted_twice(tree: BinnedExperiment, other: str) -> None:
    with pytest.raises(UserInputError, match="share data"):
        refuse_overlaps([tree, replace(tree, name=other, overlaps=())])


def test_tables_are_rebuilt_byte_by_byte(release_dir: Path, tmp_path: Path) -> None:
    make(release_dir, tmp_path)
    shipped = Path(__file__).parents[2] / "likelihoods" / "coherent_csi_2017" / "data"
    names = sorted(p.name for p in shipped.iterdir())
    assert sorted(p.name for p in tmp_path.iterdir()) == names
    for name in names:
        assert (tmp_path / name).read_bytes() == (shipped / name).read_bytes(), name
