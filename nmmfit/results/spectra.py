"""Spectra per channel: data with errors, components, Standard Model, best fit, and residuals; projections for several axes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.parameter_vector import Point
from nmmfit.results.figure import BLACK, BLUE, DARK_GREY, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILLION, YELLOW, new_figure, style
from nmmfit.results.residuals import measured_errors, poisson_errors, pulls

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Last word of an axis name -> how its unit is written; a name without one of these has no unit that is known here.
AXIS_UNITS = {
    "pe": "PE", "us": r"$\mu$s", "ns": "ns", "hits": "hits",
    "ev": "eV", "kev": "keV", "kee": r"keV$_{\rm ee}$", "kevee": r"keV$_{\rm ee}$", "kevnr": r"keV$_{\rm nr}$", "mev": "MeV",
}  # fmt: skip
_LINES = (ORANGE, GREEN, PURPLE, SKY, YELLOW, GREY, "#7F5539", "#4D4D9A", "#8DB600", "#B22222")
AXIS_TITLES = {"n_hits": "$N_h$ [hits]"}
# How parts of component names are written, longest first.
WORDS = {
    "nu_mu_bar": r"$\bar\nu_\mu$", "nu_e_bar": r"$\bar\nu_e$", "nu_mu": r"$\nu_\mu$", "nu_e": r"$\nu_e$", "nu_tau": r"$\nu_\tau$",
    "cevns": r"CE$\nu$NS", "ssb": "steady-state background", "brn": "beam-related neutrons", "nin": "neutrino-induced neutrons",
    "pileup": "pile-up", "cno": "CNO", "argon37": r"$^{37}$Ar",
}  # fmt: skip
MAX_POINTS = 120
MOST_SIDE_BY_SIDE = 3
# A background with more than this share of all counts hides the rest and is subtracted.
DOMINANT = 0.6


@dataclass(frozen=True)
class ChannelSpectrum:
    """What a spectrum plot shows of one channel; all arrays (bin,), raveled in C order of the axes of `edges`.

    Attributes:
        name: `experiment.channel`.
        title: line above the plot.
        observed: counts.
        edges: axis name with unit, such as "energy_pe" -> edges.
        components: expected counts by component at the best fit.
        sm: expected counts of the Standard Model; None: not drawn.
        log_counts: whether the count axis is logarithmic; components are then lines, otherwise stacked.
        signals: components that depend on the couplings; they stand on top of the stack.
        subtracted: components taken off data and predictions alike, so that the rest can be seen; the axis says so.
        labels: how components are written; missing: the name, isotopes as such.
        best_label, sm_label: what the components together, and `sm`, are called.
        errors: of the data, below and above, (2, bin), where they were measured so; None: those of Poisson counts.
        origin: what was digitised or read by a third party, in words, below the title; empty where nothing was.
    """

    name: str
    title: str
    observed: np.ndarray
    edges: Mapping[str, np.ndarray]
    components: Mapping[str, np.ndarray]
    sm: np.ndarray | None = None
    log_counts: bool = False
    signals: frozenset[str] = frozenset()
    subtracted: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    best_label: str = "best fit"
    sm_label: str = "Standard Model"
    errors: np.ndarray | None = None
    origin: str = ""

    @property
    def best(self) -> np.ndarray:
        """Expected counts at the best fit, (bin,)."""
        return np.sum(list(self.components.values()), axis=0)

    @property
    def baseline(self) -> np.ndarray:
        """Sum of the subtracted components, (bin,)."""
        return np.sum([np.zeros(len(self.observed)), *(self.components[n] for n in self.subtracted)], axis=0)

    def label(self, component: str) -> str:
        """How a component is written."""
        return self.labels.get(component) or component_label(component)

    def project(self, values: np.ndarray, axis: str) -> np.ndarray:
        """Counts along one axis, summed over the others."""
        shape = [len(e) - 1 for e in self.edges.values()]
        others = tuple(i for i, name in enumerate(self.edges) if name != axis)
        return np.asarray(values, dtype=float).reshape(shape).sum(axis=others)


def component_label(component: str) -> str:
    """A component's name as it is written: isotopes, neutrinos and known abbreviations as such, underscores as blanks."""
    isotope = re.fullmatch(r"([a-z]{1,2})(\d+)", component)
    if isotope:
        return rf"$^{{{isotope.group(2)}}}${isotope.group(1).capitalize()}"
    known = "|".join(WORDS)
    pieces = re.split(rf"(?:^|_)({known})(?=_|$)", component)
    return " ".join(WORDS.get(piece) or piece.strip("_").replace("_", " ") for piece in pieces if piece.strip("_"))


def second_hand(status: str) -> str:
    """The part of an experiment's status that says what was digitised or read by a third party."""
    parts = (part.strip() for part in status.split(";"))
    return "; ".join(part for part in parts if "digitised" in part or "third party" in part)


