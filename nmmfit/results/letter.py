"""Figure 3 of arXiv:1901.00482 drawn twice: the letter's formulae, and what the effective theory gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nmmfit.results.figure import BLACK, BLUE, GREY, ORANGE, PURPLE, VERMILLION, new_figure, style
from nmmfit.results.wording import unit_mathtext

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SYMBOL = {"mu": r"\mu", "tau": r"\tau"}
_LOOK = {"experimental": (BLUE, "-"), "astrophysical": (PURPLE, "--")}
_RANGE_MUB = (1e-16, 3e-8)


def letter_figure(curves: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], bounds: Sequence[Mapping[str, Any]]) -> Figure:
    """Two panels that share their axes: moment against the mass of the charged fermion.

    Args:
        curves, rows, bounds: of `nmmfit.reproduce_letter`; bounds of the letter stand left, later ones right.
    """
    mass = curves["mass_gev"]
    with style():
        figure = new_figure(9.6, 4.6)
        left, right = figure.subplots(1, 2, sharex=True, sharey=True)
        left.fill_between(mass, *curves["letter_tensor"], color=VERMILLION, alpha=0.45, linewidth=0.0, label="tensor, eq. (11)")
        left.fill_between(mass, *curves["letter_scalar"], color=ORANGE, alpha=0.45, linewidth=0.0, label="scalar, eq. (10)")
        left.set_title(r"arXiv:1901.00482: $G_X = 0.1$ to $1\,G_F$")
        name = r"tensor, logarithm, $N_c|Q| = 1$"
        right.fill_between(mass, *curves["eft_tensor"], color=VERMILLION, alpha=0.45, linewidth=0.0, label=name)
        for index, row in enumerate(rows):
            label = r"tensor at $m_W$, whole program" if index == 0 else None
            right.plot([row["mass_gev"]] * 2, row["eft_from_m_w_mub"], color=BLACK, linewidth=2.2, marker="_", label=label)
        right.plot([], [], color="none", label="contact scalar: 0")
        right.set_title("effective theory")
        for axes in (left, right):
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.set_xlim(mass[0], mass[-1])
            axes.set_ylim(*_RANGE_MUB)
            axes.set_xlabel(r"mass of the charged fermion $m_\psi$ [GeV]")
            for row in rows:
                axes.axvline(row["mass_gev"], color=GREY, alpha=0.5, linewidth=0.6, linestyle=":")
                text = f"${_SYMBOL.get(row['fermion'], row['fermion'])}$"
                axes.annotate(text, (row["mass_gev"], _RANGE_MUB[0] * 1.6), ha="center", fontsize=9)
            _draw_bounds(axes, [bound for bound in bounds if bound["in_letter"] == (axes is left)])
            axes.legend(loc="lower right", bbox_to_anchor=(1.0, 0.06), fontsize=8)
        left.set_ylabel(rf"$\mu_\nu$ [{unit_mathtext('mu_B')}]")
    return figure


def _draw_bounds(axes: Any, bounds: Sequence[Mapping[str, Any]]) -> None:
    """A line for each bound with its name above it, or below where the next line is near."""
    ordered = sorted(bounds, key=lambda bound: -bound["moment_mub"])
    above = float("inf")
    for bound in ordered:
        value, (colour, line) = bound["moment_mub"], _LOOK[bound["kind"]]
        near = above < 2.0 * value
        axes.axhline(value, color=colour, linestyle=line, linewidth=0.9)
        of = bound["quantity"].replace("nu_e", r"$\nu_e$")
        axes.annotate(
            f"{bound['name']} ({of})",
            (0.985, value),
            xycoords=("axes fraction", "data"),
            xytext=(0, -2.0 if near else 1.5),
            textcoords="offset points",
            ha="right",
            va="top" if near else "bottom",
            fontsize=7.5,
            color=colour,
        )
        above = value
