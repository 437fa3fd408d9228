"""nmmfit: global fits of neutrino magnetic moments and neutrino-quark operators in the low-energy EFT.

Everything public can be reached from here; what a name needs is imported when it is first used, so that `import nmmfit`
itself starts no JAX.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

# Public name -> the module that holds it.
_PUBLIC = {
    "JointLikelihood": "nmmfit.inference.joint",
    "NmmfitError": "nmmfit.errors",
    "Run": "nmmfit.run",
    "RunConfig": "nmmfit.config.run",
    "SamplerSettings": "nmmfit.inference.settings",
    "StandardModelInputs": "nmmfit.inputs",
    "calibrate": "nmmfit.inference.calibration",
    "default_run": "nmmfit.run",
    "dsigma_dt": "nmmfit.physics.cross_section",
    "effective_moments": "nmmfit.moments",
    "evolve": "nmmfit.evolution",
    "fisher": "nmmfit.inference.fisher",
    "fit": "nmmfit.inference.fit",
    "impacts": "nmmfit.inference.impacts",
    "limits": "nmmfit.inference.limits",
    "load_run": "nmmfit.run",
    "parse_run": "nmmfit.run",
    "profile": "nmmfit.inference.profile",
    "read_wcxf": "nmmfit.exchange.wcxf",
    "sample": "nmmfit.inference.sampling",
    "scan": "nmmfit.inference.scan",
    "tension": "nmmfit.inference.tension",
    "toys": "nmmfit.inference.toys",
    "write_wcxf": "nmmfit.exchange.wcxf",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
