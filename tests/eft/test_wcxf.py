"""WCxf: bases made from the operators, names by their symmetries, and the names that WET knows."""

from __future__ import annotations

import cmath
import itertools
import json
import math
import re
from pathlib import Path

import dirac
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmmfit.eft import operators, smneft_operators
from nmmfit.eft.wcxf import bases, models, wet
from nmmfit.eft.wcxf.text import parse, render
from nmmfit.eft.wcxf.values import WcxfValues, from_file, made
from nmmfit.errors import UserInputError

REFERENCE = json.loads((Path(__file__).parent.parent / "reference" / "wcxf_reference.json").read_text(encoding="utf-8"))
# a charge radius is a combination of vectors by the equation of motion of the photon, and a charge is of dimension four
ALL = tuple(n for n in operators.coefficient_names() if not n.startswith(("nuradius", "nucharge")))


def file(values: dict, eft: str = "LNEFT", basis: str = "nmmfit", scale: float = 80.379) -> models.ValuesFile:
    table = {"eft": eft, "basis": basis, "scale": scale, "values": values}
    return models.checked(models.ValuesFile, table, "values.yml")


def exchange_sign(gamma: np.ndarray) -> int:
    """Sign s of psi_p^T C Gamma psi_r = s psi_r^T C Gamma psi_p for anticommuting fields, from explicit matrices."""
    charge = 1j * dirac.GAMMA[2] @ dirac.GAMMA[0]
    matrix = charge @ gamma
    ratio = -matrix.T
    signs = [s for s in (1, -1) if np.allclose(ratio, s * matrix)]
    assert len(signs) == 1
    return signs[0]


def sigma_01() -> np.ndarray:
    return 0.5j * (dirac.GAMMA[0] @ dirac.GAMMA[1] - dirac.GAMMA[1] @ dirac.GAMMA[0])


LEFT = 0.5 * (np.eye(4) - dirac.GAMMA5)
RIGHT = 0.5 * (np.eye(4) + dirac.GAMMA5)


@pytest.mark.parametrize("op", [op for op in operators.OPERATORS.values() if op.symmetry], ids=lambda op: op.name)
def test_swapped_neutrinos_get_the_sign_of_their_dirac_matrices(op: operators.Operator) -> None:
    """A name with its two identical neutrinos the wrong way round is the other one, with the sign of (C Gamma)^T."""
    projector = LEFT if op.sector == "nu" else RIGHT
    sign = exchange_sign(projector if op.lorentz == "scalar" else sigma_01() @ projector)
    first, second = op.neutrinos
    digits = [1] * len(op.fields)
    digits[first], digits[second] = 3, 2
    swapped = f"{op.name}_{''.join(map(str, digits))}"
    digits[first], digits[second] = 2, 3
    proper = f"{op.name}_{''.join(map(str, digits))}"
    read = from_file(file({swapped: {"Re": 2e-6, "Im": 1e-6}}), "values.yml")
    assert read.values == {proper: sign * (2e-6 + 1e-6j)}


def test_a_hermitian_operator_gets_the_conjugate_of_explicit_matrices() -> None:
    """(nubar_p gamma^mu P_L nu_r)^dagger = nubar_r gamma^mu P_L nu_p: gamma0 (gamma^mu P_L)^dagger gamma0 = gamma^mu P_L."""
    for mu in range(4):
        vertex = dirac.GAMMA[mu] @ LEFT
        assert np.allclose(dirac.GAMMA[0] @ vertex.conj().T @ dirac.GAMMA[0], vertex)
    read = from_file(file({"VnuuLL_2111": {"Re": 2e-6, "Im": 1e-6}, "VdNLR_2113": {"Im": 1e-6}}), "values.yml")
    assert read.values == {"VnuuLL_1211": 2e-6 - 1e-6j, "VdNLR_1231": -1e-6j}


