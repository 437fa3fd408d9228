"""What a run file may say about a model: names, parameters, options and ranges of the models built in. No JAX.

The physics is in `nmmfit.eft.models` and `nmmfit.physics.dipole_matrix`; docs/theory/models.md and moments.md describe it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from types import MappingProxyType

from nmmfit.errors import UserInputError, unknown
from nmmfit.priors import PriorSpec

CIRCLE = 2.0 * math.pi
"""Period of a phase, radians."""
NEARLY_A_CIRCLE = 1e-3
"""A uniform prior whose range is a period up to this fraction is taken for the whole circle: 6.283 is meant as 2 pi."""
FREE = "free"
"""What a run file writes for a phase that may have any value: a uniform prior on the whole circle."""


@dataclass(frozen=True)
class ModelParameter:
    """One parameter of a model.

    `kind`: "coupling" (any real number), "mass" (GeV, bounded by the scale of matching), "angle" (radians), "phase" (radians,
    with a `period`), "squared_sine" (0 to 1). One that is not `required` is 0 when left out, or what `left_out` says.
    """

    name: str
    meaning: str
    kind: str = "coupling"
    unit: str = "1"
    required: bool = False
    left_out: str = "0"

    @property
    def period(self) -> float | None:
        """Period of a phase; None for everything else. Majorana phases enter through half of them."""
        if self.kind != "phase":
            return None
        return 2.0 * CIRCLE if self.name in ("alpha1", "alpha2") else CIRCLE


@dataclass(frozen=True)
class ModelOption:
    """A named choice of a model: what is allowed, the default first. Pairs of generations have no list."""

    meaning: str
    allowed: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelDescription:
    """A model as a run file knows it.

    Attributes:
        theory: "lneft" (matched below m_W at a scale of choice), "smneft" (runs from its mass to m_W), or "moments" (dipoles at
            zero momentum transfer).
        parameters: all that it may take.
        options: its choices.
        signs: sets of parameters whose common sign may be free; whether it is, is found out for each run.
        vanishing: sets of parameters; where all of one set are 0 the model does nothing.
    """

    name: str
    summary: str
    theory: str
    parameters: tuple[ModelParameter, ...]
    options: Mapping[str, ModelOption] = field(default_factory=dict)
    signs: tuple[tuple[str, ...], ...] = ()
    vanishing: tuple[tuple[str, ...], ...] = ()


_DIGITS = ("1", "2", "3")
_PAIRS = tuple(a + b for a, b in product(_DIGITS, _DIGITS))
_LEPTON = ModelOption("charged lepton in the loop", ("tau", "mu", "e"))


def _leptoquark(name: str, charges: str) -> ModelDescription:
    couplings = [
        ModelParameter(f"y_{side}_{pair}", f"coupling of quark {pair[0]} to {what} {pair[1]}")
        for side, what in (("left", "lepton doublet"), ("right", "N"))
        for pair in _PAIRS
    ]
    phases = [ModelParameter(f"{c.name}_phase", f"phase of {c.name}", "phase", "rad") for c in couplings]
    left, right = (tuple(c.name for c in couplings if c.name.startswith(f"y_{side}")) for side in ("left", "right"))
    return ModelDescription(
        name,
        f"scalar leptoquark {charges}, from its mass to m_W by the theory above m_W",
        "smneft",
        (*couplings, *phases, ModelParameter("mass_gev", "mass", "mass", "GeV", required=True)),
        signs=(left, *(tuple(c for c in right if c.endswith(r)) for r in _DIGITS)),
        vanishing=(left, right),
    )


def _dipole_matrix() -> ModelDescription:
    entries = [
        ModelParameter(f"mu_{pair}", f"size of the moment of neutrinos {pair[0]} and {pair[1]}", unit="mu_B") for pair in _PAIRS
    ]
    phases = [ModelParameter(f"{e.name}_phase", f"phase of {e.name}", "phase", "rad") for e in entries]
    preset = "that of the mixing preset capozzi2025"
    mixing = [ModelParameter(n, f"sin^2 theta_{n[1:3]}", "squared_sine", left_out=preset) for n in ("s12sq", "s13sq", "s23sq")]
    mixing += [ModelParameter("delta_cp", "CP phase of the mixing matrix", "phase", "rad", left_out=preset)]
    mixing += [ModelParameter(f"alpha{k}", "Majorana phase of the mixing matrix", "phase", "rad") for k in (1, 2)]
    names = tuple(e.name for e in entries)
    return ModelDescription(
        "dipole_matrix",
        "matrix of moments at zero momentum transfer, between mass states or flavours",
        "moments",
        (*entries, *phases, *mixing),
        {
            "kind": ModelOption("Dirac (nine entries) or Majorana (mu_12, mu_13, mu_23)", ("dirac", "majorana")),
            "basis": ModelOption("what the digits are: mass states or flavours", ("mass", "flavour")),
        },
        # Columns are final states of Dirac neutrinos; Majorana neutrinos have one common sign.
        signs=(*(tuple(n for n in names if n.endswith(r)) for r in _DIGITS), names),
        vanishing=(names,),
    )


MODELS: Mapping[str, ModelDescription] = MappingProxyType(
    {
        m.name: m
        for m in (
            ModelDescription(
                "charged_scalar",
                "L = y_c nubar_L phi^+ l_R + y_s lbar_L phi^- N_R + h.c. (arXiv:1901.00482), in the theory below m_W",
                "lneft",
                (
                    ModelParameter("y_c", "coupling to nu_L and l_R", required=True),
                    ModelParameter("y_s", "coupling to l_L and N_R", required=True),
                    ModelParameter("phase", "phase of y_c y_s", "phase", "rad"),
                    ModelParameter("m_phi_gev", "mass of the scalar", "mass", "GeV", required=True),
                ),
                {"lepton": _LEPTON, "neutrinos": ModelOption("generations of nu and N, [1, 1] if left out")},
                signs=(("y_c",), ("y_s",)),
                vanishing=(("y_c",), ("y_s",)),
            ),
            ModelDescription(
                "left_right",
                "mixing of W_L and W_R with equal gauge couplings, in the theory below m_W",
                "lneft",
                (
                    ModelParameter("mixing", "mixing angle", "angle", "rad", required=True),
                    ModelParameter("m_w2_gev", "mass of the heavier W", "mass", "GeV", required=True),
                ),
                {"lepton": _LEPTON},
                signs=(("mixing",),),
                vanishing=(("mixing",),),
            ),
            _leptoquark("leptoquark_s1", "S_1 ~ (3bar, 1, 1/3)"),
            _leptoquark("leptoquark_r2_tilde", "R~_2 ~ (3, 2, 1/6)"),
            _dipole_matrix(),
        )
    }
)
"""The models that a run file may name."""


def allowed_parameters(model: ModelDescription, kind: str | None, basis: str | None) -> dict[str, ModelParameter]:
    """Parameters of a model by name, those that its options leave."""
    found = {p.name: p for p in model.parameters}
    if model.name != "dipole_matrix":
        return found
    dropped = set()
    if kind == "majorana":
        kept = ("12", "13", "23")
        dropped |= {n for n in found if n.startswith("mu_") and n[3:5] not in kept}
    else:
        dropped |= {"alpha1", "alpha2"}
    if basis == "flavour":
        dropped |= {"s12sq", "s13sq", "s23sq", "delta_cp", "alpha1", "alpha2"}
    return {n: p for n, p in found.items() if n not in dropped}


def is_phase(name: str) -> bool:
    """Whether a parameter of some model of this name is a phase."""
    return any(p.name == name and p.kind == "phase" for m in MODELS.values() for p in m.parameters)


def model_named(name: str) -> ModelDescription:
    """A model. Raises: UserInputError with the nearest match for a name that does not exist."""
    if name not in MODELS:
        raise unknown("model", name, MODELS)
    return MODELS[name]


def phase_prior(given: PriorSpec, period: float = CIRCLE) -> PriorSpec:
    """The prior of a phase, one that covers the whole circle to `NEARLY_A_CIRCLE` covering it exactly.

    Raises: UserInputError for a range longer than the circle.
    """
    if given.family != "uniform":
        return given
    low, high = given.numbers
    if abs(high - low - period) <= NEARLY_A_CIRCLE * period:
        return whole_circle(low, period)
    if high - low > period:
        raise UserInputError(
            f"a phase has the period {period:g}; uniform = [{low:g}, {high:g}] is longer (whole circle: '{FREE}')"
        )
    return given


def whole_circle(low: float = 0.0, period: float = CIRCLE) -> PriorSpec:
    """Uniform prior of a phase that may have any value."""
    return PriorSpec.model_validate({"uniform": [low, low + period]})


def covers_circle(prior: PriorSpec, period: float = CIRCLE) -> bool:
    """Whether a prior is the uniform one on a whole circle."""
    if prior.family != "uniform":
        return False
    low, high = prior.numbers
    return math.isclose(high - low, period, rel_tol=1e-12)
