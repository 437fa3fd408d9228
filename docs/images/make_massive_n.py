"""The picture and the table of docs/theory/massive_n.md: limits on the dipole of a massive N against its mass.

    python docs/images/make_massive_n.py

builds each experiment of examples/sterile_dipole_portal.toml with a floated mass, profiles all nuisances at given masses and
couplings, and writes docs/images/massive_n.png and the table as Markdown to the standard output. Minutes to tens of minutes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import brentq

import nmmfit
from nmmfit.constants import bohr_magneton_per_gev
from nmmfit.inference.joint import JointLikelihood
from nmmfit.results.figure import BLUE, ORANGE, new_figure, save, style
from nmmfit.shapes import Array

HERE = Path(__file__).resolve().parent
RUN = HERE.parent.parent / "examples" / "sterile_dipole_portal.toml"
MASSES_MEV = {
    "borexino_phase2": (0.05, 0.2, 0.4, 0.55, 0.6, 1.0, 3.0),
    "coherent_csi_2021": (0.05, 1.0, 3.0, 10.0, 20.0, 28.0, 32.0, 40.0, 48.0),
}
LEVEL = 2.706
"""Delta chi2 at 90 % CL."""


def profiler(joint: JointLikelihood) -> Callable[[float, float, np.ndarray], tuple[float, np.ndarray]]:
    """(coupling, mass, nuisances to start from) -> chi2 profiled over nuisances, and these: Newton steps of the Fisher kind."""
    observed = jnp.asarray(np.concatenate(list(joint.observed.values())))
    start = jnp.asarray(joint.start)
    where = jnp.asarray([joint.names.index(n) for n in ("L_N", "theory.m_N_mev")])
    rest = np.setdiff1d(np.arange(len(joint.names)), np.asarray(where))

    def vector(fixed: Array, y: Array) -> Array:
        return start.at[where].set(fixed).at[rest].set(y)

    def counts(fixed: Array, y: Array) -> Array:
        expected = joint.expected_vector(vector(fixed, y))
        return jnp.concatenate([expected[name] for name in joint.channels])

    @jax.jit
    def step(fixed: Array, y: Array) -> tuple[Array, Array, Array]:
        mean, push = jax.linearize(lambda v: counts(fixed, v), y)
        slopes = jax.lax.map(push, jnp.eye(len(y)))

        def constraint(v: Array) -> Array:
            return joint.constraint_vector(vector(fixed, v))

        gradient = slopes @ (1.0 - observed / mean) - jax.grad(constraint)(y)
        hessian = (slopes * (observed / mean**2)) @ slopes.T - jax.hessian(constraint)(y)
        move = jnp.linalg.solve(hessian, gradient)
        value = jnp.sum(mean - observed * jnp.log(mean)) - constraint(y)
        return 2.0 * value, y - move, gradient @ move

    def profiled(coupling: float, mass: float, y: np.ndarray) -> tuple[float, np.ndarray]:
        fixed = jnp.asarray([coupling, mass])
        value, moved, left = step(fixed, jnp.asarray(y))
        for _ in range(60):
            if float(left) < 1e-3:
                return float(value) - float(left), np.asarray(moved)
            size = 1.0
            while True:  # a full step, or as much of it as goes down
                trial = jnp.asarray(y) + size * (moved - jnp.asarray(y))
                new_value, new_moved, new_left = step(fixed, trial)
                if float(new_value) < float(value) or size < 1e-3:
                    break
                size *= 0.3
            y, value, moved, left = np.asarray(trial), new_value, new_moved, new_left
        raise RuntimeError(f"not converged at L = {coupling:g} GeV^-1, m = {mass:g} MeV")

    return profiled


def limit(joint: JointLikelihood, masses: tuple[float, ...]) -> np.ndarray:
    """90 % CL limit on |L| in GeV^-1 at each mass; the best fit is at or above L^2 = 0."""
    profiled = profiler(joint)
    n = len(joint.names) - 2
    nominal = np.asarray([p.start for p in joint.parameters if p.name not in ("L_N", "theory.m_N_mev")])
    assert len(nominal) == n
    null, y0 = profiled(0.0, masses[0], nominal)
    found, guess = [], 3e-9 if "borexino_phase2" in joint.experiments[0].name else 5e-7
    for mass in masses:
        points: dict[float, float] = {0.0: null}
        at = {"y": y0}

        def chi2(
            squared: float, mass: float = mass, points: dict[float, float] = points, at: dict[str, np.ndarray] = at
        ) -> float:
            if squared not in points:
                points[squared], at["y"] = profiled(np.sqrt(squared), mass, at["y"])
            return points[squared]

        # chi2 is nearly a parabola in L^2, whose minimum may lie above 0
        top = guess**2
        while chi2(top) - min(points.values()) < 2.0 * LEVEL:
            top *= 2.5
        fit = np.polynomial.Polynomial.fit([0.0, 0.5 * top, top], [chi2(0.0), chi2(0.5 * top), chi2(top)], 2).convert()
        best = min(max(0.0, -fit.coef[1] / (2.0 * fit.coef[2])), top)
        lowest = min(chi2(best), null)
        root = brentq(lambda s, lowest=lowest: chi2(s) - lowest - LEVEL, best, top, xtol=2e-3 * top)
        guess = float(np.sqrt(root))
        found.append(guess)
        sys.stderr.write(f"{joint.experiments[0].name}: m = {mass:g} MeV, |L| < {guess:.4g} GeV^-1\n")
    return np.asarray(found)


def main() -> None:
    unit = 2.0 / bohr_magneton_per_gev()
    rows: dict[float, dict[str, float]] = {}
    with style():
        figure = new_figure(5.0, 3.4)
        axes = figure.add_subplot()
        labels = {"borexino_phase2": "Borexino Phase-II, electrons", "coherent_csi_2021": "COHERENT CsI 2021, nuclei"}
        for (name, masses), colour in zip(reversed(MASSES_MEV.items()), (ORANGE, BLUE), strict=True):
            prior = f"theory.m_N_mev={{uniform=[0.0,{1.1 * max(masses):g}]}}"
            joint = nmmfit.load_run(RUN, [f"experiments=['{name}']", prior]).joint()
            bounds = unit * limit(joint, masses)
            axes.loglog(masses, bounds, marker="o", markersize=3, color=colour, label=labels[name])
            for mass, bound in zip(masses, bounds, strict=True):
                rows.setdefault(mass, {})[name] = float(bound)
        axes.set_xlabel(r"$m_N$ [MeV]")
        axes.set_ylabel(r"$\mu$ at 90 % CL [$\mu_B$]")
        axes.legend(loc="upper left")
        save(figure, HERE / "massive_n", ("png",))
    lines = ["| m_N [MeV] | Borexino Phase-II | COHERENT CsI 2021 |", "|---|---|---|"]
    for mass in sorted(rows):
        cells = [f"{rows[mass][name]:.3g}" if name in rows[mass] else "" for name in MASSES_MEV]
        lines.append(f"| {mass:g} | {cells[0]} | {cells[1]} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