def test_the_factor_of_an_operator_counts_its_members_in_the_sum_over_generations() -> None:
    """sum_pr L_pr O_pr with O_rp = s O_pr and L_rp = s L_pr: twice the term of p < r, once that of p = r."""
    entries = bases.basis_file("lneft").coefficients
    for name, entry in entries.items():
        op, _, digits = name.partition("_")
        members = {
            "".join(map(str, d))
            for d in itertools.product((1, 2, 3), repeat=len(digits))
            if "".join(map(str, d)) == digits
            or (operators.OPERATORS[op].symmetry and "".join(map(str, _swap(operators.OPERATORS[op], d))) == digits)
        }
        assert str(entry.tex).startswith("2 ") == (len(members) == 2)


def _swap(op: operators.Operator, digits: tuple[int, ...]) -> tuple[int, ...]:
    out = list(digits)
    first, second = op.neutrinos
    out[first], out[second] = digits[second], digits[first]
    return tuple(out)


def test_the_basis_has_every_independent_coefficient_once_and_real_where_it_must_be() -> None:
    basis = bases.basis_file("lneft")
    entries = basis.coefficients
    assert set(entries) == set(ALL)
    # counted by hand: real and complex parameters of Hermitian 9 x 9 (e, d), 6 x 6 (u) arrays are 81, 81, 36; four operators each
    vectors = [n for n in entries if re.match(r"V(nu|N)[ude][LR][LR]|V[ude]NLR", n)]
    parameters = sum(1 if entries[n].real else 2 for n in vectors)
    assert parameters == 4 * (81 + 81 + 36)
    assert sum(entries[n].real for n in vectors) == 4 * (9 + 9 + 6)
    assert all(n in vectors for n in entries if entries[n].real)


def test_a_neutrino_flavour_is_spelled_so_that_latex_reads_it() -> None:
    entries = bases.basis_file("lneft").coefficients
    assert entries["nugamma_23"].tex == r"2 (\bar \nu^c_{\mu L} \sigma^{\mu\nu} \nu_{\tau L}) F_{\mu\nu}"
    assert entries["VnueLL_1112"].tex == r"(\bar \nu_{eL} \gamma^\mu \nu_{eL})(\bar e_L \gamma_\mu \mu_L)"
    assert bases.basis_file("smneft").coefficients["LNuQ_1123"].tex == r"(\bar L_1 N_1) (\bar u_2 Q_3)"


@pytest.mark.parametrize("key", bases.THEORIES)
def test_files_read_back_and_fit_together(key: str) -> None:
    """What the standard asks of a basis: sectors are those of the EFT, no coefficient stands twice."""
    basis, eft = bases.basis_file(key), bases.eft_file(key)
    for as_json in (False, True):
        assert (
            models.checked(models.BasisFile, parse(render(bases.plain(basis), as_json), "b", as_json), "b").coefficients
            == basis.coefficients
        )
        assert models.checked(models.EftFile, parse(render(bases.plain(eft), as_json), "e", as_json), "e") == eft
    assert set(basis.sectors) == set(eft.sectors)
    assert basis.eft == eft.eft


def test_a_coefficient_in_two_sectors_is_refused() -> None:
    table = {"eft": "X", "basis": "y", "sectors": {"a": {"C_11": None}, "b": {"C_11": {"real": True}}}}
    with pytest.raises(UserInputError, match="'C_11' stands in the sectors 'a' and 'b'"):
        models.checked(models.BasisFile, table, "x.yml")


def test_running_stays_within_sectors() -> None:
    """A sector is closed under renormalisation: tensors only make dipoles of their own neutrinos."""
    import nmmfit

    sector = {n: s for s, entries in bases.basis_file("lneft").sectors.items() for n in entries}
    for name in ("TnuNdRR_1222", "TnueLL_1322", "TNuRR_1211"):
        found = nmmfit.evolve({name: 1e-6}, 80.379, 5.0).coefficients
        assert len(found) == 2
        assert {sector[n] for n in found} == {sector[name]}


# -- WET ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("eft", ["WET", "WET-4"])
@pytest.mark.parametrize("basis", wet.BASES)
def test_names_of_wet_are_those_of_its_basis_files(eft: str, basis: str) -> None:
    """Every current of neutrinos in the published files of WCxf, and no other; real where these are."""
    published = REFERENCE["bases"][f"{eft} {basis}"]
    names = wet.wet_names(basis, eft)
    assert set(names) == set(published)
    for name, (ours, _) in names.items():
        assert operators.parse(ours).real == published[name][0]


