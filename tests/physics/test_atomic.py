"""Bound electrons of xenon: the stepping function against a count by hand, and its table."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from nmmfit.errors import UserInputError
from nmmfit.physics import make_atomic_data
from nmmfit.physics.atomic import electrons_per_tonne, shells, steps_mev

COUNTED = {0.005: 0, 0.02: 6, 0.3: 26, 0.7: 32, 0.9: 36, 1.0: 40, 1.1: 42, 2.0: 44, 5.0: 48, 5.3: 50, 20.0: 52, 40.0: 54}
"""keV: electrons. Xenon is 1s2 2s2 2p6 3s2 3p6 3d10 4s2 4p6 4d10 5s2 5p6: 26 in the two outer shells, then 18, 8 and 2."""


@pytest.mark.parametrize(("t_kev", "electrons"), COUNTED.items())
def test_electrons_that_take_part(t_kev: float, electrons: int) -> None:
    """Shells that are wholly below the energy, counted from the configuration of xenon."""
    assert shells().active(t_kev * 1e-3) == electrons


def test_an_electron_takes_part_above_its_binding_energy_only() -> None:
    atom = shells()
    assert atom.total == 54
    assert np.all(np.diff(atom.binding_mev) > 0.0)
    at, above = atom.active(atom.binding_mev), atom.active(np.nextafter(atom.binding_mev, 1.0))
    np.testing.assert_array_equal(above - at, atom.electrons)
    assert atom.active(0.0) == 0


def test_electrons_in_a_tonne() -> None:
    """54 N_A / 131.293 g: 2.477e29 electrons; 44 of 54 of them between the M and the L shells."""
    free = electrons_per_tonne(np.array([1e-4, 3e-3, 0.1]), "free")
    np.testing.assert_allclose(free, 54 * 6.02214076e23 * 1e6 / 131.293, rtol=1e-12)
    stepping = electrons_per_tonne(np.array([3e-3, 0.1]))
    np.testing.assert_allclose(stepping / free[1:], [44 / 54, 1.0], rtol=1e-12)
    assert steps_mev("free") == ()
    assert len(steps_mev()) == 17


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UserInputError, match="did you mean 'stepping'"):
        electrons_per_tonne(0.1, "steping")
    with pytest.raises(UserInputError, match="binding"):
        steps_mev("rrpa")
    with pytest.raises(UserInputError, match="argon"):
        shells("argon")


def test_rebuild_gives_the_same_bytes(release_dir: Path, tmp_path: Path) -> None:
    assert make_atomic_data.main(["--release", str(release_dir), "--out", str(tmp_path)]) == 0
    name = "xenon_shells.csv"
    assert (tmp_path / name).read_bytes() == (files("nmmfit.physics") / "data" / name).read_bytes()


def test_a_release_without_all_electrons_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "xenon_er").mkdir()
    (tmp_path / "xenon_er" / "xenon_binding_energies.csv").write_text("Orbital,B,N\n5p3/2,12.0,4\n1s,34759,2\n")
    assert make_atomic_data.main(["--release", str(tmp_path), "--out", str(tmp_path)]) == 2
    assert "6 electrons in 2 shells, expected 54" in capsys.readouterr().err
