"""Nucleon charges and the map from quark-level to nucleon-level couplings."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from nmmfit.constants import Constant
from nmmfit.eft.couplings import QuarkCouplings
from nmmfit.errors import UserInputError
from nmmfit.physics import nucleons

FIELDS = [f.name for f in dataclasses.fields(QuarkCouplings)]


def only(**entries):
    nil = jnp.zeros((3, 6), dtype=complex)
    return QuarkCouplings(**{name: nil.at[1, 2].set(entries.get(name, 0.0)) for name in FIELDS})


@pytest.mark.parametrize(
    ("preset", "tensor"),
    [
        ("seed", (0.84, -0.23, -0.046)),
        ("flag2021", (0.784, -0.204, -0.0027)),
        ("etmc2017", (0.782, -0.219, -0.00319)),
        ("pndme2025", (0.782, -0.195, -0.0016)),
    ],
)
def test_published_tensor_charges_in_both_nucleons(preset, tensor):
    charges = nucleons.nucleon_charges(preset)
    found_p = [nucleons.target_couplings(only(**{f"tensor_{q}": 1.0}), charges).tensor_p[1, 2].real for q in "uds"]
    found_n = [nucleons.target_couplings(only(**{f"tensor_{q}": 1.0}), charges).tensor_n[1, 2].real for q in "uds"]
    np.testing.assert_allclose(found_p, tensor, rtol=1e-12)
    np.testing.assert_allclose(found_n, [tensor[1], tensor[0], tensor[2]], rtol=1e-12)


def test_scalar_charges_follow_from_sigma_terms():
    """g_S^u + g_S^d = sigma_piN / m_ud and g_S^u - g_S^d = 1.02(10); PNDME 2025 finds 9.39(88), 8.84(93), 0.37(14) directly."""
    g_u, g_d, g_s = (float(x) for x in nucleons.nucleon_charges("flag2021").scalar)
    assert (g_u + g_d) * 3.410 == pytest.approx(59.6, rel=1e-12)
    assert g_u - g_d == pytest.approx(1.022, rel=1e-12)
    assert g_s * 93.44 == pytest.approx(41.0, rel=1e-12)
    assert abs(g_u - 9.39) < 0.88
    assert abs(g_d - 8.84) < 0.93
    assert abs(g_s - 0.37) < 0.14


def test_scalar_coupling_is_half_the_sum_of_chiralities_times_the_charge():
    charges = nucleons.nucleon_charges("etmc2017")
    c = nucleons.target_couplings(only(scalar_u=2.0, scalar_s=1.0j), charges)
    assert complex(c.scalar_p[1, 2]) == pytest.approx(0.5 * (2.0 * 5.20 + 1.0j * 0.33))
    assert complex(c.scalar_n[1, 2]) == pytest.approx(0.5 * (2.0 * 4.27 + 1.0j * 0.33))


def test_nonrelativistic_strengths_of_the_literature():
    """F_1 - 2 F_2 - 4 F_3 = 3.4 (u in p), 1.2 (d in p), -0.005 (s), from the form factors of arXiv:1811.11181."""
    charges = nucleons.nucleon_charges("flag2021")
    c = [nucleons.target_couplings(only(**{f"tensor_{q}": 1.0}), charges, "nonrelativistic") for q in "uds"]
    assert [round(float(x.tensor_p[1, 2].real), 1) for x in c[:2]] == [3.4, 1.2]
    assert [round(float(x.tensor_n[1, 2].real), 1) for x in c[:2]] == [1.2, 3.4]
    assert round(float(c[2].tensor_p[1, 2].real), 3) == -0.005


def test_dipole_and_electron_couplings_pass_through():
    quark = only(dipole=1.0, electron_s1=2.0, electron_s2=3.0, electron_tensor=4.0)
    c = nucleons.target_couplings(quark, nucleons.nucleon_charges("seed"))
    assert [complex(getattr(c, n)[1, 2]) for n in ("dipole", "electron_s1", "electron_s2", "electron_tensor")] == [1, 2, 3, 4]
    assert np.all(np.asarray(c.tensor_p) == 0)
    assert np.all(np.asarray(c.scalar_n) == 0)


def test_linear_and_batched():
    rng = np.random.default_rng(0)
    x, y = (QuarkCouplings(**{n: jnp.asarray(rng.normal(size=(2, 3, 6)) + 0j) for n in FIELDS}) for _ in range(2))
    charges = nucleons.nucleon_charges("flag2021")
    total = QuarkCouplings(**{n: getattr(x, n) + 2.0 * getattr(y, n) for n in FIELDS})
    parts = [nucleons.target_couplings(z, charges, "nonrelativistic") for z in (x, y, total)]
    for field in dataclasses.fields(parts[0]):
        a, b, c = (getattr(p, field.name) for p in parts)
        assert a.shape == (2, 3, 6)
        np.testing.assert_allclose(a + 2.0 * b, c, rtol=1e-12)


def test_every_number_has_a_source():
    for preset in nucleons.charge_presets():
        for numbers in nucleons.PRESETS[preset].values():
            assert all(isinstance(c, Constant) and c.source and c.unit == "1" for c in numbers)
            assert len(numbers) == 3


def test_unknown_names():
    with pytest.raises(UserInputError, match="did you mean 'flag2021'"):
        nucleons.nucleon_charges("flag2020")
    with pytest.raises(UserInputError, match="did you mean 'nonrelativistic'"):
        nucleons.tensor_response(nucleons.nucleon_charges("seed"), "non-relativistic")
