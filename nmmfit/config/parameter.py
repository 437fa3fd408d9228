"""A parameter of a run file: how much of which coefficients it is, and its prior."""

from __future__ import annotations

import cmath
import math
from typing import Annotated, Any

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from nmmfit.config.refusing import refusing
from nmmfit.eft import operators, smneft_operators
from nmmfit.errors import UserInputError
from nmmfit.models import (
    FREE,
    phase_prior,
    whole_circle,
)
from nmmfit.priors import PriorSpec, prior_schema
from nmmfit.validation import StrictModel, refuse


def _to_complex(given: Any) -> complex:
    """A coefficient as TOML writes it: a real number, or [re, im]."""
    parts = list(given) if isinstance(given, list | tuple) else [given]
    if isinstance(given, complex):
        parts = [given.real, given.imag]
    numbers = [part for part in parts if isinstance(part, int | float) and not isinstance(part, bool)]
    if len(numbers) != len(parts) or len(parts) not in (1, 2):
        raise refuse(f"expected a number or [re, im], got {given!r}")
    if not all(math.isfinite(number) for number in numbers):
        raise refuse(f"a coefficient must be finite, got {given!r}")
    return complex(*numbers)


_NUMBER = {"type": "number"}
Coefficient = Annotated[
    complex,
    BeforeValidator(_to_complex),
    PlainSerializer(lambda z: z.real if z.imag == 0.0 else [z.real, z.imag]),
    WithJsonSchema({"oneOf": [_NUMBER, {"type": "array", "prefixItems": [_NUMBER, _NUMBER], "minItems": 2, "maxItems": 2}]}),
]


def _phase(given: Any) -> Any:
    return whole_circle() if given == FREE else given


_PHASE_SCHEMA = WithJsonSchema(prior_schema((FREE,)))


class ParameterSpec(StrictModel):
    """One real parameter: how much of each coefficient one unit of it is, and its prior.

    Coefficients are named `<operator>_<flavours>` (`nmmfit list coefficients`), complex, in GeV^(4-dimension), at `scale_gev`.
    With a `phase` they are multiplied by e^{i phase}: the parameter is then a modulus, and `NAME_phase` a parameter of its own.
    """

    coefficients: Annotated[
        dict[str, Coefficient], Field(description="coefficient -> amount per unit of the parameter, real or [re, im]")
    ]
    prior: Annotated[PriorSpec, Field(description="prior of the parameter; one family, or a number to fix it")]
    phase: Annotated[
        PriorSpec | None,
        BeforeValidator(_phase),
        refusing(lambda given: given if given is None else phase_prior(given)),
        _PHASE_SCHEMA,
        Field(
            description="phase of all coefficients, radians: a number, a prior, or 'free' for the whole circle; makes NAME_phase"
        ),
    ] = None

    @model_validator(mode="after")
    def _modulus(self) -> ParameterSpec:
        if self.has_free_phase and self.prior.support[0] < 0.0:
            raise refuse(
                f"prior: with a free phase this is a modulus, whose prior must not reach below 0, got {self.prior} "
                "(half_normal, log_uniform, or uniform from 0)"
            )
        return self

    @field_validator("coefficients")
    @classmethod
    def _known_coefficients(cls, given: dict[str, complex]) -> dict[str, complex]:
        try:
            if smneft_operators.theory_of(given) == "smneft":
                smneft_operators.parse_all(given)
            else:
                operators.validate_all(given)
                operators.check_real(given)
        except UserInputError as problem:
            raise refuse(str(problem)) from None
        if not any(given.values()):
            raise refuse("a parameter needs at least one coefficient that is not zero")
        return given

    @property
    def has_free_phase(self) -> bool:
        """Whether the phase is a parameter of its own."""
        return self.phase is not None and not self.phase.is_fixed

    @property
    def weights(self) -> dict[str, complex]:
        """Coefficient -> amount per unit of the parameter, a fixed phase included."""
        turn = cmath.exp(1j * self.phase.numbers[0]) if self.phase is not None and self.phase.is_fixed else 1.0
        return {name: amount * turn for name, amount in self.coefficients.items()}

    @property
    def theory(self) -> str:
        """Theory that the coefficients belong to: "lneft" below m_W, "smneft" above."""
        return smneft_operators.theory_of(self.coefficients)

    @property
    def unit(self) -> str:
        """Unit of the parameter, such as "GeV^-2"; "mixed" where its coefficients have different units."""
        above = self.theory == "smneft"
        units = {(smneft_operators.parse(n) if above else operators.parse(n)).operator.unit for n in self.coefficients}
        return units.pop() if len(units) == 1 else "mixed"
