from __future__ import annotations

import dataclasses
import errno
import os
import subprocess
import sys

import numpy as np
import pytest
from numpyro import distributions as dist
from scipy import stats
from synthetic import synthetic_joint
from synthetic_run import LIMITS

from nmmfit.errors import OutputError
from nmmfit.experiment import Channel, Component, Factor
from nmmfit.inference.parameters import Parameter
from nmmfit.results import figure, files
from nmmfit.results.chains import rank_histograms, trace_figure, worst_names
from nmmfit.results.corner import CornerVariable, contour_levels, corner_figure
from nmmfit.results.diagnostics import summarise_fit
from nmmfit.results.forest import forest_figure
from nmmfit.results.plots import (
    coefficient_corner,
    common_label,
    distinct_quantities,
    identified_corner,
    prior_density,
    wrapped_label,
    write_fit_plots,
    write_forest,
)
from nmmfit.results.residuals import measured_errors, poisson_errors, pulls
from nmmfit.results.spectra import (
    ChannelSpectrum,
    axis_title,
    channel_spectra,
    component_label,
    grouped,
    merge_bins,
    second_hand,
    spectrum_figure,
)
from nmmfit.split_normal import SplitNormal

PARAMETERS = [
    Parameter("L_dipole", "coefficient", "GeV^-1", dist.Normal(0.0, 1e-7), 0.0, 1e-7),
    Parameter("L_T_s", "coefficient", "GeV^-2", dist.Uniform(-2e-5, 2e-5), 0.0, 1e-5),
    Parameter("theory.c_T", "theory", "1", dist.Normal(-2.9, 0.3), -2.9, 0.3),
    Parameter("coherent_csi_2021.nin", "nuisance", "1", dist.Normal(0.0, 1.0), 0.0, 1.0),
]


def texts(fig) -> str:
    """Every text of a figure: titles, labels, ticks, legends."""
    import matplotlib.text

    return "\n".join(t.get_text() for t in fig.findobj(matplotlib.text.Text))


@pytest.fixture
def energy_time():
    random = np.random.default_rng(2)
    edges = {"energy_pe": np.array([8.0, 10.0, 14.0, 20.0]), "time_us": np.array([0.0, 1.0, 2.0, 4.0, 6.0])}
    parts = {"steady_state": np.full(12, 60.0), "cevns": np.linspace(9.0, 1.0, 12)}
    observed = random.poisson(sum(parts.values())).astype(float)
    return ChannelSpectrum(
        "csi.coincidence", "CsI", observed, edges, parts, sm=parts["steady_state"] + 4.0, subtracted=("steady_state",)
    )


@pytest.fixture
def hits():
    edges = np.arange(99.5, 400.0)
    x = 0.5 * (edges[1:] + edges[:-1])
    parts = {"c14": 1e6 * np.exp(-(x - 100) / 12), "be7": 400 / (1 + np.exp((x - 270) / 12)), "external": np.full(x.size, 0.05)}
    observed = np.random.default_rng(3).poisson(sum(parts.values())).astype(float)
    return ChannelSpectrum("bx.spectrum", "Borexino", observed, {"n_hits": edges}, parts, log_counts=True)


def test_contour_levels_of_a_gaussian():
    # In two dimensions the density at the edge of the region with probability p is 1 - p of the peak.
    x = np.linspace(-6, 6, 601)
    density = np.exp(-0.5 * (x[:, None] ** 2 + x[None, :] ** 2))
    assert contour_levels(density, (0.68, 0.90)) == pytest.approx([0.10, 0.32], rel=0.01)


def test_poisson_errors_of_garwood():
    # Central 68.27 % intervals: n = 0: [0, 1.841], 1: [0.173, 3.300], 4: [2.086, 7.163] (PDG, statistics review).
    errors = poisson_errors(np.array([0.0, 1.0, 4.0]))
    assert errors == pytest.approx(np.array([[0.0, 0.827, 1.914], [1.841, 2.300, 3.163]]), abs=2e-3)


def test_pulls_are_signed_roots_of_the_deviance():
    assert pulls(np.array([0.0]), np.array([2.0])) == pytest.approx([-2.0])
    assert pulls(np.array([10_100.0]), np.array([10_000.0])) == pytest.approx([1.0], abs=5e-3)
    assert pulls(np.array([5.0]), np.array([5.0])) == pytest.approx([0.0])


