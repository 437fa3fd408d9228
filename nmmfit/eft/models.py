"""Models above the effective theory: from couplings and masses to coefficients at a scale and threshold moments.

A model is a plain function of couplings and masses that returns a `Matching`: the coefficients of tree-level matching in the
names of the low-energy theory (LNEFT, `nmmfit.eft.operators`) or of the one above m_W (SMNEFT: `LNQd_prst`, `LNQd3_prst`),
and the dipoles that one loop adds. It is differentiable in couplings and masses, and leading axes of its arguments batch.

Everything is at fixed order: a heavy field of mass M is integrated out at one loop where the dipole is concerned and at tree
level for the rest, and between M and `scale_gev` only the logarithm that tensors add to the dipole is kept. QCD and electroweak
running between M and m_W (from 1 TeV 3 % in tensors, 12 % of them as scalars, 20 % in scalars) is not included.

Lagrangians have the signs written here, fermion fields anticommute, D = d + i e Q A. `docs/theory/models.md` has the derivations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit import precision as precision
from nmmfit.checks import broadcasting
from nmmfit.constants import FERMI, bohr_magneton_per_gev, electron_charge
from nmmfit.eft.operators import FERMION_NAMES, GENERATIONS
from nmmfit.eft.running import MIXING
from nmmfit.eft.theories import inverse_alpha, quark_mass
from nmmfit.errors import UserInputError, unknown
from nmmfit.inputs import StandardModelInputs
from nmmfit.shapes import Array, ArrayLike

PREFACTORS = ("derived", "printed")
LEPTONS = FERMION_NAMES["e"]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Matching:
    """What a model leaves behind at a scale."""

    scale_gev: Array
    """Where the coefficients live, GeV."""
    tree: dict[str, Array]
    """Four-fermion coefficients of tree-level matching, name -> complex, GeV^-2."""
    threshold: dict[str, Array]
    """Dipoles `nuNgamma_pr` at the scale from one loop, GeV^-1: threshold and logarithm, not what runs on below the scale."""
    theory: str = field(metadata={"static": True})
    """"LNEFT" or "SMNEFT": the names in `tree`. Dipoles are those of the broken phase in both."""

    @property
    def coefficients(self) -> dict[str, Array]:
        """Both together; for LNEFT what `nmmfit.evolve` takes, at `scale_gev`."""
        return self.tree | self.threshold


Model = Callable[..., Matching]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class LoopDipole:
    """The whole one-loop dipole at zero momentum transfer, by diagram, L_gamma in GeV^-1 (complex if couplings are)."""

    fermion_emits: Array
    """Diagram (i): the photon couples to the charged fermion."""
    boson_emits: Array
    """Diagram (ii): the photon couples to the heavy boson."""

    @property
    def total(self) -> Array:
        """Sum of both."""
        return self.fermion_emits + self.boson_emits

    @property
    def moment_mub(self) -> Array:
        """|mu| = 2 |L_gamma| in mu_B."""
        return 2.0 * jnp.abs(self.total) / bohr_magneton_per_gev()


def fermion_loop(x: ArrayLike) -> Array:
    """int_0^1 dz (1 - z)^2 / (z + (1 - z) x): a scalar and a fermion of mass ratio squared x in the loop, the fermion radiates.

    Args:
        x: m_f^2 / m_scalar^2, > 0, any shape.
    Returns: -ln x - 3/2 for small x, 1/3 at x = 1. DERIVED.
    """
    x = jnp.asarray(x, dtype=float)
    near = jnp.abs(1.0 - x) < _NEAR
    safe = jnp.where(near, 0.5, x)
    exact = -(3.0 - 4.0 * safe + safe**2 + 2.0 * jnp.log(safe)) / (2.0 * (1.0 - safe) ** 3)
    return jnp.where(near, _series(jnp.where(near, 1.0 - x, 0.0), _FERMION_SERIES), exact)


def boson_loop(x: ArrayLike) -> Array:
    """int_0^1 dz z (1 - z) / (1 - z + z x): the same loop, the scalar radiates.

    Args:
        x: m_f^2 / m_scalar^2, > 0, any shape.
    Returns: 1/2 for small x, 1/6 at x = 1. DERIVED.
    """
    x = jnp.asarray(x, dtype=float)
    near = jnp.abs(1.0 - x) < _NEAR
    safe = jnp.where(near, 0.5, x)
    exact = (1.0 - safe**2 + 2.0 * safe * jnp.log(safe)) / (2.0 * (1.0 - safe) ** 3)
    return jnp.where(near, _series(jnp.where(near, 1.0 - x, 0.0), _BOSON_SERIES), exact)


# Around x = 1, where the closed forms are 0/0: powers of 1 - x; the rest is below 1e-15.
_NEAR = 0.2
_ORDERS = np.arange(24)
_FERMION_SERIES = 1.0 / (_ORDERS + 3.0)
_BOSON_SERIES = 1.0 / ((_ORDERS + 2.0) * (_ORDERS + 3.0))


def _series(delta: Array, coefficients: np.ndarray) -> Array:
    return jnp.polyval(jnp.asarray(coefficients[::-1].copy()), delta)


def charged_scalar_dipole(
    y_c: ArrayLike,
    y_s: ArrayLike,
    m_phi_gev: ArrayLike,
    lepton: str = "tau",
    inputs: StandardModelInputs | None = None,
    prefactor: str = "derived",
) -> LoopDipole:
    """The whole one-loop dipole of the charged scalar of arXiv:1901.00482, eqs. (17)-(22), for any mass.

    L = y_c nubar_L phi^+ l_R + y_s lbar_L phi^- N_R + h.c. gives L_gamma = e m y_c y_s / (32 pi^2 m_phi^2) (F + B), where F and B
    are `fermion_loop` and `boson_loop` of m^2 / m_phi^2, so that for a heavy scalar

        |mu| = e m |y_c y_s| / (16 pi^2 m_phi^2) |1 + ln(m^2 / m_phi^2)|.

    DERIVED. Eqs. (20)-(22) as printed have 1/64 pi^2, 1/64 pi^2, 1/32 pi^2: half of it (SEEN), against that paper's own eq. (11)
    and against the running.

    Args:
        y_c, y_s: Yukawa couplings, complex or real, any shape.
        m_phi_gev: mass of the scalar, GeV, > 0.
        lepton: e, mu or tau.
        inputs: lepton masses; the defaults if absent.
        prefactor: "derived", or "printed" for the letter's factor of one half.
    Raises: UserInputError for an unknown lepton or prefactor, couplings that are not finite, a mass <= 0 or not finite.
    """
    _check_couplings("charged_scalar", y_c=y_c, y_s=y_s)
    _check_masses("charged_scalar", m_phi_gev=m_phi_gev)
    broadcasting({"y_c": y_c, "y_s": y_s, "m_phi_gev": m_phi_gev}, "charged_scalar")
    if prefactor not in PREFACTORS:
        raise unknown("prefactor", prefactor, PREFACTORS, "charged_scalar")
    m = _lepton_mass("charged_scalar", lepton, inputs)
    m_phi = jnp.asarray(m_phi_gev, dtype=float)
    size = electron_charge() * m * jnp.asarray(y_c) * jnp.asarray(y_s) / (32.0 * jnp.pi**2 * m_phi**2)
    size = size * (0.5 if prefactor == "printed" else 1.0)
    x = (m / m_phi) ** 2
    return LoopDipole(size * fermion_loop(x), size * boson_loop(x))


def charged_scalar(
    y_c: ArrayLike,
    y_s: ArrayLike,
    m_phi_gev: ArrayLike,
    scale_gev: ArrayLike | None = None,
    lepton: str = "tau",
    neutrinos: tuple[int, int] = (1, 1),
    inputs: StandardModelInputs | None = None,
) -> Matching:
    """A charged scalar coupled to both chiralities: L = y_c nubar_L phi^+ l_R + y_s lbar_L phi^- N_R + h.c.

    L^{S,RR} = -y_c y_s / 2 m_phi^2 and L^{T,RR} = -y_c y_s / 8 m_phi^2 after Fierz (arXiv:1901.00482, eqs. (18)-(19); SEEN and
    DERIVED), and the dipole e m_l y_c y_s / (32 pi^2 m_phi^2) [-1 - ln(scale^2 / m_phi^2)] at the scale (DERIVED; m_l << m_phi).

    Args:
        y_c, y_s: Yukawa couplings, any shape.
        m_phi_gev: GeV, > 0.
        scale_gev: GeV, > 0, at most m_phi; m_W if absent.
        lepton: e, mu or tau.
        neutrinos: generations of nu and N.
        inputs: masses, m_W and alpha; the defaults if absent.
    Returns: LNEFT coefficients `SnuNeRR`, `TnuNeRR` and `nuNgamma`.
    Raises: UserInputError for anything out of range.
    """
    where = "charged_scalar"
    inputs = StandardModelInputs() if inputs is None else inputs
    scale = inputs.m_w_gev if scale_gev is None else scale_gev
    _check_couplings(where, y_c=y_c, y_s=y_s)
    _check_masses(where, m_phi_gev=m_phi_gev, scale_gev=scale)
    broadcasting({"y_c": y_c, "y_s": y_s, "m_phi_gev": m_phi_gev, "scale_gev": scale}, where)
    _check_threshold(where, "m_phi_gev", m_phi_gev, scale)
    m = _lepton_mass(where, lepton, inputs)
    p, r = _neutrinos(where, neutrinos)
    k = LEPTONS.index(lepton) + 1
    m_phi = jnp.asarray(m_phi_gev, dtype=float)
    product = jnp.asarray(y_c, dtype=complex) * jnp.asarray(y_s, dtype=complex) / m_phi**2
    tensor = -product / 8.0
    return Matching(
        scale_gev=jnp.asarray(scale, dtype=float),
        tree={f"SnuNeRR_{p}{r}{k}{k}": -product / 2.0, f"TnuNeRR_{p}{r}{k}{k}": tensor},
        threshold={f"nuNgamma_{p}{r}": _scalar_threshold(lepton, m, tensor, m_phi, scale, inputs)},
        theory="LNEFT",
    )


def left_right(
    mixing: ArrayLike,
    m_w2_gev: ArrayLike,
    scale_gev: ArrayLike | None = None,
    lepton: str = "tau",
    inputs: StandardModelInputs | None = None,
) -> Matching:
    """Mixing of W_L and W_R with equal gauge couplings: W_L = cos W_1 - sin W_2, W_R = sin W_1 + cos W_2, Dirac neutrinos.

    L = g / sqrt(2) (nubar_L gamma l_L W_L + Nbar_R gamma l_R W_R) + h.c. of one generation. After Fierz

        L^{S,RL} = 2 sqrt(2) G_F sin(2 mixing) (1 - m_W1^2 / m_W2^2)    [DERIVED, leading order in the mixing for G_F],
        L_gamma  = e m_l L^{S,RL} / 16 pi^2,

    that is mu = e G_F m_l sin(2 mixing) (1 - m_W1^2 / m_W2^2) / (2 sqrt(2) pi^2): MEMORY of Shrock, Nucl. Phys. B206 (1982) 359,
    not read; size and sign DERIVED from the loops with m_l << m_W1. There is no logarithm: scalars do not mix into the dipole.

    Args:
        mixing: angle, radians, any shape.
        m_w2_gev: mass of the heavier W, GeV, >= m_W.
        scale_gev: GeV, at most m_W, which is the mass of the lighter W; m_W if absent.
        lepton: e, mu or tau; neutrinos are of the same generation.
        inputs: masses and alpha; the defaults if absent.
    Returns: LNEFT coefficients `SnuNeRL` and `nuNgamma`.
    Raises: UserInputError for anything out of range.
    """
    where = "left_right"
    inputs = StandardModelInputs() if inputs is None else inputs
    scale = inputs.m_w_gev if scale_gev is None else scale_gev
    _concrete(where, "mixing", mixing, "float64")
    _check_couplings(where, mixing=mixing)
    _check_masses(where, m_w2_gev=m_w2_gev, scale_gev=scale)
    broadcasting({"mixing": mixing, "m_w2_gev": m_w2_gev, "scale_gev": scale}, where)
    _check_threshold(where, "m_w_gev", inputs.m_w_gev, scale)
    _check_threshold(where, "m_w2_gev", m_w2_gev, inputs.m_w_gev, "m_W, the mass of the lighter W,")
    m = _lepton_mass(where, lepton, inputs)
    k = LEPTONS.index(lepton) + 1
    m_w2 = jnp.asarray(m_w2_gev, dtype=float)
    angle = jnp.sin(2.0 * jnp.asarray(mixing, dtype=float))
    scalar = 2.0 * math.sqrt(2.0) * FERMI.value * angle * (1.0 - (inputs.m_w_gev / m_w2) ** 2) + 0.0j
    dipole = _charge_at(scale, inputs) * m * scalar / (16.0 * jnp.pi**2)
    return Matching(
        scale_gev=jnp.asarray(scale, dtype=float),
        tree={f"SnuNeRL_{k}{k}{k}{k}": scalar},
        threshold={f"nuNgamma_{k}{k}": dipole},
        theory="LNEFT",
    )


def leptoquark_s1(
    y_left: ArrayLike,
    y_right: ArrayLike,
    mass_gev: ArrayLike,
    scale_gev: ArrayLike | None = None,
    inputs: StandardModelInputs | None = None,
) -> Matching:
    """The scalar leptoquark S_1 ~ (3bar, 1, 1/3): L = y_left^ij (Qbar^c_i eps L_j) S_1 + y_right^ij (dbar^c_i N_j) S_1 + h.c.

    At tree level, with eps_12 = +1 and d_L mass eigenstates (DERIVED):

        C_LNQd^prst = conj(y_left^sp) y_right^tr / 2 M^2,    C_LNQd3^prst = -conj(y_left^sp) y_right^tr / 8 M^2.

    Products of two y_left or two y_right give vector operators, which are not returned.

    Args:
        y_left, y_right: Yukawa couplings, complex, shape (..., 3, 3), generations of quark and lepton; Lagrangian as above.
        mass_gev: GeV, > 0, shape (...).
        scale_gev: one number, GeV, from m_W to the mass; m_W if absent.
        inputs: quark masses, m_W and alpha; the defaults if absent.
    Returns: SMNEFT coefficients and the dipoles of the broken phase; `to_lneft` gives LNEFT names.
    Raises: UserInputError for anything out of range.
    """
    left, right, mass, scale, inputs = _leptoquark("leptoquark_s1", y_left, y_right, mass_gev, scale_gev, inputs)
    product = jnp.einsum("...sp,...tr->...prst", jnp.conj(left), right) / mass[..., None, None, None, None] ** 2
    return _leptoquark_matching(product / 2.0, -product / 8.0, mass, scale, inputs)


def leptoquark_r2_tilde(
    y_left: ArrayLike,
    y_right: ArrayLike,
    mass_gev: ArrayLike,
    scale_gev: ArrayLike | None = None,
    inputs: StandardModelInputs | None = None,
) -> Matching:
    """The scalar leptoquark R~_2 ~ (3, 2, 1/6): L = -y_left^ij (dbar_i R^a eps_ab L^b_j) + y_right^ij (Qbar^a_i R^a N_j) + h.c.

    At tree level C_LdQN = conj(y_left^tp) y_right^sr / M^2 of (Lbar^j d) eps_jk (Qbar^k N), eps_12 = +1; after Fierz (DERIVED)

        C_LNQd^prst = -conj(y_left^tp) y_right^sr / 2 M^2,    C_LNQd3^prst = -conj(y_left^tp) y_right^sr / 8 M^2.

    Arguments, returns and errors as in `leptoquark_s1`.
    """
    left, right, mass, scale, inputs = _leptoquark("leptoquark_r2_tilde", y_left, y_right, mass_gev, scale_gev, inputs)
    product = jnp.einsum("...tp,...sr->...prst", jnp.conj(left), right) / mass[..., None, None, None, None] ** 2
    return _leptoquark_matching(-product / 2.0, -product / 8.0, mass, scale, inputs)


MODELS: Mapping[str, Model] = MappingProxyType(
    {
        "charged_scalar": charged_scalar,
        "left_right": left_right,
        "leptoquark_s1": leptoquark_s1,
        "leptoquark_r2_tilde": leptoquark_r2_tilde,
    }
)
"""The models built in; any function that returns a `Matching` is one."""

# Tree matching at m_W (DERIVED; cf. arXiv:2004.13869, arXiv:2005.01543): what a coefficient above becomes below.
_LNEFT_OF: Mapping[str, str] = MappingProxyType({"LNQd": "SnuNdRR", "LNQd3": "TnuNdRR"})


def to_lneft(found: Matching, inputs: StandardModelInputs | None = None) -> Matching:
    """A matching with SMNEFT names, at m_W, in those of LNEFT, by tree-level matching.

    L^{S,RR}_{nuNd} = C_LNQd and L^{T,RR}_{nuNd} = C_LNQd3, d_L mass eigenstates; charged-current parts are dropped.

    Args:
        found: from a model asked at m_W; one in LNEFT names comes back as it is.
        inputs: m_W; the default if absent.
    Raises: UserInputError for a scale other than m_W, and for a coefficient that no model here makes.
    """
    if found.theory == "LNEFT":
        return found
    m_w = (StandardModelInputs() if inputs is None else inputs).m_w_gev
    at, match_at = (
        _concrete("to_lneft", "scale_gev", found.scale_gev, "float64"),
        _concrete("to_lneft", "m_w_gev", m_w, "float64"),
    )
    if at is not None and match_at is not None and not np.allclose(at, match_at, rtol=1e-9, atol=0.0):
        raise UserInputError(
            f"to_lneft: coefficients at {float(at):g} GeV; the theories meet at m_W = {float(match_at):g} GeV: "
            "ask the model for that scale"
        )
    tree = {}
    for name, value in found.tree.items():
        operator, _, digits = name.partition("_")
        if operator not in _LNEFT_OF:
            raise unknown("operator", operator, _LNEFT_OF, f"coefficient {name!r}")
        tree[f"{_LNEFT_OF[operator]}_{digits}"] = value
    return Matching(found.scale_gev, tree, found.threshold, "LNEFT")


def _leptoquark(
    where: str,
    y_left: ArrayLike,
    y_right: ArrayLike,
    mass_gev: ArrayLike,
    scale_gev: ArrayLike | None,
    inputs: StandardModelInputs | None,
) -> tuple[Array, Array, Array, Array, StandardModelInputs]:
    """Checked arguments as arrays."""
    inputs = StandardModelInputs() if inputs is None else inputs
    scale = inputs.m_w_gev if scale_gev is None else scale_gev
    for name, value in (("y_left", y_left), ("y_right", y_right)):
        if np.shape(value)[-2:] != (3, 3):
            raise UserInputError(f"{where}: {name}: expected shape (..., 3, 3), quark and lepton, got {np.shape(value)}")
    if np.shape(scale) != ():
        raise UserInputError(f"{where}: scale_gev: expected one number, got shape {np.shape(scale)}")
    _check_couplings(where, y_left=y_left, y_right=y_right)
    _check_masses(where, mass_gev=mass_gev, scale_gev=scale)
    batches = {"y_left": jnp.zeros(np.shape(y_left)[:-2]), "y_right": jnp.zeros(np.shape(y_right)[:-2]), "mass_gev": mass_gev}
    broadcasting(batches, where)
    _check_threshold(where, "mass_gev", mass_gev, scale)
    _check_threshold(where, "scale_gev", scale, inputs.m_w_gev, "m_W,", "names are those of the theory above m_W")
    left, right = (jnp.asarray(y, dtype=complex) for y in (y_left, y_right))
    return left, right, jnp.asarray(mass_gev, dtype=float), jnp.asarray(scale, dtype=float), inputs


def _leptoquark_matching(scalar: Array, tensor: Array, mass: Array, scale: Array, inputs: StandardModelInputs) -> Matching:
    """Named coefficients from arrays (..., p, r, s, t), and the dipoles: the sum over quarks in the loop, s = t."""
    tree, threshold = {}, {}
    at = jnp.minimum(scale, inputs.m_w_gev)
    masses = {q: quark_mass(q, at, inputs) for q in FERMION_NAMES["d"]}
    for p in GENERATIONS["nu"]:
        for r in GENERATIONS["N"]:
            total = jnp.zeros(())
            for s in (1, 2, 3):
                for t in (1, 2, 3):
                    tree[f"LNQd_{p}{r}{s}{t}"] = scalar[..., p - 1, r - 1, s - 1, t - 1]
                    tree[f"LNQd3_{p}{r}{s}{t}"] = tensor[..., p - 1, r - 1, s - 1, t - 1]
                quark = FERMION_NAMES["d"][s - 1]
                one = tensor[..., p - 1, r - 1, s - 1, s - 1]
                total = total + _scalar_threshold(quark, masses[quark], one, mass, scale, inputs)
            threshold[f"nuNgamma_{p}{r}"] = total
    return Matching(scale, tree, threshold, "SMNEFT")


def _scalar_threshold(
    fermion: str, mass: ArrayLike, tensor: Array, heavy: Array, scale: ArrayLike, inputs: StandardModelInputs
) -> Array:
    """Dipole at a scale from a heavy scalar and a fermion in the loop, per its own tensor coefficient, GeV^-1.

    -e N_c Q m L^T / (4 pi^2) [1 + ln(scale^2 / M^2)]: the whole loop (`fermion_loop` + `boson_loop` = -ln x - 1) less what the
    tensor gives between scale and m. It holds whatever the charge of the scalar, which is fixed by the neutrino being neutral.
    """
    log = 1.0 + 2.0 * jnp.log(jnp.asarray(scale, dtype=float) / heavy)
    return 0.5 * MIXING[fermion] * _charge_at(scale, inputs) * mass * tensor * log


def _charge_at(scale: ArrayLike, inputs: StandardModelInputs) -> Array:
    """e at the scale, or at m_W if that is lower."""
    at = jnp.minimum(jnp.asarray(scale, dtype=float), inputs.m_w_gev)
    return jnp.sqrt(4.0 * jnp.pi / inverse_alpha(at, inputs))


def _lepton_mass(where: str, lepton: str, inputs: StandardModelInputs | None) -> Array:
    if lepton not in LEPTONS:
        raise unknown("charged lepton", lepton, LEPTONS, where)
    return jnp.asarray(getattr(StandardModelInputs() if inputs is None else inputs, f"m_{lepton}_gev"), dtype=float)


def _neutrinos(where: str, given: tuple[int, int]) -> tuple[int, int]:
    if not isinstance(given, tuple | list) or len(given) != 2 or any(k not in GENERATIONS["nu"] for k in given):
        raise UserInputError(f"{where}: neutrinos: expected two generations from 1 to 3, such as (1, 1), got {given!r}")
    p, r = given
    return p, r


def _concrete(where: str, name: str, value: ArrayLike, kind: str) -> np.ndarray | None:
    """The value as numbers, None while it is being traced. Raises: UserInputError for what is no number."""
    if isinstance(value, jax.core.Tracer):
        return None
    try:
        return np.asarray(value, dtype=kind)
    except (TypeError, ValueError):
        raise UserInputError(f"{where}: {name}: expected numbers, got {value!r}") from None


def _check_couplings(where: str, **couplings: ArrayLike) -> None:
    for name, value in couplings.items():
        numbers = _concrete(where, name, value, "complex128")
        if numbers is not None and not np.all(np.isfinite(numbers)):
            raise UserInputError(f"{where}: {name}: expected finite couplings, got {numbers[~np.isfinite(numbers)].flat[0]}")


def _check_masses(where: str, **masses: ArrayLike) -> None:
    for name, value in masses.items():
        numbers = _concrete(where, name, value, "float64")
        if numbers is None:
            continue
        wrong = ~(np.isfinite(numbers) & (numbers > 0.0))
        if np.any(wrong):
            raise UserInputError(f"{where}: {name}: expected finite and above 0 GeV, got {numbers[wrong].flat[0]:g}")


def _check_threshold(
    where: str,
    name: str,
    mass: ArrayLike,
    scale: ArrayLike,
    meaning: str = "the scale asked for,",
    reason: str = "it is not integrated out there",
) -> None:
    """Refuse a heavy mass below the scale; what is being traced is not looked at."""
    heavy, low = _concrete(where, name, mass, "float64"), _concrete(where, "scale_gev", scale, "float64")
    if heavy is None or low is None:
        return
    below = heavy < low
    if np.any(below):
        shown, limit = np.broadcast_to(heavy, below.shape)[below].flat[0], np.broadcast_to(low, below.shape)[below].flat[0]
        raise UserInputError(f"{where}: {name} = {shown:g} GeV is below {meaning} {limit:g} GeV: {reason}")