def grouped(components: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Components summed over numbered parts ("ssb_0", "ssb_1") and target nuclei ("cevns_cs133", "cevns_i127")."""
    stems: dict[str, list[str]] = {}
    for name in components:
        stems.setdefault(_stem(name), []).append(name)
    return {
        stem if len(members) > 1 else members[0]: np.sum([np.asarray(components[m], dtype=float) for m in members], axis=0)
        for stem, members in stems.items()
    }


def _stem(name: str) -> str:
    return re.sub(r"_([a-z]{1,2}\d{1,3}|\d+)$", "", name)


def channel_spectra(joint: JointLikelihood, best: Point, sm: Point | None = None) -> list[ChannelSpectrum]:
    """Spectra of every channel of a joint likelihood.

    Args:
        joint: the likelihood.
        best: point whose prediction is called the best fit.
        sm: point whose prediction is called the Standard Model, as a rule all coefficients 0 and everything else refitted;
            None: the best-fit point with all coefficients at 0.
    """
    reference = sm if sm is not None else {**best, **dict.fromkeys(joint.switches, 0.0)}
    fitted, standard = joint.components(best), joint.components(reference)
    origins = {f"{e.name}.{c.name}": second_hand(e.status) for e in joint.experiments for c in e.channels}
    titles = {f"{e.name}.{c.name}": f"{e.title}: {c.name.replace('_', ' ')}" for e in joint.experiments for c in e.channels}
    spectra = []
    for name, channel in joint.channels.items():
        observed = np.asarray(joint.observed[name])
        filled = observed[observed > 0]
        # One axis and counts over several decades: only a logarithmic axis shows the tail.
        log_counts = len(channel.edges) == 1 and filled.size > 0 and bool(filled.max() > 300 * np.median(filled))
        parts = grouped(fitted[name])
        reads_couplings = {c.name for c in channel.components if any(f.forms is not None for f in c.factors)}
        signals = frozenset(k for k in parts if reads_couplings & {k, *(n for n in fitted[name] if _stem(n) == k)})
        total = sum(float(v.sum()) for v in parts.values())
        dominant = [k for k, v in parts.items() if k not in signals and float(v.sum()) > DOMINANT * total]
        spectra.append(
            ChannelSpectrum(
                name=name,
                title=titles[name],
                observed=observed,
                edges=channel.edges,
                components=parts,
                sm=np.sum([np.asarray(v) for v in standard[name].values()], axis=0),
                log_counts=log_counts,
                signals=signals,
                subtracted=tuple(dominant) if signals and not log_counts else (),
                errors=measured_errors(channel),
                origin=origins[name],
            )
        )
    return spectra


def axis_title(axis: str) -> str:
    """ "energy_pe" as "energy [PE]"; a name without a known unit as words."""
    if axis in AXIS_TITLES:
        return AXIS_TITLES[axis]
    words = axis.split("_")
    if len(words) > 1 and words[-1] in AXIS_UNITS:
        return f"{' '.join(words[:-1])} [{AXIS_UNITS[words[-1]]}]"
    return " ".join(words)


def merge_bins(edges: np.ndarray, most: int) -> np.ndarray:
    """Indices of the edges that stay when neighbouring bins are merged, evenly, into at most `most` bins."""
    bins = len(edges) - 1
    group = -(-bins // most)
    kept = np.arange(0, bins + 1, group)
    return kept if kept[-1] == bins else np.append(kept, bins)


def spectrum_figure(spectrum: ChannelSpectrum) -> Figure:
    """A panel for every axis of a channel: counts above, pulls of the data with respect to the components together below."""
    axes_names = list(spectrum.edges)
    rows = -(-len(axes_names) // MOST_SIDE_BY_SIDE)
    columns = -(-len(axes_names) // rows)
    with style():
        figure = new_figure(5.4 * columns + 0.2, 4.3 * rows + 0.6)
        grid = figure.subplots(2 * rows, columns, squeeze=False, gridspec_kw={"height_ratios": [3, 1] * rows})
        for k in range(rows * columns):
            top, bottom = (grid[2 * (k // columns) + part, k % columns] for part in (0, 1))
            if k >= len(axes_names):
                top.set_axis_off()
                bottom.set_axis_off()
                continue
            bottom.sharex(top)
            top.tick_params(labelbottom=False)
            _draw_axis(top, bottom, spectrum, axes_names[k])
        handles, labels = grid[0, 0].get_legend_handles_labels()
        most = 5 if columns == 1 else 7
        figure.legend(
            handles,
            labels,
            loc="outside lower center",
            ncols=-(-len(labels) // -(-len(labels) // most)),
            handlelength=1.6,
            columnspacing=1.2,
        )
        figure.suptitle(spectrum.title, fontsize=11)
        if spectrum.origin:
            grid[0, 0].set_title(spectrum.origin, fontsize=8, color=DARK_GREY, loc="left")
        figure.align_ylabels(grid[:, 0])
    return figure


def _draw_axis(top: Any, bottom: Any, spectrum: ChannelSpectrum, axis: str) -> None:
    edges = np.asarray(spectrum.edges[axis], dtype=float)
    kept = merge_bins(edges, MAX_POINTS)
    merged = edges[kept]
    # Of a single number there is no density.
    widths = np.diff(merged) if len(edges) > 2 else np.ones(1)

    def along(values: np.ndarray) -> np.ndarray:
        return np.add.reduceat(spectrum.project(values, axis), kept[:-1])

    observed, best, baseline = along(spectrum.observed), along(spectrum.best), along(spectrum.baseline)
    parts = {n: along(v) / widths for n, v in spectrum.components.items() if n not in spectrum.subtracted}
    _components(top, merged, parts, spectrum)
    top.stairs(
        (best - baseline) / widths, merged, color=VERMILLION, linewidth=1.5, label=spectrum.best_label, zorder=4, baseline=None
    )
    lines = [best]
    if spectrum.sm is not None:
        standard = along(spectrum.sm)
        lines.append(standard)
        line = {"color": BLUE, "linestyle": "--", "baseline": None}
        top.stairs((standard - baseline) / widths, merged, linewidth=1.3, label=spectrum.sm_label, zorder=4.5, **line)
        # Where the data would lie if they followed the Standard Model exactly.
        bottom.stairs(pulls(standard, best, spectrum.errors), merged, linewidth=1.1, **line)
    centres = 0.5 * (merged[1:] + merged[:-1])
    size = 3.0 if len(centres) <= 60 else 1.8
    shown = observed > 0 if spectrum.log_counts else np.ones(len(observed), dtype=bool)
    own = poisson_errors(observed) if spectrum.errors is None else spectrum.errors
    points, errors = (observed - baseline) / widths, own / widths
    options = {"color": BLACK, "markersize": size, "linewidth": 0.0, "elinewidth": 0.8, "zorder": 5}
    top.errorbar(centres[shown], points[shown], yerr=errors[:, shown], fmt="o", label="data", **options)
    highest = float(np.max((np.stack(lines) - baseline) / widths))
    _count_axis(top, axis, points, errors, highest, spectrum)
    bottom.axhspan(-1.0, 1.0, color=GREY, alpha=0.2, linewidth=0)
    bottom.axhline(0.0, color=VERMILLION, linewidth=1.0)
    data_pulls = pulls(observed, best, spectrum.errors)
    bottom.plot(centres, data_pulls, "o", color=BLACK, markersize=size)
    reach = max(3.5, 1.1 * float(np.max(np.abs(data_pulls))))
    bottom.set_ylim(-reach, reach)
    bottom.set_xlabel(axis_title(axis))
    bottom.set_ylabel("pull")
    top.set_xlim(merged[0], merged[-1])


def _components(top: Any, edges: np.ndarray, parts: Mapping[str, np.ndarray], spectrum: ChannelSpectrum) -> None:
    # Backgrounds below signals, and of each the largest first.
    # By total counts, so that all projections of a channel agree in order and colours.
    order = sorted(parts, key=lambda name: (name in spectrum.signals, -float(np.sum(spectrum.components[name]))))
    below = np.zeros(len(edges) - 1)
    for index, name in enumerate(order):
        colour = _LINES[index % len(_LINES)]
        if spectrum.log_counts:
            dashes = "-" if index < len(_LINES) else ":"
            top.stairs(
                parts[name], edges, color=colour, linewidth=1.0, linestyle=dashes, label=spectrum.label(name), baseline=None
            )
        else:
            above = below + parts[name]
            top.stairs(above, edges, baseline=below, fill=True, color=colour, alpha=0.65, linewidth=0, label=spectrum.label(name))
            below = above


def _count_axis(top: Any, axis: str, points: np.ndarray, errors: np.ndarray, highest: float, spectrum: ChannelSpectrum) -> None:
    unit = re.search(r"\[(.*)\]$", axis_title(axis))
    per = {"hits": "hit"}.get(unit.group(1), unit.group(1)) if unit else axis_title(axis)
    less = "".join(f" $-$ {spectrum.label(name)}" for name in spectrum.subtracted)
    one = len(points) == 1
    top.set_ylabel("counts" if one else f"(counts{less}) / {per}" if less else f"counts / {per}")
    if spectrum.log_counts:
        positive = points[points > 0]
        top.set_yscale("log")
        top.set_ylim(0.3 * float(positive.min()), 3.0 * float(positive.max()))
    else:
        low = min(0.0, float(np.min(points - errors[0]))) if spectrum.subtracted else 0.0
        high = float(np.max(points + errors[1]))
        # Also what is expected, unless it would leave no room for the data.
        high = max(high, min(highest, 2.0 * high))
        top.set_ylim(low - 0.05 * (high - low) if low < 0.0 else 0.0, high + 0.1 * (high - low))
        if low < 0.0:
            top.axhline(0.0, color=GREY, linewidth=0.8)


def spectra_figures(spectra: Sequence[ChannelSpectrum]) -> dict[str, Figure]:
    """A figure for every channel, by `experiment.channel`."""
    return {s.name: spectrum_figure(s) for s in spectra}
