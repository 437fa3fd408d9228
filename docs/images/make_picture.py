"""The picture of README: what a fit's posterior says about the identified quantities.

    python docs/images/make_picture.py nmmfit-runs/20260304-050607

reads posterior.nc of a finished fit and writes docs/images/identified.png.
"""

from __future__ import annotations

import sys
from pathlib import Path

from nmmfit.results.adapter import group
from nmmfit.results.corner import CornerVariable, corner_figure
from nmmfit.results.figure import save
from nmmfit.results.plots import distinct_quantities
from nmmfit.results.store import KIND_ATTRIBUTE, read_run

LABELS = {"mu_eff": r"$\mu_\mathrm{eff}$", "tensor_charge_cs133": "tensor charge Cs", "tensor_charge_i127": "tensor charge I"}
SOURCES = {"sns_mu": r"SNS $\nu_\mu$", "sns_e": r"SNS $\nu_e$", "solar": "solar"}


def label(names: tuple[str, ...]) -> str:
    """Label of quantities that are equal in every draw."""
    sources = [SOURCES[n.removeprefix("mu_eff_")] for n in names if n.startswith("mu_eff_")]
    if not sources:
        return LABELS[names[0]]
    return f"{LABELS['mu_eff']} ({', '.join(sources)})" if len(sources) < len(SOURCES) else f"{LABELS['mu_eff']}, all sources"


def make_picture(folder: Path, target: Path) -> list[Path]:
    """Corner plot of the identified quantities of a finished fit, as `target` with the suffix .png. Returns the path."""
    posterior = group(read_run(folder).data, "posterior")
    found = {str(n): v for n, v in posterior.items() if v.attrs.get(KIND_ATTRIBUTE) == "identified"}
    # Solar first: it is the moment that is measured.
    ordered = sorted(found, key=lambda n: (not n.startswith("mu_eff"), n != "mu_eff_solar", n))
    draws = {n: found[n].transpose("chain", "draw").values for n in ordered}
    units = {n: found[n].attrs["unit"] for n in ordered}
    groups = distinct_quantities(draws, units)
    variables = {n: CornerVariable(draws[n], label(equal), units[n], nonnegative=True) for n, equal in groups.items()}
    return save(corner_figure(variables), target, ("png",))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    make_picture(Path(sys.argv[1]), Path(__file__).resolve().parent / "identified")
