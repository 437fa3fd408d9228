"""What exported documents share: where they come from, and predictions in the form of POPxf 1.0 (arXiv:2511.17348)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from nmmfit import __version__
from nmmfit.eft import smneft_operators
from nmmfit.exchange.monomials import Monomial, popxf_key
from nmmfit.inference.priors import describe
from nmmfit.results.provenance import git_commit, package_versions

if TYPE_CHECKING:
    from nmmfit.config import RunConfig
    from nmmfit.inference.joint import JointLikelihood
    from nmmfit.run import Run

POPXF_SCHEMA = "https://json.schemastore.org/popxf-1.0.json"
VERSION = 1


def head(kind: str, run: Run, joint: JointLikelihood) -> dict[str, Any]:
    """The fields at the top of every exported document."""
    config = run.config
    free = joint.of_kind("coefficient")
    names = {c for spec in config.parameters.values() for c in spec.coefficients}
    return {
        "format": f"nmmfit-{kind}",
        "version": VERSION,
        "generator": {
            "name": "nmmfit",
            "version": __version__,
            "commit": git_commit(),
            "packages": package_versions(),
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        },
        "run": {"source": run.source, "hash": run.hash, "toml": run.to_toml()},
        "eft": {"name": smneft_operators.theory_of(names).upper(), "basis": "nmmfit", "scale_gev": config.scale_gev},
        "theory": dict(joint.choices),
        "parameters": [
            {
                "name": p.name,
                "unit": p.unit,
                "coefficients": _coefficients(config, p.name),
                "prior": describe(p.prior),
            }
            for p in free
        ],
        "held": {**joint.fixed_coefficients, **joint.fixed},
    }


def _coefficients(config: RunConfig, name: str) -> dict[str, list[float]]:
    """The coefficients that one unit of a parameter stands for, complex numbers as [re, im]; none where the run names none."""
    spec = config.parameters.get(name)
    return {} if spec is None else {c: [complex(z).real, complex(z).imag] for c, z in spec.coefficients.items()}


def popxf(
    observables: Sequence[str],
    parameters: Sequence[str],
    columns: Mapping[Monomial, np.ndarray],
    scale_gev: float,
    degree: int,
    custom: Mapping[str, Any],
    description: str,
    uncertainty: np.ndarray | None = None,
) -> dict[str, Any]:
    """A prediction as a POPxf 1.0 document.

    Args:
        observables: their names.
        parameters: the parameters that monomials index.
        columns: monomial -> (observable,) coefficient; monomials that vanish everywhere are left out.
        scale_gev: where the parameters live.
        degree: of the polynomial, 1 to 5.
        custom: what the parameters are.
        description: how the numbers were made.
        uncertainty: (observable,) standard deviation at vanishing parameters.
    """
    central = {
        popxf_key(m, parameters, degree): [float(v) for v in np.ravel(values)]
        for m, values in columns.items()
        if np.any(values) or not m
    }
    data: dict[str, Any] = {"observable_central": central}
    if uncertainty is not None:
        data["observable_uncertainties"] = {"nuisances": [float(v) for v in uncertainty]}
    return {
        "$schema": POPXF_SCHEMA,
        "metadata": {
            "observable_names": list(observables),
            "parameters": list(parameters),
            "basis": {"custom": dict(custom)},
            "scale": float(scale_gev),
            "polynomial_degree": degree,
            "reproducibility": [{"description": description, "tool": {"name": "nmmfit", "version": __version__}}],
        },
        "data": data,
    }
