"""A synthetic run: four chains of a posterior with one sign symmetry, drawn directly from known distributions."""

from __future__ import annotations

from typing import Any

import numpy as np

from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.result import SampleResult

CHAINS, DRAWS = 4, 500


def make_result(seed: int = 1, chains: int = CHAINS, draws: int = DRAWS) -> SampleResult:
    """Independent draws: normal coefficients with a random common sign, a half-normal moment, a dotted nuisance."""
    random = np.random.default_rng(seed)
    shape = (chains, draws)
    sign = random.choice([-1.0, 1.0], size=shape)
    tensor = 4e-6 * np.abs(random.normal(size=shape))
    dipole = 3e-8 * np.abs(random.normal(size=shape))
    moment = 1.3 * np.abs(random.normal(size=shape))
    return SampleResult(
        draws={
            "L_dipole": dipole * sign,
            "L_T_s": tensor * sign,
            "theory.c_T": random.normal(-2.9, 0.3, shape),
            "coherent_csi_2021.nin": random.normal(size=shape),
        },
        folded={"L_dipole": dipole, "L_T_s": tensor},
        identified={"mu_solar": moment, "tensor_Cs133": 30.0 * np.abs(random.normal(size=shape))},
        identified_units={"mu_solar": "1e-11 mu_B", "tensor_Cs133": "1e-6 GeV^-2"},
        sample_stats={
            "diverging": np.zeros(shape, dtype=bool),
            "energy": random.normal(size=shape),
            "lp": random.normal(size=shape),
            "num_steps": np.full(shape, 7),
        },
        seed=seed,
        chains=chains,
        warmup=100,
        draws_per_chain=draws,
        wall_s=12.5,
        warmup_s=5.0,
        symmetries=("(L_dipole, L_T_s) -> -(L_dipole, L_T_s)",),
        units={"L_dipole": "GeV^-1", "L_T_s": "GeV^-2", "theory.c_T": "1", "coherent_csi_2021.nin": "1"},
        prior_sd={"L_dipole": 1e-7, "L_T_s": 4e-6, "theory.c_T": 0.3, "coherent_csi_2021.nin": 1.0},
        coefficients=("L_dipole", "L_T_s"),
    )


def prior_run(joint: JointLikelihood, chains: int, draws: int, spread: float = 1.0) -> SampleResult:
    """Draws of all parameters of a likelihood around their start, coefficients `spread` natural scales wide."""
    random = np.random.default_rng(0)
    shape = (chains, draws)
    widths = {p.name: p.scale * (spread if p.kind == "coefficient" else 1.0) for p in joint.parameters}
    values = {p.name: p.start + widths[p.name] * random.normal(size=shape) for p in joint.parameters}
    return SampleResult(
        draws=values,
        folded={p.name: np.abs(values[p.name]) for p in joint.of_kind("coefficient")},
        identified={"mu": np.abs(random.normal(size=shape))},
        identified_units={"mu": "1e-11 mu_B"},
        sample_stats={"diverging": np.zeros(shape, dtype=bool), "energy": random.normal(size=shape)},
        seed=1,
        chains=chains,
        warmup=0,
        draws_per_chain=draws,
        wall_s=1.0,
        warmup_s=0.5,
        units={p.name: p.unit for p in joint.parameters},
        prior_sd={p.name: p.prior_sd for p in joint.parameters},
        coefficients=tuple(p.name for p in joint.of_kind("coefficient")),
    )


def side(lower: float | None, upper: float | None, reason: str | None = None) -> dict[str, Any]:
    """One interval as `limits --json` has it."""
    return {"lower": lower, "upper": upper, "reason": reason}


LIMITS: dict[str, Any] = {
    "cl": 0.9,
    "identified": {"mu_solar": {"unit": "1e-11 mu_B", "one_at_a_time": side(0.0, 3.3), "profiled": side(0.0, 3.5)}},
    "parameters": {
        "L_dipole": {
            "unit": "GeV^-1",
            "contraction": 0.91,
            "one_at_a_time": side(-5e-9, 5e-9),
            "profiled": side(None, None, "flat: the tensors undo it"),
            "marginalised": side(-7.1e-8, 7e-8),
        },
        "L_T_s": {"unit": "GeV^-2", "contraction": None, "profiled": side(-2e-6, None, "flat above")},
    },
}