def test_projections_sum_over_the_other_axis(energy_time):
    total = energy_time.observed.sum()
    for axis, size in (("energy_pe", 3), ("time_us", 4)):
        projected = energy_time.project(energy_time.observed, axis)
        assert projected.shape == (size,)
        assert projected.sum() == total
    # C order of the axes: the first bin of energy is the first four entries.
    assert energy_time.project(energy_time.observed, "energy_pe")[0] == energy_time.observed[:4].sum()


@pytest.mark.parametrize("bins", [1, 7, 119, 120, 121, 601])
def test_merged_bins_cover_everything(bins):
    edges = np.arange(bins + 1.0)
    kept = merge_bins(edges, 120)
    assert kept[0] == 0
    assert kept[-1] == bins
    assert len(kept) - 1 <= 120
    assert np.all(np.diff(kept) > 0)


@pytest.mark.parametrize(
    ("axis", "title"), [("energy_pe", "energy [PE]"), ("time_us", r"time [$\mu$s]"), ("n_hits", "$N_h$ [hits]"), ("x", "x")]
)
def test_axis_titles_carry_units(axis, title):
    assert axis_title(axis) == title


def test_rank_histograms():
    random = np.random.default_rng(0)
    draws = random.normal(size=(4, 1000))
    counts = rank_histograms(draws)
    assert counts.shape == (4, 20)
    assert np.all(counts.sum(axis=1) == 1000)
    assert np.all(counts.sum(axis=0) == 200)
    assert stats.chisquare(counts[0]).pvalue > 1e-3
    draws[0] += 3.0
    assert rank_histograms(draws)[0, -1] > 150


def test_prior_density_is_the_prior():
    values = np.array([-1e-7, 0.0, 5e-8])
    assert prior_density(PARAMETERS[0])(values) == pytest.approx(stats.norm(0.0, 1e-7).pdf(values), rel=1e-6)
    assert prior_density(PARAMETERS[1])(np.array([-3e-5, 0.0, 3e-5])) == pytest.approx([0.0, 2.5e4, 0.0])
    half = Parameter("x", "coefficient", "1", dist.HalfNormal(2.0), 0.0, 2.0)
    assert prior_density(half)(np.array([-1.0, 1.0])) == pytest.approx([0.0, stats.halfnorm(scale=2.0).pdf(1.0)], rel=1e-6)


def test_all_plots_of_a_fit(tmp_path, result, energy_time, hits):
    made = write_fit_plots(tmp_path, result, summarise_fit(result), PARAMETERS, [energy_time, hits])
    names = {p.name for p in made}
    assert {"corner_identified.png", "corner_identified.pdf", "corner_coefficients.png", "trace_and_rank.png"} <= names
    assert {"spectrum_csi.coincidence.png", "spectrum_bx.spectrum.pdf", "spectrum_bx.spectrum.svg"} <= names
    assert names == {p.name for p in tmp_path.iterdir()}
    for path in made:
        assert path.read_bytes()[:4] in (b"\x89PNG", b"%PDF", b"<?xm")
        assert path.stat().st_size > 5000


def test_axes_carry_units(result, energy_time, hits):
    text = texts(coefficient_corner(result, PARAMETERS))
    assert "[$10^{-8}$ GeV$^{-1}$]" in text
    assert "[$10^{-6}$ GeV$^{-2}$]" in text or "[$10^{-5}$ GeV$^{-2}$]" in text
    assert "$c_{T}$" in text
    assert "nin" not in text
    text = texts(spectrum_figure(energy_time))
    assert "energy [PE]" in text
    assert r"(counts $-$ steady state) / $\mu$s" in text
    text = texts(spectrum_figure(hits))
    assert "counts / hit" in text
    assert "$^{14}$C" in text


def test_equal_quantities_share_a_panel(result):
    """All sources have one effective moment where couplings are universal; equal numbers in another unit are something else."""
    moment = result.identified["mu_solar"]
    equal = {"mu_sns": moment * (1.0 + 1e-13), "other": moment * 1.001}
    draws, units = {**result.identified, **equal}, {**result.identified_units, "mu_sns": "1e-11 mu_B", "other": "1e-11 mu_B"}
    groups = {"mu_solar": ("mu_solar", "mu_sns"), "tensor_Cs133": ("tensor_Cs133",), "other": ("other",)}
    assert distinct_quantities(draws, units) == groups
    assert len(distinct_quantities(draws, {**units, "mu_sns": "1"})) == 4
    labels = {"mu_solar": "M solar", "mu_sns": "M sns", "other": "M other"}
    drawn = identified_corner(dataclasses.replace(result, identified=draws, identified_units=units, labels=labels))
    assert len([axes for axes in drawn.axes if axes.axison]) == 6
    assert "M\nsolar, sns\n[$10^{-11}$ $\\mu_{\\rm B}$]" in texts(drawn)


