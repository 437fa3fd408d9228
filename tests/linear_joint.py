"""A likelihood that is Gaussian in its coefficients, with one blind direction: rates linear in vector couplings to electrons."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from numpyro import distributions as dist
from small_joint import experiment

from nmmfit.inference.joint import CouplingMap, JointLikelihood
from nmmfit.inference.parameters import Parameter
from nmmfit.physics.amplitude_basis import SM_FINAL_STATES, couplings_to_vector
from nmmfit.physics.forms import TargetCouplings

UNIT = 1e-6
"""Coupling of a coefficient of 1, GeV^-2."""
NAMES = ("A", "B", "C")
MADE_OF = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, -0.5]])
"""(coupling, coefficient): left and right couplings of a unit of every coefficient."""
RATES = np.array([[6.0, 1.0], [2.0, 3.0], [0.5, -1.0]])
"""(bin, coupling): change of the counts."""
EXPECTED, OBSERVED, ERROR = np.array([100.0, 80.0, 60.0]), np.array([107.0, 78.5, 61.0]), 2.0
WIDTHS = np.array([2.0, 0.5, 1.0])
"""Of the normal priors of the coefficients."""
RUN = "experiments = []\n" + "".join(
    f"[parameters.{n}]\ncoefficients = {{ {c} = 1 }}\nprior = {{ normal = [0.0, {w!r}] }}\n"
    for n, c, w in zip(NAMES, ("VnueLL_1111", "VnueLR_1111", "VnudLL_1111"), WIDTHS.tolist(), strict=True)
)
"""A run file with parameters of these names and priors."""


def linear_joint() -> JointLikelihood:
    """Three coefficients that make two couplings."""

    def vector(left: float, right: float) -> np.ndarray:
        nil = TargetCouplings.zero()
        entries = {"electron_left": left, "electron_right": right}
        made = {name: getattr(nil, name).at[0, 0].set(x * UNIT) for name, x in entries.items()}
        return np.asarray(couplings_to_vector(TargetCouplings(**{**vars(nil), **made})))

    def counts(forms, pulls):
        strengths = [jnp.real(forms[f"sm_electron_{side}"][0, 0]) / UNIT for side in ("left", "right")]
        return jnp.asarray(EXPECTED) + jnp.asarray(RATES) @ jnp.stack(strengths)

    lab = experiment(
        OBSERVED, counts, distribution=lambda mu: dist.Normal(mu, ERROR), forms=("sm_electron_left", "sm_electron_right")
    )
    base = np.stack([vector(*column) for column in MADE_OF.T])
    parameters = [
        Parameter(n, "coefficient", "1e-6 GeV^-2", dist.Normal(0.0, w), 0.0, w) for n, w in zip(NAMES, WIDTHS, strict=True)
    ]
    finals = (SM_FINAL_STATES,) * len(NAMES)
    couplings = CouplingMap(lambda theory: jnp.asarray(base), (base,), finals)
    return JointLikelihood((lab,), parameters, couplings, method="direct")


def closed_form() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Eigenvalues (2,) and vectors (direction, coefficient), best first, the blind one last, and the best fit (3,)
    in prior widths."""
    slopes = RATES @ MADE_OF * WIDTHS / ERROR
    values, vectors = np.linalg.eigh(slopes.T @ slopes)
    best = np.linalg.pinv(slopes) @ ((OBSERVED - EXPECTED) / ERROR)
    return values[::-1][:2], vectors.T[::-1], best
