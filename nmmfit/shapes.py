"""Array-shape aliases used in annotations; named axes are `energy`, `recoil`, `bin`, `flavour`, `operator`."""

from __future__ import annotations

from jaxtyping import Array, Complex, Float
from jaxtyping import ArrayLike as ArrayLike

Scalar = Float[Array, ""]
Points = Float[Array, "*points"]
Hermitian = Complex[Array, "*batch flavour flavour"]
CouplingMatrix = Complex[Array, "flavour final"]