def test_constant_and_single_variables_can_be_drawn(tmp_path):
    constant = CornerVariable(np.ones((4, 50)), "x")
    degenerate = CornerVariable(np.random.default_rng(0).normal(size=(4, 50)), "y", "GeV^-2")
    figure.save(corner_figure({"x": constant, "y": degenerate}), tmp_path / "two", ("png",))
    figure.save(corner_figure({"y": degenerate}), tmp_path / "one", ("png",))
    with pytest.raises(ValueError, match="at least one"):
        corner_figure({})


def test_empty_bins_and_zero_background_can_be_drawn(tmp_path):
    edges = {"energy_pe": np.arange(4.0)}
    empty = ChannelSpectrum("x.y", "t", np.zeros(3), edges, {"signal": np.full(3, 1e-9)}, sm=np.full(3, 1e-9))
    figure.save(spectrum_figure(empty), tmp_path / "empty", ("png",))


def test_traces_of_the_worst_nuisances(result):
    names = worst_names(result, summarise_fit(result), nuisances=1)
    assert names[:4] == ["mu_solar", "tensor_Cs133", "L_dipole", "L_T_s"]
    assert len(names) == 5
    result.sample_stats["diverging"][0, 3] = True
    assert len(trace_figure(result, names).axes) == 10


def test_forest_has_all_kinds_and_arrows(tmp_path):
    fig = forest_figure(LIMITS, {"L_dipole": r"$L_\gamma$"})
    text = texts(fig)
    for words in (
        "one at a time",
        "profiled",
        "marginalised",
        "90 % CL",
        r"$L_\gamma$",
        r"[GeV$^{-1}$]",
        r"[$10^{-11}$ $\mu_{\rm B}$]",
    ):
        assert words in text
    arrows = [t for axes in fig.axes for t in axes.texts if getattr(t, "arrow_patch", None) is not None]
    assert len(arrows) == 2
    assert all(axes.get_xscale() == "log" for axes in fig.axes)
    assert {p.name for p in write_forest(tmp_path, LIMITS)} == {"limits_forest.png", "limits_forest.pdf"}
    with pytest.raises(ValueError, match="at least one limit"):
        forest_figure({"cl": 0.9, "parameters": {}, "identified": {}})


def test_saving_is_reproducible_and_whole(tmp_path, result, monkeypatch):
    fig = trace_figure(result, ["mu_solar"])
    first = [p.read_bytes() for p in figure.save(fig, tmp_path / "a")]
    assert first == [p.read_bytes() for p in figure.save(fig, tmp_path / "a")]

    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "replace", full)
    with pytest.raises(OutputError, match="the disk is full"):
        figure.save(fig, tmp_path / "b", ("png",))
    assert {p.name for p in tmp_path.iterdir()} == {"a.png", "a.pdf"}


def test_spectra_of_a_joint_likelihood():
    joint = synthetic_joint()
    spectra = {s.name: s for s in channel_spectra(joint, {"L_dipole": 5.0})}
    assert set(spectra) == set(joint.channels)
    for name, spectrum in spectra.items():
        expected = joint.components({"L_dipole": 5.0})[name]
        np.testing.assert_allclose(spectrum.best, sum(np.asarray(v) for v in expected.values()))
        standard = joint.components({})[name]
        np.testing.assert_allclose(spectrum.sm, sum(np.asarray(v) for v in standard.values()))
    assert spectra["nuclear_like.beam_on"].signals == {"a", "b"}


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("c14", "$^{14}$C"),
        ("external", "external"),
        ("cevns_delayed_nu_mu_bar", r"CE$\nu$NS delayed $\bar\nu_\mu$"),
        ("cevns_prompt_nu_mu", r"CE$\nu$NS prompt $\nu_\mu$"),
        ("ssb", "steady-state background"),
        ("nuance_e", "nuance e"),
    ],
)
def test_component_labels(name, label):
    assert component_label(name) == label


def test_components_are_grouped_by_number_and_nucleus():
    parts = {
        "ssb_0": [1.0, 2.0],
        "ssb_1": [3.0, 4.0],
        "cevns_nu_e_cs133": [5.0, 5.0],
        "cevns_nu_e_i127": [1.0, 1.0],
        "c14": [7.0, 7.0],
        "only_1": [9.0, 9.0],
    }
    summed = grouped({k: np.array(v) for k, v in parts.items()})
    assert {k: v.tolist() for k, v in summed.items()} == {
        "ssb": [4.0, 6.0],
        "cevns_nu_e": [6.0, 6.0],
        "c14": [7.0, 7.0],
        "only_1": [9.0, 9.0],
    }


