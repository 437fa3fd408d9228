"""COHERENT CsI[Na] 2021 against an independent computation, the published numbers, and the properties every experiment has."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from contract_parts import contract_parts
from scipy import integrate, stats
from signal_fit import minimise
from sns_parts import forms_of, pulls_of
from stopped_pion import ALPHA, M_E, largest_recoil, recoil_spectrum

from likelihoods.coherent_csi_2021 import Options, build
from likelihoods.coherent_csi_2021.make_data import make
from likelihoods.coherent_csi_2021.response import PUBLISHED_EFFICIENCY_SCALE
from nmmfit.contract.evaluation import Evaluation
from nmmfit.errors import UserInputError
from nmmfit.experiment import BinnedExperiment, TheoryChoices

SOURCES = ("prompt_nu_mu", "delayed_nu_mu_bar", "delayed_nu_e")
NUCLIDES = ("cs133", "i127")
PREFIX = "coherent_csi_2021."
ENERGY_EDGES = [0.0, 8.0, 12.0, 16.0, 20.0, 24.0, 32.0, 40.0, 50.0, 60.0]


@pytest.fixture(scope="module")
def tree() -> BinnedExperiment:
    return build(TheoryChoices(weak_charges="tree"))


@pytest.fixture(scope="module")
def experiment() -> BinnedExperiment:
    return build()


@pytest.fixture(scope="module")
def evaluation(experiment: BinnedExperiment) -> Evaluation:
    return Evaluation(experiment)


def signal_total(experiment: BinnedExperiment, **moved: float) -> float:
    parts = experiment.channels[0].component_counts(forms_of(), pulls_of(experiment, **moved))
    return float(sum(v.sum() for k, v in parts.items() if k.startswith("cevns")))


# --- an independent computation: numpy and scipy only, every number typed in from its source -----------------------------------

QUENCHING = np.array([0.0554628, 4.30681, -111.707, 840.384])
QF0 = (np.array([0.0613632, 3.51547, -85.5548, 595.562]) - [0.0495624, 5.09815, -137.858, 1085.2]) / 2
QF1 = (np.array([0.055413, 3.93597, -93.1045, 630.092]) - [0.0555126, 4.67765, -130.309, 1050.68]) / 2
EFFICIENCY = np.array([1.32045, 0.285979, 10.8646, -0.333322])
EFFICIENCY_PLUS = np.array([1.3439, 0.285366, 9.84596, -0.356364])
EFFICIENCY_MINUS = np.array([1.297, 0.286592, 11.8832, -0.31028])


def reference_counts(source: str, nuclide: str, kind: str, qf0: float, qf1: float, efficiency: float, rn: float) -> np.ndarray:
    """Counts per energy bin: Simpson over the recoil, adaptive quadrature over the reconstructed energy."""
    u = np.linspace(0.02, 1.0, 1201)
    # not quite at the end, where the line's recoils stop
    t = largest_recoil(source, nuclide) * (1 - 1e-12) * u**2
    spectrum = recoil_spectrum(source, nuclide, kind, t, rn)
    nuclei = 14.6e3 / (132.905451961 + 126.9044719) * 6.02214076e23
    per_node = spectrum * 2 * t / u * nuclei * 3.198e23 * 0.0848 / (4 * np.pi * 1930.0**2)
    keV = 1e3 * sum(c * t ** (k + 1) for k, c in enumerate(QUENCHING + qf0 * QF0 + qf1 * QF1))
    a, b, c, d = EFFICIENCY + efficiency * (EFFICIENCY_PLUS - EFFICIENCY_MINUS) / 2

    def rate(x: float) -> float:
        curve = a / (1 + np.exp(-b * (x - c))) + d
        positive = curve * stats.norm.cdf(curve / 0.03) + 0.03 * stats.norm.pdf(curve / 0.03)
        smeared = stats.gamma.pdf(x, 1 + 9.56 * keV, scale=keV / 0.0749 / (1 + 9.56 * keV))
        return float(positive * integrate.simpson(per_node * smeared, x=u))

    return np.array(
        [integrate.quad(rate, lo, hi, epsrel=1e-9, epsabs=1e-13, limit=200)[0] for lo, hi in itertools.pairwise(ENERGY_EDGES)]
    )


@pytest.mark.parametrize(
    ("source", "nuclide", "kind", "qf0", "qf1", "efficiency", "rn"),
    [
        ("prompt_nu_mu", "cs133", "sm", 0.0, 0.0, 0.0, 0.0),
        ("delayed_nu_e", "i127", "sm", 0.0, 0.0, 0.0, 0.0),
        ("delayed_nu_mu_bar", "cs133", "sm", 2.0, -1.5, 1.0, -2.0),
        ("delayed_nu_mu_bar", "i127", "dipole", 0.0, 0.0, 0.0, 0.0),
        ("prompt_nu_mu", "cs133", "dipole", -3.0, 2.0, -2.5, 1.0),
        ("delayed_nu_e", "cs133", "tensor", 0.0, 0.0, 2.0, 0.0),
        ("prompt_nu_mu", "cs133", "charge", 0.0, 0.0, 0.0, 0.0),
        ("delayed_nu_e", "i127", "charge", 3.0, -2.0, 2.5, 0.0),
        ("delayed_nu_mu_bar", "i127", "sm_charge", 0.0, 0.0, 0.0, 1.0),
    ],
)
def test_energy_spectrum_against_scipy(
    tree: BinnedExperiment, source: str, nuclide: str, kind: str, qf0: float, qf1: float, efficiency: float, rn: float
) -> None:
    (component,) = (c for c in tree.channels[0].components if c.name == f"cevns_{source}_{nuclide}")
    mu_b_per_gev = np.sqrt(4 * np.pi * ALPHA) / (2 * M_E * 1e-3)
    forms = {
        "sm": forms_of(),
        "dipole": forms_of(dipole=0.5e-9 * mu_b_per_gev, sm=0.0),
        "tensor": forms_of(tensor_p=1e-6, sm=0.0),
        "charge": forms_of(charge=1e-7, sm=0.0),
        "sm_charge": forms_of(charge=1e-7),
    }[kind]
    pulls = pulls_of(tree, qf0=qf0, qf1=qf1, efficiency=efficiency, **{f"theory_rn_{nuclide}": rn})
    counts = np.asarray(component.factors[0].values(forms, pulls))
    reference = reference_counts(source, nuclide, kind, qf0, qf1, efficiency, rn)
    np.testing.assert_allclose(counts, reference, rtol=2e-6)


# --- published and previously computed numbers ----------------------------------------------------------------------------------


def test_events_in_the_window(experiment: BinnedExperiment) -> None:
    """1578 coincidence and 1295 anti-coincidence events, as asserted in independent analyses of arXiv:2110.07730."""
    observed = {c.name: c.observed for c in experiment.channels}
    assert observed["coincidence"].sum() == 1578
    assert observed["anticoincidence"].sum() == 1295
    assert observed["coincidence"].shape == (9 * 11,)


def test_standard_model_prediction(tree: BinnedExperiment, experiment: BinnedExperiment) -> None:
    """Tree level 325 = 50.4 + 168.9 + 105.9, radiative 333, from independent scripts; published 341 +- 43."""
    parts = {k: float(v.sum()) for k, v in tree.channels[0].component_counts(forms_of(), tree.nominal_pulls()).items()}
    for source, expected in zip(SOURCES, (50.4, 168.9, 105.9), strict=True):
        assert sum(parts[f"cevns_{source}_{n}"] for n in NUCLIDES) == pytest.approx(expected, rel=0.01)
    assert 315.0 < signal_total(tree) < 335.0
    assert signal_total(experiment) == pytest.approx(333.0, rel=0.01)


@pytest.mark.parametrize(
    ("moved", "shift", "error"),
    [
        ({"qf0": 1.0}, 0.009, 0.001),
        ({"qf0": -1.0}, -0.009, 0.001),
        ({"qf1": 1.0}, -0.031, 0.001),
        ({"qf1": -1.0}, 0.031, 0.001),
        ({"efficiency": 1.0}, 0.112, 0.003),
        ({"efficiency": -1.0}, -0.100, 0.003),
        ({"theory_rn_cs133": 1.7, "theory_rn_i127": 1.7}, -0.059, 0.003),
        ({"theory_rn_cs133": -1.7, "theory_rn_i127": -1.7}, 0.061, 0.003),
        ({"sns_flux": 1.0}, 0.10, 1e-6),
    ],
)
def test_shifts_of_the_yield(tree: BinnedExperiment, moved: dict[str, float], shift: float, error: float) -> None:
    """One-sigma shifts computed before, independently, from the released coefficient sets."""
    assert signal_total(tree, **moved) / signal_total(tree) - 1.0 == pytest.approx(shift, abs=error)


def test_published_efficiency_pull_moves_the_yield_by_its_4_percent() -> None:
    scaled = build(TheoryChoices(weak_charges="tree"), efficiency_pull="published_4_1_percent")
    up, down = (signal_total(scaled, efficiency=p) for p in (1.0, -1.0))
    assert (up - down) / (2 * signal_total(scaled)) == pytest.approx(0.041, abs=0.001)
    assert PUBLISHED_EFFICIENCY_SCALE < 0.5


@pytest.mark.parametrize(("pull", "released"), [(0.0, EFFICIENCY), (1.0, EFFICIENCY_PLUS), (-1.0, EFFICIENCY_MINUS)])
def test_efficiency_passes_through_the_released_curves(tree: BinnedExperiment, pull: float, released: np.ndarray) -> None:
    from importlib.resources import files

    from likelihoods.coherent_csi_2021.response import read_response
    from nmmfit.tables import read_table

    table = read_table(files("likelihoods.coherent_csi_2021") / "data" / "coefficients.csv", text=("kind", "set"))
    response = read_response(table, np.array(ENERGY_EDGES), "released")
    x = np.linspace(0.1, 60.0, 300)
    a, b, c, d = released
    clipped = np.maximum(a / (1 + np.exp(-b * (x - c))) + d, 0.0)
    ours = np.asarray(response.efficiency_curve(x, pulls_of(tree, efficiency=pull)))
    np.testing.assert_allclose(ours, clipped, atol=0.03 / np.sqrt(2 * np.pi) + 1e-4)
    np.testing.assert_allclose(ours[clipped > 0.12], clipped[clipped > 0.12], atol=2e-5)


def test_backgrounds(experiment: BinnedExperiment) -> None:
    """18.4 beam-related and 5.6 neutrino-induced neutrons before the time efficiency; SSB as the anti-coincidence data."""
    channel = experiment.channels[0]
    parts = {k: np.asarray(v) for k, v in channel.component_counts(forms_of(), experiment.nominal_pulls()).items()}
    assert 0.97 * 18.4 < parts["brn"].sum() < 18.4
    assert 0.85 * 5.6 < parts["nin"].sum() < 5.6
    steady = sum(v for k, v in parts.items() if k.startswith("ssb")).reshape(9, 11)
    np.testing.assert_allclose(steady.sum(axis=1), experiment.channels[1].observed.reshape(9, 11).sum(axis=1))
    edges = np.asarray(channel.edges["time_us"])
    shape = np.exp(-0.0494 * edges[:-1]) - np.exp(-0.0494 * edges[1:])
    np.testing.assert_allclose(steady.sum(axis=0) / steady.sum(), shape / shape.sum(), rtol=1e-12)
    # neutrons of the beam arrive within the first two microseconds
    assert parts["brn"].reshape(9, 11)[:, :9].sum() > 0.9 * parts["brn"].sum()


@pytest.mark.slow
@pytest.mark.parametrize("steady_state", ["free_shape", "fixed_shape"])
def test_fitted_yield_agrees_with_the_published_one(steady_state: str) -> None:
    """306 +- 20 events, arXiv:2110.07730."""
    experiment = build(steady_state=steady_state)
    events, error, gradient = minimise(experiment, fixed=("sns.flux",))
    assert np.abs(gradient).max() < 1e-3
    assert abs(events - 306.0) < 10.0
    assert 20.0 < error < 50.0


# --- properties -----------------------------------------------------------------------------------------------------------------


def test_signal_times_shift_and_lose_only_to_the_efficiency(experiment: BinnedExperiment) -> None:
    """A delay of one bin moves early bins by one; without losses every source arrives within its decay time."""
    for component in experiment.channels[0].components[:6:2]:
        arrival = component.factors[1].function
        at_zero, later = (np.asarray(arrival(forms_of(), pulls_of(experiment, timing=p))) for p in (0.0, 1.25))
        # up to 0.5 us the time efficiency is 1 and bins are 125 ns
        np.testing.assert_allclose(later[1:4], at_zero[:3], rtol=1e-10, atol=1e-15)
        assert np.all(at_zero >= 0)
        delayed = component.name.startswith("cevns_delayed")
        # share of muon decays before 6 us, minus the loss exp(-0.0494 t): 0.92 * 0.92 or so; prompt: nearly everything
        assert at_zero.sum() == pytest.approx(0.85 if delayed else 1.0, abs=0.01)


@pytest.mark.parametrize("part", contract_parts())
def test_contract(part: Callable[[Evaluation], str], evaluation: Evaluation) -> None:
    """Each check raises what is wrong; at the draws of `has_gradient` the efficiency's kink may cross a bin's edge."""
    assert part(evaluation)


def test_recoils_give_light_in_the_whole_box(experiment: BinnedExperiment) -> None:
    """The quenching polynomial stays positive up to the largest recoil, 45 keV, for pulls within 4 standard deviations."""
    t = np.linspace(1e-4, 0.0475, 400)
    for qf0, qf1 in itertools.product((-4.0, 0.0, 4.0), repeat=2):
        light = np.polyval([*(QUENCHING + qf0 * QF0 + qf1 * QF1)[::-1], 0.0], t)
        assert np.all(light > 0)
        assert np.all(light < t)


def test_second_derivative_is_continuous_where_the_kink_crosses_a_bin_edge(experiment: BinnedExperiment) -> None:
    factor = experiment.channels[0].components[2].factors[0].values

    def first_bin(p: jax.Array) -> jax.Array:
        return factor(forms_of(), experiment.nominal_pulls() | {PREFIX + "efficiency": p})[0]

    curvature = jax.jit(jax.vmap(jax.grad(jax.grad(first_bin))))
    grid = np.linspace(-1.6, -0.8, 41)
    values = np.asarray(curvature(grid))
    assert np.all(np.isfinite(values))
    # a hard clip would jump by the whole curvature, about 1 event per sigma^2, in one step
    assert np.abs(np.diff(values)).max() < 0.1 * values.max()


def test_dipole_and_tensor_interfere(experiment: BinnedExperiment) -> None:
    """Same final helicity: the relative sign of dipole and tensor matters."""
    same = experiment.channels[0].expected(forms_of(3e-7, 0.0, 2e-6), experiment.nominal_pulls())
    opposite = experiment.channels[0].expected(forms_of(3e-7, 0.0, -2e-6), experiment.nominal_pulls())
    assert float(jnp.sum(same - opposite)) > 0.05


def test_evaluates_under_vmap(experiment: BinnedExperiment) -> None:
    strengths = jnp.array([0.5, 1.0, 2.0])

    def total(strength: jax.Array) -> jax.Array:
        return experiment.channels[0].expected(forms_of() | {"sm": strength}, experiment.nominal_pulls())

    batch = jax.jit(jax.vmap(total))(strengths)
    np.testing.assert_allclose(batch[2] - batch[1], 2.0 * (batch[1] - batch[0]), rtol=1e-9, atol=1e-12)


# --- options and data -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"efficiency": "released"}, "efficiency_pull"),
        ({"efficiency_pull": "relesed"}, "released"),
        ({"rn_width": 0.0}, "rn_width"),
        ({"rn_width": "wide"}, "rn_width"),
        ({"timing_width_ns": -1.0}, "timing_width_ns"),
    ],
)
def test_wrong_options_are_refused_in_one_line(options: dict[str, object], said: str) -> None:
    with pytest.raises(UserInputError, match=said) as caught:
        build(**options)
    assert "\n" not in str(caught.value)


def test_unknown_theory_choices_are_refused() -> None:
    with pytest.raises(UserInputError, match="radiative"):
        build(TheoryChoices(weak_charges="radiativ"))
    with pytest.raises(UserInputError, match="helm"):
        build(TheoryChoices(form_factor="helmm"))


def test_options_change_what_they_say() -> None:
    wide = build(rn_width=0.05, steady_state="fixed_shape")
    assert [c.name for c in wide.channels] == ["coincidence"]
    assert PREFIX + "ssb" in wide.pulls
    assert PREFIX + "ssb_0" not in wide.pulls
    parts = wide.channels[0].component_counts(forms_of(), wide.nominal_pulls())
    assert float(parts["ssb"].sum()) == pytest.approx(1286.0)
    narrow = signal_total(build(), theory_rn_cs133=2.5, theory_rn_i127=2.5)
    assert signal_total(wide, theory_rn_cs133=1.0, theory_rn_i127=1.0) == pytest.approx(narrow, rel=1e-9)
    assert Options().efficiency_pull == "released"


def test_tables_are_rebuilt_byte_by_byte(release_dir: Path, tmp_path: Path) -> None:
    make(release_dir, tmp_path)
    shipped = Path(__file__).parents[2] / "likelihoods" / "coherent_csi_2021" / "data"
    names = sorted(p.name for p in shipped.iterdir())
    assert sorted(p.name for p in tmp_path.iterdir()) == names
    for name in names:
        assert (tmp_path / name).read_bytes() == (shipped / name).read_bytes(), name


def test_counts_are_those_of_the_event_lists(release_dir: Path, experiment: BinnedExperiment) -> None:
    for channel, name in zip(experiment.channels, ("dataBeamOnC.txt", "dataBeamOnAC.txt"), strict=True):
        events = np.loadtxt(release_dir / "coherent_csi_2021" / name)
        edges = [np.asarray(channel.edges[axis]) for axis in ("energy_pe", "time_us")]
        expected, *_ = np.histogram2d(events[:, 0], events[:, 1], edges)
        np.testing.assert_array_equal(channel.observed.reshape(9, 11), expected)


def test_neutron_shapes_are_those_of_the_release(release_dir: Path, experiment: BinnedExperiment) -> None:
    parts = experiment.channels[0].component_counts(forms_of(), experiment.nominal_pulls())
    for name, events in (("brn", 18.4), ("nin", 5.6)):
        time = np.loadtxt(release_dir / "coherent_csi_2021" / f"{name}Trec.txt")
        time = time[(time[:, 0] > 0) & (time[:, 0] < 6)]
        efficiency = np.exp(-0.0494 * np.maximum(time[:, 0] - 0.52, 0.0))
        assert float(parts[name].sum()) == pytest.approx(events * (time[:, 1] * efficiency).sum() / time[:, 1].sum(), rel=1e-5)


def test_arrival_times_are_those_of_the_released_histogram(release_dir: Path, experiment: BinnedExperiment) -> None:
    table = np.genfromtxt(release_dir / "coherent_csi_2021" / "sns_flux_time_10ns.csv", delimiter=",", names=True)
    centre = (table["t_lo_ns"] + table["t_hi_ns"]) / 2e3
    efficiency = np.exp(-0.0494 * np.maximum(centre - 0.52, 0.0))
    for component, column in zip(experiment.channels[0].components[:6:2], ("nuMu", "nuMuBar", "nuE"), strict=True):
        seen = np.asarray(component.factors[1].function(forms_of(), experiment.nominal_pulls()))
        cumulative = np.concatenate([[0.0], np.cumsum(table[column] * efficiency)])
        at = np.interp(component_edges(experiment), np.append(table["t_lo_ns"], 15000.0) / 1e3, cumulative)
        np.testing.assert_allclose(seen, np.diff(at), atol=2e-4)


def component_edges(experiment: BinnedExperiment) -> np.ndarray:
    return np.asarray(experiment.channels[0].edges["time_us"])
