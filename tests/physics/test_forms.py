"""Quadratic forms contracted with a density matrix, against amplitudes summed by hand for every final state."""

from __future__ import annotations

import dataclasses

import dirac
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from derivative_checks import assert_derivatives

from nmmfit.physics import cevns, electron, forms
from nmmfit.physics.nuclei import nucleus
from nmmfit.physics.rates import SourceNodes, recoil_spectrum

E, T = 0.8618, 0.3


def random_couplings(seed, size=1e-6):
    rng = np.random.default_rng(seed)

    def matrix(scale):
        return jnp.asarray((rng.normal(size=(3, 6)) + 1j * rng.normal(size=(3, 6))) * scale)

    fields = {f.name: matrix(size * (1e-3 if f.name == "dipole" else 1.0)) for f in dataclasses.fields(forms.TargetCouplings)}
    return forms.TargetCouplings(**fields)


def random_mixture(seed):
    """States psi_i with weights: the density matrix sum_i w_i psi_i psi_i^dagger, and its ingredients."""
    rng = np.random.default_rng(seed)
    states = rng.normal(size=(2, 3)) + 1j * rng.normal(size=(2, 3))
    states /= np.linalg.norm(states, axis=1)[:, None]
    weights = np.array([0.3, 0.7])
    return weights, states, np.einsum("i,ip,iq->pq", weights, states, states.conj())


def seen_by(state, matrix, antineutrino):
    """Coupling of the superposition sum_p psi_p |nu_p> to each final state: an incoming nu meets the conjugate operator."""
    psi = state if antineutrino else state.conj()
    return psi @ np.asarray(matrix)


@pytest.mark.parametrize("antineutrino", [False, True])
def test_electron_rate_of_a_mixed_state(antineutrino):
    c = random_couplings(1)
    weights, states, rho = random_mixture(2)
    expected = 0.0
    for weight, state in zip(weights, states, strict=True):
        seen = {f.name: seen_by(state, getattr(c, f.name), antineutrino) for f in dataclasses.fields(c)}
        for r in range(forms.N_FINAL):
            expected += weight * dirac.spin_half_rate(
                E, T, electron.M_ELECTRON_MEV.value, 0.0, antineutrino, charge=-1.0,
                s1=seen["electron_s1"][r], s2=seen["electron_s2"][r], tensor=seen["electron_tensor"][r], dipole=seen["dipole"][r],
            )  # fmt: skip
    nodes = SourceNodes(jnp.asarray([E]), jnp.asarray([1.0]), jnp.asarray(rho)[None], antineutrino)
    sm, kernels = electron.sm_kernel(E, T, "none", antineutrino), electron.kernels(E, T, antineutrino)
    only_new = float(recoil_spectrum(forms.quadratic_forms(c, sm=0.0), nodes, sm, kernels))
    assert only_new == pytest.approx(expected, rel=1e-10)
    with_sm = float(recoil_spectrum(forms.quadratic_forms(c), nodes, sm, kernels))
    assert with_sm - only_new == pytest.approx(float(np.sum(np.diag(rho).real * sm)), rel=1e-9)


@pytest.mark.parametrize("antineutrino", [False, True])
def test_nuclear_rate_of_a_mixed_state(antineutrino):
    c = random_couplings(3)
    weights, states, rho = random_mixture(4)
    caesium, e, t, f_p, f_n = nucleus("Cs133"), 30.0, 8e-3, 0.9, 0.85
    n_p, n_n = caesium.z * f_p, caesium.n * f_n
    expected = 0.0
    for weight, state in zip(weights, states, strict=True):
        seen = {f.name: seen_by(state, getattr(c, f.name), antineutrino) for f in dataclasses.fields(c)}
        for r in range(forms.N_FINAL):
            s = n_p * seen["scalar_p"][r] + n_n * seen["scalar_n"][r]
            tensor = n_p * seen["tensor_p"][r] + n_n * seen["tensor_n"][r]
            expected += weight * dirac.spin_half_rate(
                e, t, caesium.mass_mev, 0.0, antineutrino, s1=s, s2=s, tensor=tensor, dipole=seen["dipole"][r], charge=n_p
            )
    q = forms.quadratic_forms(c)
    kernels = cevns.kernels(e, t, caesium, f_p, f_n, antineutrino)
    total = sum(forms.trace(jnp.asarray(rho), q[name], antineutrino) * k for name, k in kernels.items())
    assert float(total) == pytest.approx(expected, rel=1e-10)


def test_forms_are_hermitian_and_the_vector_round_trips():
    q = forms.quadratic_forms(random_couplings(5), sm=0.7)
    for name in forms.ALL_FORMS:
        assert np.allclose(q[name], np.conj(q[name].T), rtol=0, atol=1e-25)
    names = ("tensor_pp", "dipole_scalar_n")
    back = forms.vector_to_forms(forms.forms_to_vector(q, names), names)
    assert float(back["sm"]) == 0.7
    for name in forms.ALL_FORMS:
        assert np.allclose(back[name], q[name] if name in names else 0.0, rtol=0, atol=1e-25)


def test_standard_model_has_no_new_forms():
    q = forms.quadratic_forms(forms.TargetCouplings.zero())
    assert float(q["sm"]) == 1.0
    assert all(np.all(np.asarray(q[name]) == 0) for name in forms.ALL_FORMS)


def test_batches_of_couplings():
    single = [random_couplings(seed) for seed in (1, 2)]
    batch = jax.tree.map(lambda *x: jnp.stack(x), *single)
    stacked = forms.quadratic_forms(batch)
    for k, c in enumerate(single):
        for name, q in forms.quadratic_forms(c).items():
            if name != "sm":
                assert np.allclose(stacked[name][k], q, rtol=1e-14, atol=0)


def test_derivatives_of_a_rate_in_the_couplings():
    """At zero couplings, where the gradient of something quadratic vanishes, and away from them."""
    base = random_couplings(6)
    _, _, rho = random_mixture(7)
    kernels = electron.kernels(E, T, True)

    def rate(x):
        c = forms.TargetCouplings(**{
            f.name: (x[0] + 1j * x[1]) * getattr(base, f.name) + (x[2] if f.name == "dipole" else 0.0) * 1e-9
            for f in dataclasses.fields(base)
        })  # fmt: skip
        q = forms.quadratic_forms(c)
        return 1e46 * sum(forms.trace(jnp.asarray(rho), q[name], True) * k for name, k in kernels.items())

    assert np.all(np.asarray(jax.jit(jax.grad(rate))(jnp.zeros(3))) == 0.0)
    assert_derivatives(rate, [0.0, 0.0, 0.0], [0.3, -1.2, 0.7])
