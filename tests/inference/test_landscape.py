"""Ridges, mirror images and modes, against closed forms and made-up chains."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import norm

from nmmfit.inference.landscape import landscape, valleys
from nmmfit.inference.result import SampleResult

CHAINS, DRAWS = 4, 1000


def result_of(joint, draws: dict[str, np.ndarray], signs: dict[str, np.ndarray] | None = None) -> SampleResult:
    """Draws of a joint likelihood, (chain, draw); what is not given is standard normal around its start."""
    rng = np.random.default_rng(8)
    made = {p.name: np.asarray(draws.get(p.name, p.start + p.scale * rng.normal(size=(CHAINS, DRAWS)))) for p in joint.parameters}
    signs = signs or {}
    identified = joint.identified_values({n: jnp.asarray(v) for n, v in made.items()})
    return SampleResult(
        draws=made,
        folded={n: np.abs(made[n]) for n in ("L_dipole", "L_T_u", "L_T_d", "L_T_s")},
        identified={n: np.asarray(v) for n, v in identified.items()},
        identified_units={q.name: q.unit for q in joint.identified},
        sample_stats={},
        seed=0,
        chains=CHAINS,
        warmup=0,
        draws_per_chain=DRAWS,
        wall_s=0.0,
        warmup_s=0.0,
        signs=signs,
    )


def mixture(share: float, left: tuple[float, float], right: tuple[float, float], n: int = 4000) -> np.ndarray:
    """Draws of two normals, in random order, (chain, draw)."""
    rng = np.random.default_rng(4)
    first = rng.random(n) < share
    return np.where(first, rng.normal(*left, size=n), rng.normal(*right, size=n)).reshape(4, -1)


@pytest.mark.parametrize(
    ("share", "left", "right"), [(0.5, (-3, 1), (3, 1)), (0.2, (0, 0.5), (5, 1.5)), (0.7, (-1, 0.2), (1, 0.3))]
)
def test_valley_of_two_normals_is_where_their_density_is_least(share, left, right):
    def density(x):
        return share * norm.pdf(x, *left) + (1 - share) * norm.pdf(x, *right)

    true = minimize_scalar(density, bounds=(left[0], right[0]), method="bounded").x
    found = valleys(mixture(share, left, right))
    assert len(found) == 1
    # Where the density is small it is flat: a point of nearly the least density is as good.
    assert density(found[0]) < 2.0 * density(true) + 0.02 * density(right[0])
    draws = mixture(share, left, right)
    assert np.mean(draws < found[0]) == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize(
    "draws",
    [
        np.random.default_rng(0).normal(size=(4, 1000)),
        np.abs(np.random.default_rng(1).normal(size=(4, 1000))),
        np.random.default_rng(2).exponential(size=(4, 1000)),
        np.random.default_rng(3).uniform(-1, 1, size=(4, 1000)),
        np.random.default_rng(5).standard_t(3, size=(4, 1000)),
        # two normals closer than that have one hump, or a valley that is too shallow
        mixture(0.5, (-1, 1), (1, 1)),
        mixture(0.5, (-1.2, 1), (1.2, 1)),
        np.zeros((4, 1000)),
        np.full((4, 1000), np.nan),
        np.ones((1, 3)),
    ],
    ids=["normal", "half normal", "exponential", "uniform", "student", "one hump", "shallow", "constant", "nan", "few"],
)
def test_one_mode(draws):
    assert valleys(draws) == ()


@pytest.mark.parametrize("seed", range(20))
def test_noise_makes_no_modes(seed):
    rng = np.random.default_rng(seed)
    assert valleys(rng.normal(size=(2, 200))) == ()
    assert valleys(np.abs(rng.normal(size=(2, 200)))) == ()


def test_three_modes():
    rng = np.random.default_rng(6)
    found = valleys(rng.choice([-5.0, 0.0, 8.0], size=(4, 1000)) + rng.normal(size=(4, 1000)))
    assert len(found) == 2
    assert -4.0 < found[0] < -1.5
    assert 2.5 < found[1] < 6.0


def test_modes_and_who_went_between(joint):
    """Two chains in either mode of c_T, one that crosses once, one that crosses at every step."""
    rng = np.random.default_rng(1)
    centre = np.stack(
        [np.full(DRAWS, -4.0), np.full(DRAWS, -2.0), np.repeat([-4.0, -2.0], DRAWS // 2), np.tile([-4.0, -2.0], DRAWS // 2)]
    )
    found = landscape(joint, result_of(joint, {"theory.c_T": centre + 0.1 * rng.normal(size=centre.shape)}))
    (modes,) = (m for m in found.modes if m.name == "theory.c_T")
    assert modes.shares == (0.5, 0.5)
    assert (modes.crossings, modes.in_all, modes.chains) == (1 + DRAWS - 1, 2, CHAINS)
    assert not modes.mixed
    assert "2 of 4 chains saw both, 1000 crossings" in str(modes)
    assert "not to be trusted" in str(modes)


@pytest.mark.parametrize("apart", [False, True])
def test_mirror_images(joint, apart):
    rng = np.random.default_rng(2)
    size = np.abs(rng.normal(5.0 if apart else 0.0, 1.0, size=(CHAINS, DRAWS)))
    sign = np.ones((CHAINS, DRAWS), dtype=int)
    sign[1] = -1
    sign[2, 300:] = -1
    sign[3, ::2] = -1
    names = ("L_dipole", "L_T_u", "L_T_d", "L_T_s")
    found = landscape(joint, result_of(joint, dict.fromkeys(names, size * sign), dict.fromkeys(names, sign)))
    (mirror,) = (m for m in found.modes if m.mirror)
    assert mirror.apart == apart
    assert (mirror.crossings, mirror.in_all) == (1 + DRAWS - 1, 2)
    assert mirror.shares[1] == pytest.approx(np.mean(sign > 0))
    assert ("two modes" in str(mirror)) == apart
    assert "exact" in str(mirror)


@pytest.mark.parametrize("width", [0.01, 0.5])
def test_ridge_that_is_bent(joint, width):
    """d = L + (0.1 - 1.2 c_T) T_u in units of 1e-9, at every draw's own c_T, as the synthetic couplings have it."""
    rng = np.random.default_rng(3)
    shape = (CHAINS, DRAWS)
    c_t, t_u = -2.9 + 0.3 * rng.normal(size=shape), 10.0 * rng.normal(size=shape)
    part = (0.1 - 1.2 * c_t) * t_u
    rest = width * np.std(part) * rng.normal(size=shape)
    draws = {"L_dipole": rest - part, "L_T_u": t_u, "theory.c_T": c_t, "L_T_d": np.zeros(shape), "L_T_s": np.zeros(shape)}
    found = landscape(joint, result_of(joint, draws)).ridges
    if width > 0.1:
        assert found == ()
        return
    (ridge,) = found
    assert ridge.members == ("L_dipole", "L_T_u")
    assert ridge.where == "the dipole"
    assert ridge.left == pytest.approx(np.std(rest) / np.hypot(np.std(part), np.std(rest - part)), rel=0.05)
    assert "L_dipole and L_T_u cancel in the dipole" in str(ridge)


def test_no_ridge_without_cancelling(joint):
    assert landscape(joint, result_of(joint, {})).ridges == ()


def test_of_json(joint):
    found = landscape(joint, result_of(joint, {})).to_json()
    assert set(found) == {"ridges", "modes"}
