"""Look of all plots, and saving them. matplotlib is loaded in here only when a figure is made; no pyplot, no global state."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nmmfit.results.files import write_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's palette, told apart with every common kind of colour blindness (jfly.uni-koeln.de/color, 2008).
BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILLION, PURPLE = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7",
)  # fmt: skip
CYCLE = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILLION, YELLOW)
GREY, DARK_GREY = "#8C8C8C", "#4D4D4D"

_STYLE: dict[str, Any] = {
    "font.family": "serif", "font.serif": ["STIXGeneral", "DejaVu Serif"], "mathtext.fontset": "stix",
    "font.size": 10, "axes.labelsize": 11, "axes.titlesize": 10, "legend.fontsize": 8.5,
    "xtick.labelsize": 9, "ytick.labelsize": 9,
    "xtick.direction": "in", "ytick.direction": "in", "xtick.top": True, "ytick.right": True,
    "xtick.minor.visible": True, "ytick.minor.visible": True, "axes.linewidth": 0.8, "lines.linewidth": 1.3,
    "legend.frameon": False, "savefig.dpi": 200, "pdf.fonttype": 42, "axes.formatter.use_mathtext": True,
}  # fmt: skip


@contextmanager
def style() -> Iterator[None]:
    """The look of nmmfit's plots, for figures that are made and saved inside; nothing outside changes."""
    import matplotlib

    settings: Any = _STYLE
    with matplotlib.rc_context(settings):
        yield


def new_figure(width_in: float, height_in: float, layout: Literal["constrained"] | None = "constrained") -> Figure:
    """An empty figure in inches, drawn by Agg, unknown to pyplot.

    Args:
        layout: "constrained" measures every text, which takes seconds for dozens of axes; None: the caller sets the margins.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_in, height_in), layout=layout)
    FigureCanvasAgg(figure)
    return figure


def rendered(figure: Figure, suffix: str) -> bytes:
    """The content of a file with this figure; the same figure is the same bytes: no dates, and names that depend on content."""
    import matplotlib

    undated: dict[str, Any] = {"pdf": {"CreationDate": None}, "svg": {"Date": None, "Creator": None}}.get(suffix, {})
    buffer = io.BytesIO()
    # Text as paths, so that it looks the same everywhere.
    settings: Any = {"svg.hashsalt": "nmmfit", "svg.fonttype": "path"}
    with style(), matplotlib.rc_context(settings):
        figure.savefig(buffer, format=suffix, metadata=undated)
    return buffer.getvalue()


def _lay_out(figure: Figure) -> None:
    """Do a constrained layout once, and not again for every format: it measures all texts."""
    if figure.get_layout_engine() is None:
        return
    with style():
        figure.draw_without_rendering()
    figure.set_layout_engine("none")


def save(figure: Figure, path: Path, formats: Sequence[str] = ("png", "pdf")) -> list[Path]:
    """Save a figure as `path` with each of the suffixes; a file appears complete or not at all. Returns the paths.

    Raises: OutputError if a file cannot be written.
    """
    _lay_out(figure)
    made = []
    for suffix in formats:
        target = path.with_name(f"{path.name}.{suffix}")
        write_bytes(target, rendered(figure, suffix))
        made.append(target)
    return made
