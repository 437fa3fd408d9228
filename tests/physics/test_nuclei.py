"""Nuclides against published masses and radii."""

from __future__ import annotations

import pytest

from nmmfit.errors import UserInputError
from nmmfit.physics import nuclei


@pytest.mark.parametrize(
    ("name", "expected"), [("Cs133", 4.821), ("I127", 4.766), ("Ar40", 3.448), ("Ge74", 4.09), ("Xe132", 4.80)]
)
def test_proton_radii_of_the_literature(name, expected):
    assert nuclei.nucleus(name).r_p_fm == pytest.approx(expected, abs=0.5 * 10 ** -len(str(expected).split(".")[1]))


@pytest.mark.parametrize(
    ("name", "low", "high"), [("Cs133", 5.01, 5.09), ("I127", 4.94, 5.03), ("Ar40", 3.55, 3.55), ("Ge74", 4.1, 4.2)]
)
def test_neutron_radii_of_the_literature(name, low, high):
    assert low <= nuclei.nucleus(name).r_n_fm <= high


@pytest.mark.parametrize("name", nuclei.nuclide_names())
def test_every_nuclide_is_consistent(name):
    n = nuclei.nucleus(name)
    assert name == n.name
    assert name.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") == str(n.a)
    # binding energy per nucleon of stable nuclei beyond argon: 8.3 to 8.8 MeV
    free = n.z * 938.27208943 + n.n * 939.56542194
    assert 8.3 < (free - n.mass_mev) / n.a < 8.8
    # even-even nuclei have spin 0, odd A half-integer spin
    assert (n.spin == 0.0) == (n.z % 2 == 0 and n.n % 2 == 0)
    assert (2 * n.spin) % 2 == n.a % 2
    assert n.r_n_fm > n.r_p_fm > 3.0
    assert 0 < n.abundance <= 1
    assert n.r_n_uncertainty_fm > n.r_p_uncertainty_fm > 0
    assert len(n.sources) == 3


def test_caesium_mass():
    """132.905451961 u, AME2012, less 55 electrons."""
    assert nuclei.nucleus("Cs133").mass_mev == pytest.approx(132.905451961 * 931.49410372 - 55 * 0.51099895, abs=1e-5)


@pytest.mark.parametrize(("element", "count", "covered"), [("Ge", 5, 1.0), ("Xe", 9, 1.0), ("Cs", 1, 1.0), ("Ar", 1, 0.996)])
def test_natural_isotopes(element, count, covered):
    isotopes = nuclei.natural_isotopes(element)
    assert len(isotopes) == count
    assert sum(n.abundance for n in isotopes) == pytest.approx(covered, abs=5e-4)


def test_unknown_names():
    with pytest.raises(UserInputError, match="unknown nuclide 'Cs132'; did you mean 'Cs133'"):
        nuclei.nucleus("Cs132")
    with pytest.raises(UserInputError, match="unknown element 'Csi'"):
        nuclei.natural_isotopes("Csi")
