from __future__ import annotations

import io

import numpy as np
import pytest
from synthetic_run import LIMITS

from nmmfit.results.diagnostics import summarise_fit
from nmmfit.results.tables import console, fit_tables, limits_table
from nmmfit.results.wording import axis_label, common_scale, number, symbol, unit_mathtext


def printed(renderable) -> str:
    stream = io.StringIO()
    console(stream).print(renderable)
    return stream.getvalue()


def test_fit_table_leads_with_what_is_identified(result):
    text = printed(fit_tables(result, summarise_fit(result), {"tensor_coherence": "coherent"}))
    order = [text.index(word) for word in ("Identified by the data", "Coefficients", "Correlations", "Nuisances", "converged")]
    assert order == sorted(order)
    for heading in ("[1e-11 mu_B]", "[1e-6 GeV^-2]", "[1e-8 GeV^-1]"):
        assert heading in text
    assert "prior-limited" in next(line for line in text.splitlines() if "L_T_s" in line and "->" not in line)
    assert "prior-limited" not in next(line for line in text.splitlines() if line.strip().startswith("L_dipole"))
    assert "tensor_coherence = coherent" in text
    assert "(L_dipole, L_T_s) -> -(L_dipole, L_T_s)" in text


def test_fit_table_names_what_failed(result):
    result.draws["coherent_csi_2021.nin"][0] += 4.0
    text = printed(fit_tables(result, summarise_fit(result), {}))
    assert "NOT converged" in text
    assert "coherent_csi_2021.nin: r_hat" in text


def test_nothing_is_cut_short_on_a_narrow_terminal(result, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    text = printed(fit_tables(result, summarise_fit(result), {})) + printed(limits_table(LIMITS))
    assert "…" not in text


def test_limits_side_by_side():
    text = printed(limits_table(LIMITS))
    row = next(line for line in text.splitlines() if line.strip().startswith("L_dipole"))
    assert "[-inf, inf]" in row
    assert "[-0.500, 0.500]" in row
    assert "[-7.100, 7.000]" in row
    assert "0.91" in row
    assert "[1e-8 GeV^-1]" in text
    assert "90 % CL" in text
    assert "L_dipole, profiled: flat: the tensors undo it" in text
    assert "[-2.00, inf]" in next(line for line in text.splitlines() if line.strip().startswith("L_T_s"))
    assert text.index("mu_solar") < text.index("L_dipole")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1.2345, "1.23"),
        (-0.0012345, "-0.00123"),
        (12345.6, "12300"),
        (3.14159e-8, "3.14e-08"),
        (None, "-"),
        (np.nan, "-"),
    ],
)
def test_numbers(value, text):
    assert number(value) == text


def test_scale_takes_out_a_power_of_ten():
    scale = common_scale([3.2e-8, 1.1e-8], "GeV^-1")
    assert scale.unit == "1e-8 GeV^-1"
    assert scale.row([3.2e-8, -1.1e-8, None]) == ["3.20", "-1.10", "-"]
    assert common_scale([5e4], "1e-11 mu_B").unit == "1e-7 mu_B"
    assert common_scale([5e11], "1e-11 mu_B").unit == "mu_B"
    assert common_scale([2.0, 31.0], "1e-11 mu_B").unit == "1e-11 mu_B"
    assert common_scale([], "1").row([0.0]) == ["0.00"]


def test_scale_does_not_round_a_small_row_to_nothing():
    assert common_scale([1e-7, 3e-13], "GeV^-1").row([-3e-13, 3e-13]) == ["-3.00e-06", "3.00e-06"]


def test_units_as_mathtext():
    assert unit_mathtext("1e-11 mu_B") == r"$10^{-11}$ $\mu_{\rm B}$"
    assert unit_mathtext("GeV^-2") == "GeV$^{-2}$"
    assert axis_label("pull", "1") == "pull"


def test_symbols():
    assert symbol("L_T_u") == "$L_{T,u}$"
    assert symbol("L_dipole") == r"$L_{\rm dipole}$"
    assert symbol("theory.c_T") == "$c_{T}$"
    assert symbol("coherent_csi_2021.nin") == "coherent_csi_2021.nin"
    assert symbol("TnuNdRR_1122") == "TnuNdRR_1122"
