"""An approximation of delta chi2 with its measured range as a document that others can evaluate."""

from __future__ import annotations

from typing import Any

import numpy as np

from nmmfit.exchange.approximation import Approximation
from nmmfit.exchange.document import head, popxf
from nmmfit.exchange.validity import RULE, Validity
from nmmfit.inference.joint import JointLikelihood
from nmmfit.run import Run

DEFINITIONS = {
    "delta_chi2": "2 [min over nuisances of nll at given coefficients - min of nll]; nll holds data, pulls, theory inputs and "
    "constraints, not the priors of coefficients; the polynomial stands in prediction.data.observable_central",
    "quartic": "Taylor expansion around vanishing coefficients in the monomials c_i, c_i c_j, nuisances eliminated by the Schur "
    "complement",
    "gaussian": "second-order expansion around one best fit, nuisances eliminated by the Schur complement",
    "rule": RULE,
}


def approximation_document(run: Run, joint: JointLikelihood, approximation: Approximation, validity: Validity) -> dict[str, Any]:
    """The document of an approximation: polynomial (POPxf), where it was made, and how far it was found to hold."""
    names = list(approximation.names)
    document = head("approximation", run, joint)
    document |= {
        "order": approximation.order,
        "definitions": DEFINITIONS,
        "center": approximation.center,
        "best_fit": approximation.best,
        "nuisances_at_center": approximation.nuisances,
        "blind_directions": [dict(direction) for direction in approximation.blind],
        "prediction": popxf(
            ["delta_chi2"],
            names,
            {m: np.array([v]) for m, v in approximation.polynomial.items()},
            run.config.scale_gev,
            approximation.degree,
            {p["name"]: p["coefficients"] for p in document["parameters"]},
            f"{approximation.order} approximation of delta chi2, nuisances profiled",
        ),
        "validity": {
            "delta_chi2": validity.delta_chi2,
            "rays": [
                {
                    "kind": ray.kind,
                    "direction": ray.label,
                    "limit": dict(zip(names, map(float, ray.limit), strict=True)),
                    "delta_chi2": ray.delta_chi2,
                    "error": ray.error,
                    "ends": ray.ends,
                }
                for ray in validity.rays
            ],
        },
    }
    return document