def test_importing_results_loads_neither_matplotlib_nor_arviz():
    code = (
        "import sys, nmmfit.results.plots, nmmfit.results.store, nmmfit.results.tables\n"
        "print([m for m in ('matplotlib', 'arviz', 'pandas', 'xarray') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def one_number(distribution, observed: float = 20.0) -> Channel:
    component = Component("signal", (Factor(lambda forms, values: np.array([observed]), forms=()),))
    edges = {"ionisation_kee": np.array([1.5, 10.0])}
    return Channel("recoils", np.array([observed]), (component,), edges, distribution, "normal")


def test_errors_of_a_measured_number_are_its_widths():
    # 20 +7 -6: a true value that is larger by 7 is one standard deviation off, and so is one that is smaller by 6.
    split = measured_errors(one_number(lambda mean: SplitNormal(mean, 7.0, 6.0)))
    np.testing.assert_allclose(split, [[6.0], [7.0]], rtol=1e-12)
    np.testing.assert_allclose(measured_errors(one_number(lambda mean: dist.Normal(mean, 3.0))), [[3.0], [3.0]], rtol=1e-12)
    np.testing.assert_allclose(measured_errors(one_number(lambda mean: dist.Normal(mean, 2.0), 0.0)), [[2.0], [2.0]], rtol=1e-12)
    assert measured_errors(dataclasses.replace(one_number(dist.Poisson), statistic="poisson")) is None
    np.testing.assert_allclose(pulls(np.array([20.0]), np.array([34.0]), split), [-2.0])
    np.testing.assert_allclose(pulls(np.array([20.0]), np.array([8.0]), split), [2.0])


def test_a_single_number_is_drawn_as_counts_with_its_own_errors_and_origin():
    errors = np.array([[6.0], [7.0]])
    parts = {"cevns_nu_mu": np.array([25.0]), "cevns_nu_e": np.array([10.0])}
    edges = {"ionisation_kee": np.array([1.5, 10.0])}
    origin = second_hand("numbers of the abstract; counts digitised by a third party; unverified")
    assert origin == "counts digitised by a third party"
    drawn = spectrum_figure(ChannelSpectrum("ge.recoils", "Ge", np.array([20.0]), edges, parts, errors=errors, origin=origin))
    top, bottom = drawn.axes
    assert top.get_ylabel() == "counts"
    assert origin in texts(drawn)
    (bar,) = (line for container in top.containers for line in container.lines[2])
    np.testing.assert_allclose(bar.get_segments()[0][:, 1], [14.0, 27.0])
    (point,) = (line.get_ydata() for line in bottom.lines if line.get_marker() == "o")
    np.testing.assert_allclose(point, [-15.0 / 7.0])
    # What is expected lies above the data and is inside all the same.
    assert top.get_ylim()[1] > 35.0


@pytest.mark.parametrize(("axes", "shape"), [(1, (1, 1)), (3, (1, 3)), (4, (2, 2)), (5, (2, 3))])
def test_many_axes_are_wrapped_and_share_their_abscissa(axes, shape):
    edges = {f"x{k}": np.arange(3.0) + k for k in range(axes)}
    values = np.ones(2**axes)
    drawn = spectrum_figure(ChannelSpectrum("x.y", "t", values, edges, {"signal": values}))
    rows, columns = shape
    assert drawn.axes[0].get_gridspec().get_geometry() == (2 * rows, columns)
    shown = [a for a in drawn.axes if a.axison]
    assert len(shown) == 2 * axes
    assert sorted(a.get_xlabel() for a in shown if a.get_xlabel()) == sorted(edges)
    for below in (a for a in shown if a.get_xlabel()):
        low = float(below.get_xlabel()[1:])
        assert below.get_xlim() == (low, low + 2.0)


def test_long_labels_break_between_names():
    label = common_label([r"$\mu$ nu tau", r"$\mu$ reactor e", r"$\mu$ sns e", r"$\mu$ solar b8"])
    assert wrapped_label(label, 18).split("\n") == [r"$\mu$", "nu tau, reactor e,", "sns e, solar b8"]
    assert wrapped_label("tensor charge", 4) == "tensor charge"
