"""Matrices, mixing matrices and parameters that are refused."""

from __future__ import annotations

import numpy as np
import pytest

from nmmfit.errors import UserInputError
from nmmfit.physics import dipole_matrix as dm
from nmmfit.physics import dipole_parameters as dp


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dm.checked_matrix(np.eye(3), "majorana"), "antisymmetric, got a symmetric part of 1 in entry [0, 0]"),
        (lambda: dm.checked_matrix([[0, 1, 0], [-1, 0, 0], [0, 1e-6, 0]], "majorana"), "symmetric part of 5e-07 in entry [1, 2]"),
        (lambda: dm.checked_matrix(np.zeros((3, 4)), "majorana"), "Majorana matrix of moments has shape (..., 3, 3), got (3, 4)"),
        (lambda: dm.checked_matrix(np.zeros((2, 3)), "dirac"), "Dirac matrix of moments has shape (..., 3, n), got (2, 3)"),
        (lambda: dm.checked_matrix(np.zeros(3), "dirac"), "has shape (..., 3, n), got (3,)"),
        (lambda: dm.checked_matrix(np.zeros((3, 0)), "dirac"), "has shape (..., 3, n), got (3, 0)"),
        (lambda: dm.checked_matrix(np.full((3, 3), np.nan), "dirac"), "matrix: not finite (9 of 9 numbers)"),
        (lambda: dm.checked_matrix("big", "dirac"), "matrix: expected numbers, got 'big'"),
        (lambda: dm.checked_matrix(None, "dirac"), "matrix: "),
        (lambda: dm.checked_matrix({"a": 1}, "dirac"), "matrix: expected an array of numbers, got dict"),
        (lambda: dm.checked_matrix([[1, 2], [3]], "dirac"), "matrix: expected an array of numbers, got list"),
        (lambda: dm.checked_matrix(np.eye(3), "weyl"), "unknown kind of neutrino 'weyl'"),
        (
            lambda: dm.to_mass_basis(np.eye(3), 1.001 * np.eye(3), "dirac"),
            "mixing matrix: not unitary, an entry of U U^dagger - 1",
        ),
        (lambda: dm.to_mass_basis(np.eye(3), np.eye(2), "dirac"), "mixing matrix: expected shape (..., 3, 3), got (2, 2)"),
        (lambda: dm.to_mass_basis(np.eye(3), np.diag([1, 1, np.inf]), "dirac"), "mixing matrix: not finite (1 of 9 numbers)"),
        (lambda: dm.to_mass_basis(np.ones((3, 2)), np.eye(3), "dirac", np.eye(3)), "u_right: expected shape (..., 2, 2)"),
        (lambda: dm.to_mass_basis(np.zeros((3, 3)), np.eye(3), "majorana", np.eye(3)), "one mixing matrix; leave it out"),
        (lambda: dm.dirac_matrix(np.zeros((3, 2)), np.zeros((3, 3))), "magnetic (3, 2) and electric (3, 3) moments do not"),
        (lambda: dm.magnetic_and_electric(np.zeros((3, 2))), "need a square matrix, got (3, 2)"),
        (lambda: dm.majorana_matrix([1.0, 2.0]), "Lambda: expected shape (..., 3), got (2,)"),
        (lambda: dm.majorana_matrix([1.0, 2.0, np.nan]), "Lambda: not finite (1 of 3 numbers)"),
        (lambda: dm.matrix_from_coefficients({"nugamma_12": 1.0}, "dirac"), "'nugamma_12' is no moment of Dirac neutrinos"),
        (lambda: dm.matrix_from_coefficients({"nugamma_11": 1.0}, "majorana"), "coefficient 'nugamma_11' vanishes"),
        (lambda: dm.matrix_from_coefficients({"nugamma_12": 1.0, "nugamma_21": 1.0}, "majorana"), "the same up to a sign"),
        (lambda: dm.matrix_from_coefficients({"nuNgamma_12": np.inf}, "dirac"), "coefficient 'nuNgamma_12': not finite"),
        (lambda: dm.coefficients_from_matrix(np.zeros((3, 4)), "dirac"), "the basis of operators has three N, got 4 columns"),
        (lambda: dm.plasmon_squared(np.eye(3), "dirac", "twice"), "unknown counting of pairs 'twice'"),
        (lambda: dp.triangular_matrix(np.zeros(8)), "expected shape (..., 9), got (8,)"),
        (lambda: dp.triangular_matrix(np.full(9, np.nan)), "not finite (9 of 9 numbers)"),
        (lambda: dp.phase_free_majorana(np.zeros(6)), "parameters of a Majorana matrix: expected shape (..., 5), got (6,)"),
        (lambda: dp.phase_free_majorana([1.0, np.inf, 0, 0, 0]), "parameters of a Majorana matrix: not finite (1 of 5 numbers)"),
        (lambda: dp.phase_free_parameters(np.eye(3)), "antisymmetric, got a symmetric part of 1 in entry [0, 0]"),
        (lambda: dp.log_triangular_jacobian(np.ones(9), 2), "n_sterile: 2 is out of range"),
    ],
)
def test_wrong_input_is_refused_in_one_line(call, message):
    with pytest.raises(UserInputError) as caught:
        call()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
