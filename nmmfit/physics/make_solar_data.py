"""Make the solar tables in `nmmfit/physics/data` from the public releases:

    python -m nmmfit.physics.make_solar_data --release FOLDER [--out FOLDER]

FOLDER is the folder of releases or its subfolder `solar`. What is done to the numbers, table by table:

- fluxes: components get names, exponents and the two models become rows;
- spectra: divided by the allowed beta shape, the logarithm of the rest fitted by a Chebyshev polynomial and normalised by
  integration. This keeps the point tables to within 4e-4 of the peak (the header says how well each) and makes them smooth,
  so that forty quadrature nodes integrate them to 1e-8;
- production regions: a thousand radial zones become the Gauss rule of the same measure over the electron density.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.polynomial import chebyshev

from nmmfit.errors import DataError
from nmmfit.numerics.quadrature import gauss_legendre_smooth_ends, measure_gauss
from nmmfit.physics.beta_spectrum import SmoothSpectrum, allowed_shape
from nmmfit.release import release_reader
from nmmfit.tables import find_release, run_maker, sha256, write_table

RELEASE = "solar"
# In the order of the release's rows and columns.
COMPONENTS = ("pp", "pep", "hep", "be7", "b8", "n13", "o15", "f17")
MODELS = {"b16_gs98": "gs98", "b16_agss09met": "agss09"}
FLUX_UNIT = {"pp": 1e10, "pep": 1e8, "hep": 1e3, "be7": 1e9, "b8": 1e6, "n13": 1e8, "o15": 1e8, "f17": 1e6}
VIA = "as collected in PEANUTS (arXiv:2303.15527), commit 59e3a2ae102d58f42cc1146eaca2cae68be879ce"

# component: (file, endpoint in MeV, charge of the daughter or 0, polynomial degree, norm of the file, paper)
SPECTRA = {
    "pp": ("pp_shape.csv", 0.42341, 1, 4, 1.0, "J. N. Bahcall, Phys. Rev. C 56, 3391 (1997)", "hep-ph/9710491"),
    "n13": ("n13_shape.csv", 1.199, 6, 4, 1.0, "J. N. Bahcall and R. K. Ulrich, Rev. Mod. Phys. 60, 297 (1988)", ""),
    "o15": ("o15_shape.csv", 1.732, 7, 4, 1.0, "J. N. Bahcall and R. K. Ulrich, Rev. Mod. Phys. 60, 297 (1988)", ""),
    "f17": ("f17_shape.csv", 1.740, 8, 4, 1.0, "J. N. Bahcall and R. K. Ulrich, Rev. Mod. Phys. 60, 297 (1988)", ""),
    "hep": ("hep_shape.csv", 18.784, 2, 4, 1.0, "J. N. Bahcall, Phys. Rev. C 56, 3391 (1997)", "hep-ph/9710491"),
    "b8": ("8B_shape_Winter_et_al.csv", 15.3, 0, 24, 1e3, "W. T. Winter et al., Phys. Rev. C 73, 025503 (2006)",
           "nucl-ex/0406019"),
}  # fmt: skip
PRODUCTION_NODES = {"hep": 10}
DEFAULT_PRODUCTION_NODES = 6


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    return run_maker(make, Path(__file__).parent / "data", argv)


def make(release: Path, out: Path) -> None:
    """Write every solar table into folder `out`."""
    folder = find_release(release, RELEASE)
    make_fluxes(folder, out)
    for component in SPECTRA:
        make_spectrum(folder, out, component)
    for model in MODELS:
        make_production(folder, out, model)


def make_fluxes(folder: Path, out: Path) -> None:
    """Total fluxes and their relative one-sigma errors."""
    path = folder / "fluxes_b16.dat"
    rows = read_numbers(path, 4)
    if len(rows) != len(COMPONENTS):
        raise DataError(f"{path.name}: expected {len(COMPONENTS)} rows of fluxes, found {len(rows)}")
    models = [model for model in MODELS for _ in COMPONENTS]
    unit = np.array([FLUX_UNIT[c] for c in COMPONENTS])
    write_table(
        out / "solar_fluxes.csv",
        {
            "model": models,
            "component": list(COMPONENTS) * len(MODELS),
            "flux_cm2_s": np.concatenate([rows[:, 0] * unit, rows[:, 2] * unit]),
            "relative_error": np.concatenate([rows[:, 1], rows[:, 3]]),
        },
        {
            "title": "Solar neutrino fluxes of the B16 standard solar models",
            "source": f"N. Vinyoles et al., Astrophys. J. 835, 202 (2017), table of neutrino fluxes; {VIA}",
            "arxiv": "1611.09867",
            "licence": "facts and figures of a publication; the collection they were read from is GPL-3.0",
            "status": "values seen in the collection; the order of its rows is the usual one and not in the file",
            "release_sha256": sha256(path),
            "unit.flux_cm2_s": "cm^-2 s^-1",
            "unit.relative_error": "1 (one sigma)",
        },
        digits=8,
    )


def make_spectrum(folder: Path, out: Path, component: str) -> None:
    """One continuous spectrum as coefficients of its smooth correction."""
    name, endpoint, charge, degree, norm, source, arxiv = SPECTRA[component]
    path = folder / name
    rows = read_numbers(path)
    energy, density = rows[:, 0], rows[:, 1] / norm
    used = (density > 0.0) & (energy > 0.0) & (energy < endpoint)
    e, y = energy[used], density[used]
    x = 2.0 * e / endpoint - 1.0
    # Weights make the residual absolute where a file rounds to fixed digits, and relative (1e-4) for the one with a steep tail.
    weight = y / (5e-4 / norm + 1e-4 * y) if charge == 0 else y
    logarithm = np.log(y / allowed_shape(e, endpoint, charge))
    coefficients: np.ndarray
    coefficients, *_ = np.linalg.lstsq(chebyshev.chebvander(x, degree) * weight[:, None], logarithm * weight, rcond=None)
    nodes, weights = gauss_legendre_smooth_ends(200, 0.0, endpoint)
    integral = float(weights @ SmoothSpectrum(endpoint, charge, coefficients)(nodes))
    deviation = np.max(np.abs(SmoothSpectrum(endpoint, charge, coefficients)(e) - y)) / np.max(y)
    coefficients[0] -= np.log(integral)
    meta = {
        "title": f"Solar neutrino spectrum of {component}, normalised to 1",
        "source": f"{source}; {VIA}",
        "arxiv": arxiv,
        "formula": "dN/dE = shape(E) exp(sum_k c_k T_k(2 E / endpoint - 1)), shape = E^2 p W F (allowed decay) or E^2 (charge 0)",
        "endpoint_mev": f"{endpoint:g}",
        "daughter_charge": str(charge),
        "norm_before": f"{integral:.5f} (integral of the fitted curve before normalisation)",
        "largest_deviation": f"{deviation:.1e} of the peak, from the points of the release, before normalisation",
        "licence": "facts and figures of a publication; the collection they were read from is GPL-3.0",
        "status": "values seen in the collection",
        "release_sha256": sha256(path),
        "unit.coefficient": "1; dN/dE in 1/MeV",
    }
    write_table(
        out / f"solar_spectrum_{component}.csv",
        # Nine decimals keep the curve to 1e-8 and the bytes independent of the linear-algebra library's last digits.
        {"order": np.arange(degree + 1), "coefficient": np.around(coefficients, 9)},
        {key: value for key, value in meta.items() if value},
        digits=12,
    )


def make_production(folder: Path, out: Path, model: str) -> None:
    """Production regions of one solar model, as Gauss rules over the electron density."""
    path = folder / f"nudistr_b16_{MODELS[model]}.dat"
    rows = read_numbers(path, 4 + len(COMPONENTS))
    n_e = 10.0 ** rows[:, 2]
    names: list[str] = []
    nodes: list[np.ndarray] = []
    weights: list[np.ndarray] = []
    for j, component in enumerate(COMPONENTS):
        # Zones are equally wide, so the fraction per radius is the mass of the zone.
        order = PRODUCTION_NODES.get(component, DEFAULT_PRODUCTION_NODES)
        x, w = measure_gauss(order, n_e, rows[:, 4 + j] / np.sum(rows[:, 4 + j]))
        names += [component] * order
        nodes.append(x)
        weights.append(w)
    write_table(
        out / f"solar_production_{model}.csv",
        {"component": names, "n_e_mol_cm3": np.concatenate(nodes), "weight": np.concatenate(weights)},
        {
            "title": f"Electron density where solar neutrinos are produced, {model}: Gauss rules of the radial distributions",
            "source": f"N. Vinyoles et al., Astrophys. J. 835, 202 (2017), distributions of the published models; {VIA}",
            "arxiv": "1611.09867",
            "accuracy": "averages of cos 2 theta_m over the radial table are kept to 1e-6 at every energy of the component",
            "licence": "facts and figures of a publication; the collection they were read from is GPL-3.0",
            "status": "values seen in the collection; each distribution integrates to 1",
            "release_sha256": sha256(path),
            "unit.n_e_mol_cm3": "mol/cm^3",
            "unit.weight": "1 (sum 1 per component)",
        },
        digits=9,
    )


@release_reader
def read_numbers(path: Path, columns: int | None = None) -> np.ndarray:
    """Numbers of a release file, (row, column): lines of blank- or comma-separated numbers, '#' begins a comment.

    Raises: DataError if the file is missing, a line is not numbers, or the rows are not equally long (`columns` long).
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    rows: list[list[float]] = []
    for number, line in enumerate(lines, start=1):
        cells = line.partition("#")[0].replace(",", " ").split()
        if not cells:
            continue
        try:
            rows.append([float(cell) for cell in cells])
        except ValueError:
            raise DataError(f"{path.name}, line {number}: {line.strip()!r} is not a row of numbers") from None
        if len(rows[-1]) != (columns or len(rows[0])):
            raise DataError(f"{path.name}, line {number}: {len(rows[-1])} numbers, expected {columns or len(rows[0])}")
    if not rows:
        raise DataError(f"{path.name}: no rows of numbers")
    return np.array(rows)


if __name__ == "__main__":
    sys.exit(main())
