"""The run file as strict models: parsing, defaults, overrides and errors with the path of the key. No JAX."""

from nmmfit.config.model import ModelSpec
from nmmfit.config.parameter import ParameterSpec
from nmmfit.config.run import RunConfig, validate
from nmmfit.config.sampler import SamplerSpec
from nmmfit.config.scales import HIGH_SCALE_GEV, LOW_SCALE_GEV, check_scale
from nmmfit.config.templates import DEFAULT_TOLERANCE, TemplateSpec
from nmmfit.config.theory import TheorySpec

__all__ = [
    "DEFAULT_TOLERANCE",
    "HIGH_SCALE_GEV",
    "LOW_SCALE_GEV",
    "ModelSpec",
    "ParameterSpec",
    "RunConfig",
    "SamplerSpec",
    "TemplateSpec",
    "TheorySpec",
    "check_scale",
    "validate",
]