def test_operators_of_the_jms_basis_are_ours() -> None:
    """The LaTeX of the published basis is that of ours, up to blanks."""
    ours = bases.basis_file("lneft").coefficients
    for name, (_, tex) in REFERENCE["bases"]["WET JMS"].items():
        assert re.sub(r"\s", "", str(ours[name].tex)) == re.sub(r"\s", "", tex), name


def test_translation_to_flavio_agrees_with_wilson() -> None:
    given_, expected = REFERENCE["translation"]["jms"], REFERENCE["translation"]["flavio"]
    values = made({n: complex(*z) for n, z in given_.items()}, 50.0)
    found = wet.to_wet(values, "flavio", leave_out=True)
    assert set(found.values.values) == set(expected)
    for name, z in found.values.values.items():
        assert cmath.isclose(z, complex(*expected[name]), rel_tol=1e-12, abs_tol=0.0), name
    assert all("quark" not in reason for reason in found.left_out.values())
    assert set(found.left_out) == {n for n in given_ if n[3] != "e" and n[-1] != n[-2]}


def test_the_standard_model_comes_out_in_jms_and_in_flavio_normalisation() -> None:
    """W and Z integrated out, from their currents; JMS: arXiv:1709.04486 matching with m_W, m_Z and v; flavio: -g_L.

    -(4 G_F / sqrt 2) [J_W^dagger J_W + J_Z J_Z] with J_W = nubar_L gamma e_L and J_Z = sum (T_3 - Q s^2) fbar gamma f. J_Z J_Z
    holds nu e twice; J_W^dagger J_W goes over into (nubar nu)(ebar e) by Fierz.
    """
    left = [dirac.GAMMA[mu] @ LEFT for mu in range(4)]
    metric = np.diag([1.0, -1.0, -1.0, -1.0])
    direct = sum(metric[m, m] * np.einsum("ab,cd->abcd", left[m], left[m]) for m in range(4))
    crossed = np.einsum("adcb->abcd", direct)
    # minus from the matrices, minus from anticommuting fields
    assert np.allclose(crossed, -direct)
    fermi, m_w, m_z = 1.1663787e-5, 80.379, 91.1876
    s2 = 1.0 - (m_w / m_z) ** 2
    unit = -4.0 * fermi / math.sqrt(2.0)
    charge = {"VnueLL_1111": unit * (2 * 0.5 * (-0.5 + s2) + 1.0), "VnueLL_2211": unit * 2 * 0.5 * (-0.5 + s2)}
    charge |= {"VnueLR_1111": unit * 2 * 0.5 * s2, "VnuuLL_1111": unit * (0.5 - 2 * s2 / 3), "VnudLR_1111": unit * s2 / 3}
    charge |= {"VnueLL_1221": unit}
    values = made(charge, 80.0)
    jms = wet.to_wet(values).values.values
    v2 = 1.0 / (math.sqrt(2.0) * fermi)
    published = {
        "VnueLL_1111": (2 * m_w**2 - m_z**2) / (m_z**2 * v2) - 2.0 / v2,
        "VnueLL_2211": (2 * m_w**2 - m_z**2) / (m_z**2 * v2),
        "VnuuLL_1111": -(8 * m_w**2 - 2 * m_z**2) / (6 * m_z**2 * v2),
        "VnueLL_1221": -2.0 / v2,
    }
    for name, value in published.items():
        assert cmath.isclose(jms[name], value, rel_tol=1e-12, abs_tol=0.0), name
    flavio = wet.to_wet(values, "flavio").values.values
    assert math.isclose(flavio["CVLL_nuenueee"].real, -(s2 + 0.5), rel_tol=1e-12)
    assert math.isclose(flavio["CVLR_nuenueee"].real, -s2, rel_tol=1e-12)
    assert math.isclose(flavio["CVLL_numunumuee"].real, -(s2 - 0.5), rel_tol=1e-12)


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from(sorted(wet.wet_names("flavio", "WET-4"))), st.complex_numbers(max_magnitude=1.0), max_size=6)
)
def test_there_and_back_again(values: dict[str, complex]) -> None:
    names = wet.wet_names("flavio", "WET-4")
    values = {n: complex(z.real) if operators.parse(names[n][0]).real else z for n, z in values.items()}
    start = file({n: {"Re": z.real, "Im": z.imag} for n, z in values.items()}, "WET-4", "flavio", 3.0)
    back = wet.to_wet(wet.from_wet(start, "x").values, "flavio").values
    assert (back.eft, back.basis, set(back.values)) == ("WET-4", "flavio", set(values))
    for n, z in values.items():
        assert cmath.isclose(back.values[n], z, rel_tol=1e-14, abs_tol=1e-300)


