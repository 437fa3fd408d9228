"""A likelihood document evaluated with numpy alone, as somebody without nmmfit would: written from docs/guide/exchange.md."""

from __future__ import annotations

import ast
from typing import Any

import numpy as np


class StandaloneLikelihood:
    """Counts, and -2 ln L with nuisances minimised over, of an exported document."""

    def __init__(self, document: dict[str, Any]) -> None:
        assert document["format"] == "nmmfit-likelihood"
        self.names = [p["name"] for p in document["parameters"]]
        nuisances = document["nuisances"]
        self.nuisances = nuisances["names"]
        self.nominal, self.mean = np.array(nuisances["nominal"]), np.array(nuisances["mean"])
        self.covariance = np.array(nuisances["covariance"]).reshape(len(self.mean), len(self.mean))
        self.channels = {
            f"{experiment}.{name}": channel
            for experiment, part in document["experiments"].items()
            for name, channel in part["channels"].items()
        }

    def _sum(self, table: dict[str, list[float]], point: dict[str, float]) -> np.ndarray | float:
        total: Any = 0.0
        for key, values in table.items():
            monomial = np.prod([point[name] for name in ast.literal_eval(key) if name])
            total = total + np.array(values) * monomial
        return total

    def expected(self, point: dict[str, float]) -> dict[str, np.ndarray]:
        """Counts at nominal nuisances."""
        return {n: self._sum(c["prediction"]["data"]["observable_central"], point) for n, c in self.channels.items()}

    def response(self, point: dict[str, float]) -> np.ndarray:
        """(bin of all channels, nuisance)."""
        rows = []
        for channel in self.channels.values():
            block = np.zeros((len(channel["observed"]), len(self.nuisances)))
            for name, table in channel["responses"].items():
                block[:, self.nuisances.index(name)] = self._sum(table, point)
            rows.append(block)
        return np.concatenate(rows)

    def _stacked(self, key: str) -> np.ndarray:
        return np.concatenate([np.array(c[key], dtype=float) for c in self.channels.values()])

    def gaussian(self, point: dict[str, float]) -> float:
        """-2 ln L with every channel normal, nuisances eliminated by their covariance."""
        moved = self.response(point)
        counts = np.concatenate(list(self.expected(point).values())) + moved @ self.mean
        residual = self._stacked("observed") - counts
        return float(residual @ np.linalg.solve(np.diag(self._stacked("variance")) + moved @ self.covariance @ moved.T, residual))

    def poisson(self, point: dict[str, float]) -> float:
        """-2 ln L of Poisson (and normal) channels, minimised over the nuisances by Newton's method with damped steps."""
        moved, observed, variance = self.response(point), self._stacked("observed"), self._stacked("variance")
        counts = np.concatenate(list(self.expected(point).values()))
        poisson = np.concatenate([np.full(len(c["observed"]), c["statistic"] == "poisson") for c in self.channels.values()])
        precision = np.linalg.inv(self.covariance)

        def value(eta: np.ndarray) -> float:
            n = counts + moved @ eta
            if np.any(n[poisson] <= 0.0):
                return np.inf
            x, d = eta - self.mean, observed
            log = np.where(d > 0, d * np.log(np.where(d > 0, d, 1.0) / np.where(poisson, n, 1.0)), 0.0)
            return float(np.sum(np.where(poisson, 2.0 * (n - d + log), (d - n) ** 2 / variance)) + x @ precision @ x)

        eta = np.zeros(len(self.mean))
        for _ in range(100):
            n = counts + moved @ eta
            slope = np.where(poisson, 2.0 * (1.0 - observed / n), 2.0 * (n - observed) / variance)
            curved = np.where(poisson, 2.0 * observed / n**2, 2.0 / variance)
            gradient = moved.T @ slope + 2.0 * precision @ (eta - self.mean)
            step = -np.linalg.solve((moved.T * curved) @ moved + 2.0 * precision, gradient)
            size = 1.0
            while value(eta + size * step) > value(eta) and size > 1e-10:
                size *= 0.5
            eta = eta + size * step
            if -gradient @ step < 1e-12:
                break
        return value(eta)
