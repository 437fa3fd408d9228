"""The pictures of the tutorials: plots of finished runs, made small enough for a page.

    python docs/images/make_tutorials.py \\
        first_fit=first-fit/spectrum_coherent_csi_2021.coincidence.png first_limits=first-limits/limits_forest.png \\
        flavours=flavours/limits_forest.png own=with-mine/spectrum_my_experiment.counts.png \\
        smneft=smneft-fit/corner_coefficients.png

in the folder where the commands of the tutorials ran reads what they have drawn and writes docs/images/tutorial_NAME.png with at
most 1500 pixels a row and 128 colours.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

WIDTH, COLOURS = 1500, 128


def make_picture(name: str, drawn: Path) -> Path:
    """A smaller copy of a plot as docs/images/tutorial_NAME.png. Returns the path."""
    target = Path(__file__).resolve().parent / f"tutorial_{name}.png"
    with Image.open(drawn) as picture:
        plain = picture.convert("RGB")
        if plain.width > WIDTH:
            plain = plain.resize((WIDTH, round(plain.height * WIDTH / plain.width)), Image.Resampling.LANCZOS)
        plain.quantize(COLOURS).save(target, optimize=True)
    return target


if __name__ == "__main__":
    if len(sys.argv) < 2 or any("=" not in argument for argument in sys.argv[1:]):
        sys.exit(__doc__)
    for argument in sys.argv[1:]:
        name, _, path = argument.partition("=")
        make_picture(name, Path(path))