@pytest.mark.parametrize(
    ("name", "basis", "scale", "reason"),
    [
        ("nugamma_12", "JMS", 80.0, "violates lepton number"),
        ("nuNgamma_11", "JMS", 80.0, "contains a right-handed neutrino N"),
        ("VNeRR_1111", "JMS", 80.0, "contains a right-handed neutrino N"),
        ("SnuuLL_1111", "JMS", 80.0, "violates lepton number"),
        ("VnudLL_1123", "flavio", 80.0, "CKM elements"),
        ("VnuuLL_1112", "flavio", 80.0, "has no such operator"),
        ("VnudLL_1133", "JMS", 3.0, "contains a b quark"),
    ],
)
def test_what_wet_does_not_have_is_refused_with_its_reason(name: str, basis: str, scale: float, reason: str) -> None:
    values = made({name: 1e-6, "VnueLR_1111": 1e-6}, scale)
    with pytest.raises(UserInputError, match=reason):
        wet.to_wet(values, basis)
    kept = wet.to_wet(values, basis, leave_out=True)
    assert list(kept.left_out) == [name]
    assert len(kept.values.values) == 1


def test_other_operators_of_wet_are_refused_or_left_out() -> None:
    given_ = file({"VedLL_1111": 1e-6, "VnueLL_2111": {"Re": 1e-6, "Im": 1e-7}}, "WET", "JMS", 50.0)
    with pytest.raises(UserInputError, match="VedLL_1111 has no counterpart in LNEFT"):
        wet.from_wet(given_, "wet.yml")
    found = wet.from_wet(given_, "wet.yml", leave_out=True)
    assert found.values.values == {"VnueLL_1211": 1e-6 - 1e-7j}
    with pytest.raises(UserInputError, match="unknown EFT 'SMEFT'"):
        wet.from_wet(file({}, "SMEFT", "Warsaw"), "wet.yml")
    with pytest.raises(UserInputError, match="unknown basis of WET 'Bern'"):
        wet.from_wet(file({}, "WET", "Bern"), "wet.yml")


def test_values_of_smneft_have_no_counterpart_in_wet() -> None:
    with pytest.raises(UserInputError, match="only values of LNEFT"):
        wet.to_wet(WcxfValues("SMNEFT", "nmmfit", 1000.0, {"NB_11": 1e-9}))


def test_every_coefficient_is_in_exactly_one_theory() -> None:
    assert not set(ALL) & set(smneft_operators.coefficient_names())


def test_charge_radii_and_charges_are_refused_with_the_reason() -> None:
    with pytest.raises(UserInputError, match=r"nuradius_11 is no coefficient of a basis: by the photon's equation of motion"):
        from_file(file({"nuradius_11": 1e-5}), "values.yml")
    with pytest.raises(UserInputError, match=r"nucharge_12 is no coefficient of a basis: .* dimension four"):
        from_file(file({"nucharge_12": 1e-9}), "values.yml")


def test_antisymmetric_coefficients_above_m_w_are_reduced_with_their_sign() -> None:
    read = from_file(file({"LHB_21": 2e-9, "NNB_31": {"Re": 0.0, "Im": 1e-5}}, "SMNEFT"), "values.yml")
    assert read.values == {"LHB_12": -2e-9, "NNB_13": -1e-5j}
