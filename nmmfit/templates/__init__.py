"""From the direct evaluation of an experiment to compressed tensors: the path that samplers and profiles use.

Every component of an experiment is linear in the quadratic forms, hence in the merged monomials m (physics/amplitude_basis.py),
and smooth in its shape pulls. Its direct evaluation is therefore sampled once, at Chebyshev-distributed points in the box of
+-HALF_WIDTH sigma, and fitted by T[m, b, bin] on an anisotropic total-degree basis b (fit.py). The degrees are found from the
decay of one-dimensional coefficients and confirmed at random points; every axis of T is then compressed by SVD in the metric
1/sqrt(expected counts) (shapes.py, build.py). A factor's weighting (an efficiency) is no matter of interpolation: it is applied
as it is.

Beyond the box a shape freezes at its edge. The interpolation error is measured when templates are built and is kept in `errors`.
"""

from __future__ import annotations

from nmmfit.config import DEFAULT_TOLERANCE
from nmmfit.templates.experiment import ExperimentTemplate, build_templates, relevant_coordinates
from nmmfit.templates.fit import HALF_WIDTH

__all__ = ["DEFAULT_TOLERANCE", "HALF_WIDTH", "ExperimentTemplate", "build_templates", "relevant_coordinates"]
