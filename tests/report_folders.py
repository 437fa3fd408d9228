"""Folders of results of every kind with synthetic numbers, for tests of reports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from synthetic_run import LIMITS, make_result

from nmmfit.inference.asimov import Asimov
from nmmfit.inference.calibration import Calibration, Ranked
from nmmfit.inference.intervals import Interval
from nmmfit.inference.prior_sensitivity import WHY_NOT_FLAT
from nmmfit.inference.ranks import UniformRanks
from nmmfit.inference.result import SampleResult
from nmmfit.inference.settings import SamplerSettings
from nmmfit.inference.toy_intervals import CLs, Coverage, FeldmanCousins, ToysAtValue
from nmmfit.inference.toys import ToysResult
from nmmfit.results import adapter
from nmmfit.results.calibration import calibration_data
from nmmfit.results.diagnostics import summarise_fit
from nmmfit.results.files import RunFolder
from nmmfit.results.jsonable import plain
from nmmfit.results.prior_predictive import PriorPrediction, predictions_json
from nmmfit.results.store import fit_json, posterior_data, write_run
from nmmfit.results.toys import q_values

RUN = """
experiments = ["lab"]
[parameters.L_dipole]
coefficients = { nuNgamma_11 = 1, nuNgamma_22 = 1 }
prior = { normal = [0.0, 1e-7] }
[parameters.L_T_s]
coefficients = { TnuNdRR_1122 = 1 }
prior = { uniform = [-2e-5, 2e-5] }
"""
TWO = RUN.replace('["lab"]', '["lab", "field"]')
"""A run of two experiments."""
ATTRS = {"created_at": "2026-03-04T05:06:07+00:00", "seed": "1", "commit": "", "platform": "somewhere", "version_jax": "0.11.0"}
PROFILE: dict[str, Any] = {
    "grid": {"mu_eff_solar": [0.0, 1.0, 2.0, 3.0]},
    "unit": "1e-11 mu_B",
    "delta_chi2": [0.1, 0.0, 2.5, None],
    "converged": [True, True, True, False],
    "best": {"mu_eff_solar": 0.9, "point": {}},
    "reason": None,
    "theory": {"form_factor": "helm"},
}
SCAN: dict[str, Any] = {
    "grid": {"mu_eff_solar": [0.0, 1.0, 2.0], "L_T_s": [-1e-6, 1e-6]},
    "units": {"mu_eff_solar": "1e-11 mu_B", "L_T_s": "GeV^-2"},
    "delta_chi2": [[0.1, 0.0], [2.5, 2.0], [8.0, None]],
    "converged": [[True, True], [True, True], [True, False]],
    "best": {"mu_eff_solar": 0.1, "L_T_s": 1e-6, "point": {}},
    "profiled": True, "fixed": {"L_dipole": 0.0}, "cl": [0.68], "intervals": [], "pairs": [],
    "contours": [{"cl": 0.68, "delta_chi2": 2.28, "lines": [[[0.9, -1e-6], [1.1, 1e-6]]], "closed": [False], "open": True,
                  "error": 1e-4, "solved": 2}],
    "theory": {"form_factor": "helm"},
}  # fmt: skip
_PUBLISHED = {
    "quantity": "sm_counts", "value": 100.0, "source": "arXiv:1234.56789, table I", "minus": 10.0, "plus": 10.0, "status": "read",
    "note": "", "cl": 0.9, "component": "",
}  # fmt: skip
VALIDATION: dict[str, Any] = {
    "experiments": {
        "lab": {
            "name": "lab", "title": "A laboratory", "status": "data release", "references": ["arXiv:1234.56789"],
            "theory": {"form_factor": "helm"}, "built_with": {"binning": "fine"}, "cl": 0.9, "sm_counts": 103.0,
            "strength": [0.9, 0.1], "fitted_counts": [92.7, 11.0],
            "goodness": {"deviance": 12.3, "bins": 10, "p_value": 0.25, "p_error": 0.03, "toys": 200, "failed": 1,
                         "toy_mean": 10.1, "toy_sd": 4.4},
            "limits": {"mu_eff_x": 3.5, "L_T_u": None}, "units": {"mu_eff_x": "1e-11 mu_B", "L_T_u": "GeV^-2"},
            "comparisons": [{"published": _PUBLISHED, "ours": 103.0, "ours_error": None, "relative": 0.03, "agrees": True}],
            "choices": [{"option": "binning", "value": "coarse", "sm_counts": 101.0, "limits": {"mu_eff_x": 3.9}}],
            "converged": True, "point": {},
        },
    },
}  # fmt: skip
TENSION: dict[str, Any] = {
    "chi2": 5.0, "dof": 1, "nominal_p_value": 0.025, "p_value": 0.4, "p_error": 0.22, "toys": 4, "failed": 1, "converged": True,
    "toy_values": [0.1, 0.5, 7.0, 6.0], "constraints": 0.5, "seed": 3, "theory": {"form_factor": "helm"},
    "point": {"L_dipole": 1e-9, "L_T_s": 0.0, "sns.flux": 0.5, "lab.light": -1.0},
    "identified": {"mu_eff_solar": 2.0, "mu_eff_sns_mu": 2.0},
    "experiments": {
        "lab": {"rank": 1, "chi2": 3.0, "point": {"L_dipole": 5e-10, "L_T_s": 0.0, "sns.flux": 0.1, "lab.light": -1.1},
                "identified": {"mu_eff_solar": 1.0}},
        "field": {"rank": 1, "chi2": 1.5, "point": {"L_dipole": 2e-9, "L_T_s": 1e-6, "sns.flux": 0.1, "lab.light": -1.1},
                  "identified": {"mu_eff_sns_mu": 4.0}},
    },
    "units": {"mu_eff_solar": "1e-11 mu_B", "mu_eff_sns_mu": "1e-11 mu_B", "L_dipole": "GeV^-1", "L_T_s": "GeV^-2",
              "sns.flux": "1", "lab.light": "1"},
    "provenance": {"created_at": "2026-03-04T05:06:07+00:00", "seed": "3", "commit": "", "version_jax": "0.11.0"},
}  # fmt: skip
IMPACTS: dict[str, Any] = {
    "fit": {
        "kind": "maximum likelihood", "converged": True, "value": 100.0, "gradient_norm": 1e-6, "distance": 1e-9,
        "parameters": {
            "L_dipole": {"value": 7e-9, "error": 1e-9, "unit": "GeV^-1"},
            "L_T_s": {"value": 0.0, "error": None, "unit": "GeV^-2"},
            "sns.flux": {"value": 0.5, "error": 0.8, "unit": "1"}, "theory.c_T": {"value": -2.9, "error": 0.3, "unit": "1"},
        },
        "identified": {"mu_eff_solar": 2.0}, "flat": {"L_T_s": "flat direction: L_dipole compensates L_T_s exactly"},
        "minima": [],
    },
    "targets": {"mu_eff_solar": {"value": 2.0, "unit": "1e-11 mu_B"}, "mu_eff_sns_mu": {"value": 2.0, "unit": "1e-11 mu_B"},
                "L_dipole": {"value": 7e-9, "unit": "GeV^-1"}},
    "nuisances": {
        "sns.flux": {"value": 0.5, "error": 0.8, "prior_mean": 0.0, "prior_sd": 1.0, "pull": 0.5, "constraint": 0.8,
                     "impacts": {"mu_eff_solar": [-0.25, 0.5], "mu_eff_sns_mu": [-0.25, 0.5], "L_dipole": [-1e-10, None]}},
        "theory.c_T": {"value": -2.9, "error": 0.3, "prior_mean": None, "prior_sd": None, "pull": None, "constraint": None,
                       "impacts": {"mu_eff_solar": [0.0, 0.0], "mu_eff_sns_mu": [0.0, 0.0], "L_dipole": [2e-10, -2e-10]}},
    },
    "converged": True, "failed": [], "seed": 1, "theory": {"form_factor": "helm"},
}  # fmt: skip
THREE = RUN.replace('["lab"]', '["lab", "field", "dome"]')
"""A run of three experiments."""
FISHER: dict[str, Any] = {
    "parameters": {
        "L_dipole": {"unit": "GeV^-1", "prior_width": 1e-7, "expected": 2e-9, "observed": 2.5e-9, "expected_profiled": 2e-9,
                     "observed_profiled": None},
        "L_T_u": {"unit": "GeV^-2", "prior_width": 1e-5, "expected": 2.5e-5, "observed": None, "expected_profiled": None,
                  "observed_profiled": None},
        "L_T_s": {"unit": "GeV^-2", "prior_width": 1e-5, "expected": 3.3e-5, "observed": None, "expected_profiled": None,
                  "observed_profiled": None},
    },
    "directions": [
        {"composition": {"L_dipole": 1.0, "L_T_u": 0.0, "L_T_s": 0.0}, "information": 2500.0, "observed_information": 1600.0,
         "shares": {"lab": 0.9, "field": 0.06, "shared constraints": 0.04}, "blind": False, "delta_chi2_along": None,
         "cause": None},
        {"composition": {"L_dipole": 0.0, "L_T_u": 0.8, "L_T_s": 0.6}, "information": 0.25, "observed_information": -1.0,
         "shares": {"lab": 0.3, "field": 0.7, "shared constraints": 0.0}, "blind": False, "delta_chi2_along": None,
         "cause": None},
        {"composition": {"L_dipole": 0.0, "L_T_u": 0.6, "L_T_s": -0.8}, "information": 0.0, "observed_information": None,
         "shares": {}, "blind": True, "delta_chi2_along": {"1": 0.0, "10": 0.0, "10000": 1e-6},
         "cause": "L_T_u and L_T_s cancel in the dipole"},
    ],
    "experiments": ["lab", "field", "shared constraints"], "where": "the Standard Model; mean over 4 points",
    "observed_where": "the best fit of everything", "points": 4, "converged": True, "problems": [], "seed": 1,
    "theory": {"form_factor": "helm"},
}  # fmt: skip


def _sides(unit: str, alone: Any, profiled: Any, reason: str = "flat: the tensors undo it") -> dict[str, Any]:
    """Limits as `tighten` has them, of pairs of sides; a pair with an open side has a reason."""
    more = {"best": 0.0, "segments": [], "note": None, "converged": True}
    kinds = {"one_at_a_time": alone, "profiled": profiled}
    return {"unit": unit} | {
        kind: {"lower": low, "upper": high, "reason": reason if None in (low, high) else None} | more
        for kind, (low, high) in kinds.items()
    }


_MOMENTS = [_sides("1e-11 mu_B", (0.0, 3.0), (0.0, 4.0)), _sides("1e-11 mu_B", (0.0, 3.0), (0.0, 2.0)),
            _sides("1e-11 mu_B", (0.0, 1.5), (0.0, 1.6))]  # fmt: skip
_CHARGES = [_sides("GeV^-2", (0.0, 2e-6), (0.0, None)), _sides("GeV^-2", (0.0, 1e-6), (0.0, 1e-6))]
_DIPOLES = [_sides("GeV^-1", side, (None, None)) for side in ((-2e-9, 2e-9), (-2e-9, 1e-9), (-1e-9, 5e-10))]
TIGHTEN: dict[str, Any] = {
    "cl": 0.9,
    "stages": [
        {"label": "lab", "experiments": ["lab"], "added": ["lab"], "identified": {"mu_eff_solar": _MOMENTS[0]},
         "parameters": {"L_dipole": _DIPOLES[0]}},
        {"label": "+ field", "experiments": ["lab", "field"], "added": ["field"], "parameters": {"L_dipole": _DIPOLES[1]},
         "identified": {"mu_eff_solar": _MOMENTS[1], "mu_eff_sns_mu": _MOMENTS[1], "tensor_charge_cs133": _CHARGES[0]}},
        {"label": "+ dome", "experiments": ["lab", "field", "dome"], "added": ["dome"], "parameters": {"L_dipole": _DIPOLES[2]},
         "identified": {"mu_eff_solar": _MOMENTS[2], "mu_eff_sns_mu": _MOMENTS[2], "tensor_charge_cs133": _CHARGES[1]}},
    ],
    "conventions": {"one_at_a_time": "the others are 0", "profiled": "the others are free"},
    "converged": True, "failed": [], "interrupted": False, "missing": [], "theory": {"form_factor": "helm"},
}  # fmt: skip
"""Bounds of the moment go from 4 to 2 to 1.6, profiled; the tensor charge is unknown, then open, then bounded."""


def _ends(lower: Any, upper: Any, ratio: Any = ...) -> dict[str, Any]:
    return {"lower": lower, "upper": upper} | ({} if ratio is ... else {"width_ratio": ratio})


def _other(priors: dict[str, Any], k: Any, reason: str | None, dipole: dict[str, Any], moment: dict[str, Any]) -> dict[str, Any]:
    """An alternative as `prior-sensitivity` has it; both moments are the same."""
    return {
        "priors": priors, "pareto_k": k, "largest_k": 0.7, "effective_draws": 0.0 if k is None else 900.0,
        "trusted": reason is None, "reason": reason, "command": f"nmmfit fit my-fit/run.toml --set 'k={k}'",
        "parameters": {"L_dipole": dipole, "L_T_s": _ends(None, None, None) if k is None else _ends(-1e-6, 1e-6, 1.0)},
        "identified": {"mu_eff_solar": moment, "mu_eff_sns_mu": moment},
    }  # fmt: skip


PRIOR_SENSITIVITY: dict[str, Any] = {
    "fit": "my-fit", "cl": 0.9, "draws": 4000,
    "parameters": {"L_dipole": {"unit": "GeV^-1", "prior": {"normal": [0.0, 1e-7]}} | _ends(-2e-7, 2e-7),
                   "L_T_s": {"unit": "GeV^-2", "prior": {"uniform": [-2e-5, 2e-5]}} | _ends(-1e-6, 1e-6)},
    "identified": {name: {"unit": "1e-11 mu_B"} | _ends(0.0, 2.0) for name in ("mu_eff_solar", "mu_eff_sns_mu")},
    "alternatives": {
        "twice as wide": _other({"L_dipole": {"normal": [0.0, 2e-7]}}, 0.25, None, _ends(-3e-7, 3e-7, 1.5),
                                _ends(0.0, 2.05, 1.025)),
        "half as wide": _other({"L_dipole": {"normal": [0.0, 5e-8]}}, 0.95, "Pareto k is above 0.70: few draws carry all",
                               _ends(-1e-7, 1e-7, 0.5), _ends(0.0, 1.0, 0.5)),
        "L_dipole = 0": _other({"L_dipole": {"delta": 0.0}}, None, "L_dipole held at 0 has no density", _ends(None, None, None),
                               _ends(None, None, None)),
    },
    "why_not_flat": WHY_NOT_FLAT,
}  # fmt: skip
"""A dipole whose interval follows its prior, moments that do not, and alternatives with and without weights."""


def toys_result() -> ToysResult:
    """Toys with invented numbers: q of 49 toys from 0 to 6 everywhere, one that failed."""
    values = np.linspace(0.0, 6.0, 49)
    tested = tuple(
        ToysAtValue(v, q, 49, 1, 2.7, 0.1, p, 0.05, (0.0, 2.0 * v), values)
        for v, q, p in ((0.0, 1.0, 0.84), (1.0, 0.5, 0.92), (2.0, 4.0, 0.34))
    )
    return ToysResult(
        name="mu_eff_solar", unit="1e-11 mu_B", cl=0.9, best=0.8, asymptotic=(0.0, 1.5), toys=50, seed=77,
        asimov=Asimov(0.9, {"L_dipole": 0.0, "L_T_s": 0.0, "sns.flux": 0.1}, {"mu_eff_solar": Interval(0.0, 1.2, None)},
                      {"mu_eff_solar": "1e-11 mu_B"}, {"lab.bins": np.array([3.0])}),
        coverage=(Coverage("Standard Model", 0.0, 0.9, 2.706, 0.93, 0.02, 49, 1, 2.2, 0.1, values),
                  Coverage("best fit", 0.8, 0.9, 2.706, 0.82, 0.03, 49, 1, 3.4, 0.2, values)),
        feldman_cousins=FeldmanCousins(0.9, 0.8, 0.0, 1.6, 0.0, 0.1, None, "starts at 0", tested),
        cls=CLs(0.9, 1.7, 0.1, None, (1.0, 2.0), (0.3, 0.05), (0.01, 0.01), (0.2, 0.03), (0.7, 0.6), 50, 0),
        p_values=tested[:1], warnings=(),
    )  # fmt: skip


def toys_payload(found: ToysResult | None = None) -> dict[str, Any]:
    """The object of `toys --json`."""
    made = {"created_at": "2026-03-04T05:06:07+00:00", "seed": "77", "commit": "", "version_jax": "0.11.0"}
    return plain({**(found or toys_result()).to_json(), "theory": {"form_factor": "helm"}, "provenance": made})


def write_toys_folder(path: Path, payload: Any = None, found: ToysResult | None = None) -> Path:
    """What `toys` writes, without its pictures; a payload may differ from that of the toys."""
    found = found or toys_result()
    write_json_folder(path, "toys", toys_payload(found) if payload is None else payload)
    groups = q_values(found)
    if groups:
        (path / "toys.nc").write_bytes(adapter.netcdf_bytes(adapter.from_dict(groups, {})))
    return path


def calibration_result() -> Calibration:
    """Two quantities with the same invented ranks, evenly spread, and one whose ranks all are at one end."""
    spread = np.arange(40) * 97 // 40
    quantities = {
        "L_dipole": Ranked("L_dipole", "coefficient", "GeV^-1", True, spread, 0.5, 1.0, ""),
        "mu_eff_solar": Ranked("mu_eff_solar", "identified", "1e-11 mu_B", False, spread, 0.4, 1.0, ""),
        "lab.flux": Ranked("lab.flux", "nuisance", "1", False, 90 + spread // 20, 1e-4, 3e-4, "the posterior lies too low"),
        "log_likelihood": Ranked("log_likelihood", "log_likelihood", "1", False, spread, 0.8, 1.0, ""),
    }
    truth = np.linspace(0.0, 1.0, 40)[:, None] * np.array([2e-8, 3.0, 1.0, -50.0])
    settings = SamplerSettings(method="ensemble", chains=16, warmup=100, draws=60, max_tree_depth=7)
    return Calibration("posterior", settings, 3, 96, 45, 5, quantities, truth, UniformRanks(40, 96), np.full(45, 2.5), 7)


def write_calibration_folder(path: Path, payload: Any = None, found: Calibration | None = None) -> Path:
    """What `calibrate` writes, without its pictures; a payload may differ from that of the ranks."""
    found = found or calibration_result()
    made = {"created_at": "2026-03-04T05:06:07+00:00", "seed": "3", "commit": "", "version_jax": "0.11.0"}
    whole = plain({**found.to_json(), "theory": {"form_factor": "helm"}, "provenance": made})
    path.mkdir()
    (path / "calibration.json").write_text(json.dumps(whole if payload is None else payload), encoding="utf-8")
    (path / "run.toml").write_text(RUN, encoding="utf-8")
    (path / "calibration.nc").write_bytes(adapter.netcdf_bytes(adapter.from_dict(calibration_data(found), {})))
    return path


def predictions() -> dict[str, PriorPrediction]:
    """Four channels: data below, within and above what is predicted; one whose data some draws hold to be impossible."""

    def channel(total: list[float], above: float, last: float = 9.0, undefined: int = 0) -> PriorPrediction:
        counts, levels = np.outer(total, [0.6, 0.4]), np.array([1.0, 2.0, 3.0, 4.0, last])
        return PriorPrediction(
            np.array([60.0, 40.0]), counts, np.array(total), above, levels, levels / 2.0, 0.25, 4000 - undefined, undefined
        )

    return {
        "lab.low": channel([110.0, 200.0, 400.0, 800.0, 9e6], 0.99),
        "lab.bins": channel([50.0, 80.0, 120.0, 150.0, 300.0], 0.6),
        "lab.high": channel([5.0, 10.0, 25.0, 40.0, 60.0], 0.0),
        "field.bins": channel([0.0, 60.0, 90.0, 150.0, 300.0], 0.4, np.inf, 12),
    }


def predictions_payload() -> dict[str, Any]:
    """The object of `fit --prior-predictive --json`."""
    made = {"created_at": "2026-03-04T05:06:07+00:00", "seed": "5", "commit": "", "version_jax": "0.11.0"}
    return plain({**predictions_json(predictions()), "draws": 4000, "seed": 5, "theory": {}, "provenance": made})


def leave_out_payload(**changes: Any) -> dict[str, Any]:
    """The object of `leave-one-out --json`: three fits of known distributions; one of them knows no tensor charge."""

    def summary(seed: int, factor: float) -> dict[str, Any]:
        result = make_result(seed, draws=200)
        result.identified["mu_solar"] *= factor
        return fit_json(result, summarise_fit(result), out="x", choices={"form_factor": "helm"})

    fits = {"all": summary(1, 1.0), "lab": summary(2, 3.0), "field": summary(3, 1.0)}
    del fits["field"]["identified"]["tensor_Cs133"]
    return json.loads(json.dumps({"fits": fits, "converged": True, "interrupted": False} | changes))


def write_fit_folder(path: Path, run: str = RUN, attrs: dict[str, str] | None = None, result: SampleResult | None = None) -> Path:
    """What `fit --no-plots` writes, of draws from known distributions, or of `result`."""
    result = result or make_result(draws=200)
    summary = fit_json(result, summarise_fit(result), out=path, choices={"form_factor": "helm"})
    with RunFolder(path) as folder:
        write_run(folder, posterior_data(result, {}, attrs or ATTRS), summary, run)
        return folder.publish()


def write_json_folder(path: Path, verb: str, payload: Any, run: str | None = RUN) -> Path:
    """What a verb writes that has no posterior."""
    path.mkdir()
    (path / f"{verb.replace('-', '_')}.json").write_text(
        payload if isinstance(payload, str) else json.dumps(payload), encoding="utf-8"
    )
    if run is not None:
        (path / "run.toml").write_text(run, encoding="utf-8")
    return path


def limits_payload(**changes: Any) -> dict[str, Any]:
    """The object of `limits --json` with its conventions and presets."""
    presets = {"kaon": {"inputs": {"theory.c_T": [-1.0, 0.2]}, "one_at_a_time": {"L_dipole": {"lower": -6e-9, "upper": 6e-9}}}}
    more = {"converged": True, "problems": [], "presets": presets, "conventions": {"one_at_a_time": "the others are 0"}}
    return json.loads(json.dumps(LIMITS | more | changes))


def png() -> bytes:
    """A small picture."""
    import io

    from matplotlib.image import imsave

    buffer = io.BytesIO()
    imsave(buffer, np.zeros((2, 2, 3)), format="png")
    return buffer.getvalue()


def write_all(base: Path) -> dict[str, Path]:
    """One folder of every kind."""
    fit = write_fit_folder(base / "fit")
    (fit / "spectrum_lab.bins.svg").write_bytes(b'<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>')
    (fit / "trace_and_rank.png").write_bytes(png())
    validation = write_json_folder(base / "validate", "validate", VALIDATION, run=None)
    (validation / "lab_bins.png").write_bytes(png())
    return {
        "fit": fit,
        "limits": write_json_folder(base / "limits", "limits", limits_payload()),
        "profile": write_json_folder(base / "profile", "profile", PROFILE),
        "scan": write_json_folder(base / "scan", "scan", SCAN),
        "validate": validation,
        "tension": write_json_folder(base / "tension", "tension", TENSION, TWO),
        "impacts": write_json_folder(base / "impacts", "impacts", IMPACTS, TWO),
        "leave-one-out": write_json_folder(base / "leave", "leave-one-out", leave_out_payload(), TWO),
        "fisher": write_json_folder(base / "fisher", "fisher", FISHER, TWO),
        "tighten": write_json_folder(base / "tighten", "tighten", TIGHTEN, THREE),
        "toys": write_toys_folder(base / "toys"),
        "prior-sensitivity": write_json_folder(base / "priors", "prior-sensitivity", PRIOR_SENSITIVITY),
        "calibrate": write_calibration_folder(base / "calibration"),
        "fit --prior-predictive": write_json_folder(base / "predictions", "prior-predictive", predictions_payload(), TWO),
    }
