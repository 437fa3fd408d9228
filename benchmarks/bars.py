"""The bars of speed: what each asks for, and which benchmark measures it. No more than this is decided here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Bar:
    """One bar: `sign` is "<=" or ">=", `key` is what the benchmark calls the value, "" where none measures it yet."""

    name: str
    what: str
    sign: str
    limit: float
    benchmark: str
    key: str
    unit: str = "x"

    def is_met(self, value: float | None) -> bool | None:
        """Whether a value keeps the bar; None if there is no value."""
        if value is None or value != value:
            return None
        return value <= self.limit if self.sign == "<=" else value >= self.limit


BARS = (
    Bar("P1", "batched lnL / bare products of its own contraction", "<=", 1.5, "likelihood", "value_over_bare_products"),
    Bar("P2", "batched lnL + gradient / the same", "<=", 3.0, "likelihood", "gradient_over_bare_products"),
    Bar("P3", "Hessian / batched lnL + gradient, per point", "<=", 12.0, "scan", "hessian_over_gradient"),
    Bar("P4", "one lnL + gradient inside jit / numba template, value", "<=", 1.3, "likelihood", "one_gradient_over_numba"),
    Bar("P5", "numba template / batched lnL, per point", ">=", 3.0, "likelihood", "numba_template_over_value"),
    Bar("P5", "numba quadrature / batched lnL, per point", ">=", 650.0, "likelihood", "numba_quadrature_over_value"),
    Bar("P5", "numpy quadrature / batched lnL, per point", ">=", 1800.0, "likelihood", "numpy_quadrature_over_value"),
    Bar("P6", "large scan: share of the roofline (products + logarithms)", ">=", 0.75, "likelihood", "share_of_roofline", ""),
    Bar("P6", "large scan: temporaries", "<=", 10.0, "likelihood", "temporaries_mb", "MB"),
    Bar("P7", "two quiet cores / one", ">=", 1.7, "likelihood", "two_cores_over_one"),
    Bar("P8", "lnL from templates against quadrature, finest templates", "<=", 1e-6, "templates", "smallest_largest_error", ""),
    Bar("P8", "the same, default templates", "<=", 1e-6, "templates", "largest_error", ""),
    Bar("P8", "multiplications for 1e-6 / for 1e-4", "<=", 2.0, "templates", "multiplies_of_1e-6_over_1e-4"),
    Bar("P9", "centred float32: error of delta lnL", "<=", 1e-4, "precision", "float32_error", ""),
    Bar("P9", "centred float32: float64 / float32", ">=", 1.5, "precision", "float64_over_float32"),
    Bar("P10", "profiled point, in batched lnL + gradient", "<=", 50.0, "scan", "gradient_equivalents_per_point", ""),
    Bar("P10", "excess over the minimum, largest", "<=", 1e-8, "scan", "largest_excess", ""),
    Bar("P11", "iminuit on the numba template / profile scan", ">=", 25.0, "scan", "iminuit_template_over_scan"),
    Bar("P11", "iminuit on numba quadrature / profile scan", ">=", 1000.0, "scan", "iminuit_quadrature_over_scan"),
    Bar("P12", "effective draws per second / emcee, default moves", ">=", 150.0, "sampling", "over_default_emcee"),
    Bar("P12", "effective draws per second / emcee, best tuned", ">=", 25.0, "sampling", "over_best_emcee"),
    Bar("P13", "the same run: folded r_hat", "<=", 1.01, "sampling", "max_r_hat", ""),
    Bar("P13", "the same run: divergences", "<=", 1e-4, "sampling", "divergence_fraction", ""),
    Bar("P14", "leapfrog step / batched lnL + gradient, 64 chains", "<=", 1.7, "sampling", "leapfrog_over_gradient"),
    Bar("P15", "programs compiled by a second identical call", "<=", 0.0, "sampling", "compilations_in_second_call", ""),
    Bar("P16", "running between fixed scales, per point of a batch", "<=", 10.0, "rg", "fixed_ns", "ns"),
    Bar("P16", "with a new alpha_s and its derivative, per point of a batch", "<=", 1.5, "rg", "floating_us", "us"),
    Bar("P16", "error against an ODE solver", "<=", 1e-12, "rg", "error", ""),
    Bar("P17", "fresh process to lnL + gradient, empty caches", "<=", 2.0, "startup", "gradient_cold_s", "s"),
    Bar("P17", "fresh process to lnL + gradient, filled caches", "<=", 1.0, "startup", "gradient_cached_s", "s"),
    Bar("P18", "fresh process to 10^4 effective draws, empty caches", "<=", 12.0, "startup", "draws_cold_s", "s"),
    Bar("P18", "fresh process to 10^4 effective draws, filled caches", "<=", 4.5, "startup", "draws_cached_s", "s"),
    Bar("P19", "fresh process to a profile of 1024 points, empty caches", "<=", 6.0, "startup", "profile_cold_s", "s"),
    Bar("P19", "fresh process to a profile of 1024 points, filled caches", "<=", 2.0, "startup", "profile_cached_s", "s"),
    Bar("P20", "GPU: lnL per second", ">=", 1e8, "", "", "1/s"),
    Bar("P20", "GPU: lnL + gradient per second", ">=", 5e7, "", "", "1/s"),
)


def of(benchmark: str) -> dict[str, tuple[str, float]]:
    """Bars of one benchmark, key -> (sign, limit)."""
    return {bar.key: (bar.sign, bar.limit) for bar in BARS if bar.benchmark == benchmark}


def typical(value: Any) -> float | None:
    """The number that a bar judges: a value, or the median of a ratio (common.ratio)."""
    if isinstance(value, Mapping):
        value = value.get("median")
    return None if value is None else float(value)


def judged(benchmark: str, values: Mapping[str, Any]) -> dict[str, bool | None]:
    """Whether the bars of one benchmark are met, key -> yes, no or None."""
    return {bar.key: bar.is_met(typical(values.get(bar.key))) for bar in BARS if bar.benchmark == benchmark}
