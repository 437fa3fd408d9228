"""Folders of results of every kind with synthetic numbers, for tests of reports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from synthetic_run import LIMITS, make_result

from nmmfit.results.diagnostics import summarise_fit
from nmmfit.results.files import RunFolder
from nmmfit.results.store import fit_json, posterior_data, write_run

RUN = """
experiments = ["lab"]
[parameters.L_dipole]
coefficients = { nuNgamma_11 = 1, nuNgamma_22 = 1 }
prior = { normal = [0.0, 1e-7] }
[parameters.L_T_s]
coefficients = { TnuNdRR_1122 = 1 }
prior = { uniform = [-2e-5, 2e-5] }
"""
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


def write_fit_folder(path: Path, run: str = RUN, attrs: dict[str, str] | None = None) -> Path:
    """What `fit --no-plots` writes, of draws from known distributions."""
    result = make_result(draws=200)
    summary = fit_json(result, summarise_fit(result), out=path, choices={"form_factor": "helm"})
    with RunFolder(path) as folder:
        write_run(folder, posterior_data(result, {}, attrs or ATTRS), summary, run)
        return folder.publish()


def write_json_folder(path: Path, verb: str, payload: Any, run: str | None = RUN) -> Path:
    """What a verb writes that has no posterior."""
    path.mkdir()
    (path / f"{verb}.json").write_text(payload if isinstance(payload, str) else json.dumps(payload), encoding="utf-8")
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
        "validate": validation,
    }
