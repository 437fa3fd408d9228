"""Make the table of xenon's shells in `nmmfit/physics/data` from the public release:

    python -m nmmfit.physics.make_atomic_data --release FOLDER [--out FOLDER]

FOLDER is the folder of releases or its subfolder `xenon_er`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from nmmfit.errors import DataError
from nmmfit.release import release_reader
from nmmfit.tables import find_release, run_maker, sha256, write_table

XENON_ELECTRONS = 54


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    return run_maker(make, Path(__file__).parent / "data", argv)


@release_reader
def read_shells(path: Path) -> tuple[list[str], list[float], list[int]]:
    """Names, binding energies in eV and electrons. Raises: DataError unless the shells hold 54 electrons, outermost first."""
    rows = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()[1:] if line.strip()]
    # The name of a shell with a fraction reads 5p3/2.
    names, binding, electrons = [r[0] for r in rows], [float(r[1]) for r in rows], [int(r[2]) for r in rows]
    if sum(electrons) != XENON_ELECTRONS or binding != sorted(binding):
        raise DataError(
            f"{path.name}: {sum(electrons)} electrons in {len(rows)} shells, expected {XENON_ELECTRONS}, outermost first"
        )
    return names, binding, electrons


def make(release: Path, out: Path) -> None:
    """Write `xenon_shells.csv` into folder `out`. Raises: DataError unless the shells hold 54 electrons, outermost first."""
    path = find_release(release, "xenon_er") / "xenon_binding_energies.csv"
    names, binding, electrons = read_shells(path)
    write_table(
        out / "xenon_shells.csv",
        {"shell": names, "binding_ev": binding, "electrons": electrons},
        {
            "title": "Binding energies of the shells of xenon",
            "source": "as collected in SNuDD, snudd/data/binding_energies, commit 11622ded104994959a649d85e263c2d9f933ea74, "
            "which names no source for them",
            "licence": "facts and figures; the collection they were read from is GPL-3.0",
            "status": "third party; the K edge lies 0.6 % above that of X-ray tables (comparison from memory; unverified)",
            "release_sha256": sha256(path),
            "unit.binding_ev": "eV",
            "unit.electrons": "1",
        },
    )


if __name__ == "__main__":
    sys.exit(main())
