"""The run file: what it accepts, what it means, and one clear line for everything else."""

from __future__ import annotations

import json
import math
import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

from nmmfit.config import HIGH_SCALE_GEV, RunConfig, TheorySpec, validate
from nmmfit.errors import UserInputError
from nmmfit.presets import CHOICES
from nmmfit.priors import FAMILIES, PriorSpec
from nmmfit.runfile import read_toml, with_overrides, write_toml

BASE = """
scale_gev = 80.379
experiments = ["a", "b"]

[parameters.L_dipole]
coefficients = { nuNgamma_11 = 1, nuNgamma_22 = 1.5, nuNgamma_12 = [0.5, -0.25] }
prior = { normal = [0.0, 1e-7] }

[parameters.L_T_u]
coefficients = { TnuNuRR_1111 = 1 }
prior = { uniform = [-1e-5, 1e-5] }
"""


def config(*overrides: str, text: str = BASE) -> RunConfig:
    return validate(with_overrides(read_toml(text), overrides))


def message(*overrides: str, text: str = BASE) -> str:
    with pytest.raises(UserInputError) as caught:
        config(*overrides, text=text)
    line = str(caught.value)
    assert "\n" not in line
    assert "pydantic" not in line
    return line


def prior(table: Any) -> PriorSpec:
    return PriorSpec.model_validate(table)


def test_parameters_are_linear_maps_with_units() -> None:
    parameters = config().parameters
    assert parameters["L_dipole"].coefficients == {"nuNgamma_11": 1 + 0j, "nuNgamma_22": 1.5 + 0j, "nuNgamma_12": 0.5 - 0.25j}
    assert parameters["L_dipole"].unit == "GeV^-1"
    assert parameters["L_T_u"].unit == "GeV^-2"
    both = config("parameters.mix={coefficients={nuNgamma_11=1,TnuNuRR_1111=1},prior={normal=[0.0,1.0]}}")
    assert both.parameters["mix"].unit == "mixed"


def test_defaults_of_theory_and_sampler() -> None:
    made = config(text='experiments = ["a"]')
    assert made.scale_gev == HIGH_SCALE_GEV
    assert (made.theory.c_T.family, made.theory.c_T.numbers) == ("normal", (-2.9, 0.3))
    assert (made.theory.c_T_s.family, made.theory.c_T_s.numbers) == ("normal", (-3.6, 1.5))
    assert (made.sampler.method, made.sampler.chains, made.sampler.warmup, made.sampler.draws) == ("nuts", 4, 1000, 1000)
    assert made.sampler.target_accept == 0.9
    assert made.theory.choices()["tensor_coherence"] == "coherent"
    assert set(made.theory.inputs()) == {"c_T", "c_T_s", "m_N_mev", "sm_strength"}
    assert made.theory.m_N_mev.numbers == (0.0,)
    assert made.theory.sm_strength.numbers == (1.0,)


@pytest.mark.parametrize(
    ("written", "family", "numbers"),
    [
        ("-3.2", "delta", (-3.2,)),
        ("-3", "delta", (-3.0,)),
        ('"mateu_portoles"', "delta", (-3.2,)),
        ("lattice_kaon", "normal", (-1.0, 0.2)),
        ("{ student_t = [3, -2.9, 0.3] }", "student_t", (3.0, -2.9, 0.3)),
    ],
)
def test_theory_input_as_number_preset_or_prior(written: str, family: str, numbers: tuple[float, ...]) -> None:
    made = config(f"theory.c_T={written}").theory.c_T
    assert (made.family, made.numbers) == (family, numbers)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (
            ["parameters.L_T_u.prior={nornal=[0.0,1.0]}"],
            "parameters.L_T_u.prior: unknown prior family 'nornal'; did you mean 'normal'?",
        ),
        (["parameters.L_T_u.prior.nornal=[0.0,1.0]"], "parameters.L_T_u.prior: unknown prior family 'nornal'"),
        (["parameters.L_T_u.prior={normal=[0.0,0.0]}"], "parameters.L_T_u.prior: width of normal must be > 0, got 0.0"),
        (["parameters.L_T_u.prior={normal=[0.0,-1.0]}"], "width of normal must be > 0"),
        (["parameters.L_T_u.prior={normal=[nan,1.0]}"], "mean of normal must be finite, got nan"),
        (["parameters.L_T_u.prior={normal=[0.0,inf]}"], "width of normal must be finite, got inf"),
        (["parameters.L_T_u.prior={normal=[0.0]}"], "normal takes 2 numbers (mean, width), got 1"),
        (["parameters.L_T_u.prior={normal=[0.0,true]}"], "width of normal must be a number, got True"),
        (["parameters.L_T_u.prior={half_normal=0}"], "width of half_normal must be > 0"),
        (["parameters.L_T_u.prior={uniform=[1.0,1.0]}"], "low of uniform must be below high, got 1.0 and 1.0"),
        (["parameters.L_T_u.prior={uniform=[2.0,1.0]}"], "low of uniform must be below high"),
        (["parameters.L_T_u.prior={log_uniform=[0.0,1.0]}"], "low of log_uniform must be > 0"),
        (["parameters.L_T_u.prior={log_uniform=[-1.0,1.0]}"], "low of log_uniform must be > 0"),
        (["parameters.L_T_u.prior={student_t=[0.0,0.0,1.0]}"], "degrees of freedom of student_t must be > 0"),
        (["parameters.L_T_u.prior={student_t=[3.0,0.0,0.0]}"], "width of student_t must be > 0"),
        (["parameters.L_T_u.prior={truncated_normal=[0.0,1.0,2.0,1.0]}"], "low of truncated_normal must be below high"),
        (["parameters.L_T_u.prior={truncated_normal=[0.0,1.0,50.0,60.0]}"], "holds almost nothing of a normal(0.0, 1.0)"),
        (["parameters.L_T_u.prior={delta=nan}"], "value of delta must be finite"),
        (["parameters.L_T_u.prior={normal=[0.0,1e308]}"], "width of normal must lie within +-1e+100, got 1e+308"),
        (["parameters.L_T_u.prior={normal=[0.0,1e-320]}"], "width of normal must be at least 1e-100, got 1e-320"),
        (["parameters.L_T_u.prior={uniform=[-1e308,1e308]}"], "low of uniform must lie within +-1e+100, got -1e+308"),
        (["parameters.L_T_u.prior={uniform=[0.0,1e-120]}"], "high of uniform must be at least 1e-100 above low"),
        (
            ["parameters.L_T_u.prior={normal=[0.0,1.0],uniform=[0.0,1.0]}"],
            "a prior is exactly one family, got 2: normal, uniform",
        ),
        (["parameters.L_T_u.prior={}"], "a prior is exactly one family, got 0: none"),
        (["parameters.L_T_u.prior=wide"], "expected a number or a prior such as { normal = [0.0, 1.0] }, got 'wide'"),
        (["parameters.L_T_u.coefficients={TnuNuRL_1111=1}"], "unknown operator 'TnuNuRL'; did you mean"),
        (["parameters.L_T_u.coefficients={TnuNuRR_111=1}"], "takes 4 flavour digits"),
        (["parameters.L_T_u.coefficients={TnuNuRR_1114=1}"], "flavour digit 4 of field u is out of range"),
        (["parameters.L_T_u.coefficients={nugamma_11=1}"], "vanishes: nugamma is antisymmetric"),
        (["parameters.L_T_u.coefficients={TnuNuRR_1111=0}"], "a parameter needs at least one coefficient that is not zero"),
        (["parameters.L_T_u.coefficients={TnuNuRR_1111=[1,2,3]}"], "TnuNuRR_1111: expected a number or [re, im], got [1, 2, 3]"),
        (["parameters.L_T_u.coefficients={TnuNuRR_1111=[1,nan]}"], "a coefficient must be finite"),
        (["parameters.L_T_u.coefficients={TnuNuRR_1111='1'}"], "parameters.L_T_u.coefficients.TnuNuRR_1111: expected a number"),
        (["parameters.L_T_x.prior=1.0"], "unknown parameter 'L_T_x'; did you mean 'L_T_u'?"),
        (["parameters.L_T_u.priors=1.0"], "parameters.L_T_u: unknown key 'priors'; did you mean 'prior'?"),
        (["parameters.'a.b'={coefficients={TnuNuRR_1111=1},prior=1}"], "'a.b' is no name of a parameter"),
        (["scale=2.0"], "unknown key 'scale'; did you mean 'scale_gev'?"),
        (["scale_gev=1.9"], "scale_gev: 1.9 GeV is below 2 GeV; coefficients are implemented from 2 to 80.379 GeV"),
        (["scale_gev=1000"], "scale_gev: 1000 GeV is above m_W"),
        (["scale_gev=1e12"], "scale_gev: 1e+12 GeV is above m_W"),
        (["parameters.L_T_u.coefficients={NB_11=1}"], "coefficients 'NB_11' and 'TnuNuRR_1111' belong to different theories"),
        (["parameters.B={coefficients={NB_11=1},prior=1}"], "parameters: coefficients 'NB_11' and 'nuNgamma_11' belong to"),
        (["parameters.B={coefficients={NB_1=1},prior=1}"], "NB takes 2 flavour digits"),
        (["scale_gev=nan"], "scale_gev"),
        (["scale_gev='80'"], "scale_gev: expected a valid number, got '80'"),
        (["theory.c_t=-3.2"], "theory: unknown key 'c_t'; did you mean 'c_T'?"),
        (["theory.c_T=mateu"], "theory.c_T: unknown preset 'mateu'; did you mean 'mateu_portoles'?"),
        (["theory.nucleon_charges=flag2022"], "theory.nucleon_charges: unknown choice 'flag2022'; did you mean 'flag2021'?"),
        (["theory.form_factor=2"], "theory.form_factor: unknown choice '2'"),
        (["sampler.chains=0"], "sampler.chains: expected greater than or equal to 1, got 0"),
        (["sampler.method=ensemblee"], "sampler.method: unknown choice 'ensemblee'; did you mean 'ensemble'?"),
        (["sampler.draws=10.5"], "sampler.draws: expected a valid integer, got 10.5"),
        (["sampler.target_accept=1.0"], "sampler.target_accept: expected less than 1, got 1.0"),
        (["experiments=['a', 'a']"], "experiments: 'a' is named twice"),
        (["experiments=['a', 1]"], "experiments[1]: expected a valid string, got 1"),
        (["options.c.bins=2"], "options: unknown experiment of this run 'c'"),
        (["templates.tolerance=1e-12"], "templates.tolerance: expected greater than or equal to 0.00000001, got 1e-12"),
        (["templates.tolerance='small'"], "templates.tolerance: expected a valid number, got 'small'"),
        (["templates.tolerances.c=1e-6"], "templates.tolerances: unknown experiment of this run 'c'"),
        (["templates.tolerances.a=0.0"], "templates.tolerances.a: expected greater than or equal to 0.00000001, got 0"),
        (["templates.accuracy=1e-6"], "templates: unknown key 'accuracy'"),
        (["pulls.flux=0"], "pulls: 'flux' is no name of a pull; they read owner.parameter, such as sns.flux"),
        (["pulls.theory.c_T=0"], "pulls: 'theory.c_T' belongs under [theory]"),
        (["pulls.sns.flux={nornal=[0,1]}"], "pulls.sns.flux: unknown prior family 'nornal'"),
        (["theory.c_T.wide.x=2"], "theory.c_T: unknown prior family 'wide'"),
        (["scale_gev.x=2"], "--set scale_gev.x=2: scale_gev is 80.379, not a table"),
        (["scale_gev"], "--set scale_gev: expected KEY=VALUE"),
        (["scale_gev=[1,"], "--set scale_gev=[1,: the value '[1,' or the key is not valid TOML"),
    ],
)
def test_wrong_input_is_one_line_with_its_place(overrides: list[str], expected: str) -> None:
    assert expected in message(*overrides)


def test_experiments_have_the_tolerance_of_the_run_or_their_own() -> None:
    own = config("templates.tolerance=1e-6", "templates.tolerances.a=3e-8")
    assert [own.templates.of(name) for name in own.experiments] == [3e-8, 1e-6]
    assert config().hash == config("templates.tolerance=5e-5").hash != own.hash


ABOVE = """
scale_gev = 1000.0
experiments = []
[parameters.C]
coefficients = { LNQd3_1122 = 1 }
prior = { normal = [0.0, 1e-5] }
"""


def test_coefficients_above_m_w() -> None:
    made = config(text=ABOVE)
    assert (made.scale_gev, made.parameters["C"].unit, made.parameters["C"].theory) == (1000.0, "GeV^-2", "smneft")
    assert config("scale_gev=80.379", text=ABOVE).scale_gev == HIGH_SCALE_GEV
    assert message("scale_gev=50", text=ABOVE) == "scale_gev: 'LNQd3_1122' does not exist at 50 GeV, below m_W = 80.379 GeV"
    assert message("theory.running=seed", text=ABOVE).startswith("theory.running: 'seed' has no theory above m_W")
    violating = ABOVE.replace("LNQd3_1122", "LHB_12")
    assert config("scale_gev=80.379", text=violating).parameters["C"].unit == "GeV^-3"
    assert "scale_gev: 'LHB_12' violates lepton number and has no running above m_W" in message(text=violating)
    assert "parameters.C.coefficients: coefficient 'LHB_22' vanishes" in message(text=ABOVE.replace("LNQd3_1122", "LHB_22"))


def test_wrong_toml_names_the_source_and_line() -> None:
    with pytest.raises(UserInputError, match=r"my\.toml: not valid TOML: .*line 2"):
        read_toml("a = 1\nb = c\n", "my.toml")


def test_missing_experiments_is_named() -> None:
    assert message(text="scale_gev = 2") == "experiments: this key is required"


def test_several_mistakes_are_counted() -> None:
    assert message("sampler.draws=0", "sampler.chains=0").endswith("(and 1 more)")


def test_overrides_replace_priors_and_merge_tables() -> None:
    made = config("parameters.L_dipole.prior.uniform=[-1, 1]", "sampler.draws=7", "theory.weak_charges=tree", "pulls.sns.flux=0")
    assert made.parameters["L_dipole"].prior.family == "uniform"
    assert made.parameters["L_dipole"].coefficients["nuNgamma_11"] == 1
    assert made.sampler.draws == 7
    assert made.theory.weak_charges == "tree"
    assert made.pulls["sns.flux"].numbers == (0.0,)


def test_pulls_under_quoted_and_nested_names_are_the_same() -> None:
    quoted = config(text=BASE + '[pulls]\n"sns.flux" = { normal = [0.0, 2.0] }\n"b.nin" = 0\n')
    nested = config(text=BASE + "[pulls]\nsns.flux = { normal = [0.0, 2.0] }\nb.nin = 0\n")
    assert quoted == nested
    assert set(quoted.pulls) == {"sns.flux", "b.nin"}


def test_hash_depends_on_meaning_only() -> None:
    assert config().hash == config("scale_gev=80.379", "theory.c_T={normal=[-2.9,0.3]}").hash
    assert config().hash != config("sampler.seed=1").hash


def test_written_toml_reads_back() -> None:
    made = config(
        "pulls.sns.flux=0", "options.a={bins=[1,2], label='x \"y\"', on=true}", "theory.alpha_s_mz={normal=[0.1179,0.0009]}"
    )
    dumped = made.model_dump(mode="json", exclude_none=True)
    assert tomllib.loads(write_toml(dumped)) == dumped
    assert validate(tomllib.loads(write_toml(dumped))) == made


SCALARS = st.text(max_size=8) | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(
        st.text(max_size=5), SCALARS | st.lists(SCALARS | st.dictionaries(st.text(max_size=5), SCALARS, max_size=2), max_size=4)
    )
)
def test_any_plain_table_survives_writing(table: dict[str, Any]) -> None:
    assert tomllib.loads(write_toml(table)) == table


REFERENCES = {
    "normal": ([0.5, 2.0], stats.norm(0.5, 2.0)),
    "half_normal": (2.0, stats.halfnorm(scale=2.0)),
    "uniform": ([-1.0, 3.0], stats.uniform(-1.0, 4.0)),
    "log_uniform": ([1e-3, 10.0], stats.loguniform(1e-3, 10.0)),
    "student_t": ([3.0, 0.5, 2.0], stats.t(3.0, 0.5, 2.0)),
    "truncated_normal": ([0.5, 2.0, -1.0, 4.0], stats.truncnorm(-0.75, 1.75, 0.5, 2.0)),
}


@pytest.mark.parametrize("family", REFERENCES)
def test_descriptions_agree_with_scipy(family: str) -> None:
    numbers, reference = REFERENCES[family]
    made = prior({family: numbers})
    assert made.support == pytest.approx(reference.support())
    assert made.centre == pytest.approx(float(reference.median()), rel=1e-9)
    assert not made.is_fixed
    assert made.width > 0


@pytest.mark.parametrize("family", REFERENCES)
def test_distributions_agree_with_scipy(family: str) -> None:
    from nmmfit.inference.priors import to_distribution

    numbers, reference = REFERENCES[family]
    made = to_distribution(prior({family: numbers}))
    for probability in (0.01, 0.3, 0.5, 0.9):
        x = float(reference.ppf(probability))
        assert float(made.log_prob(x)) == pytest.approx(float(reference.logpdf(x)), rel=1e-10)


def test_delta_is_one_point() -> None:
    from nmmfit.inference.priors import to_distribution

    made = prior(1.5)
    assert made.is_fixed
    assert made.support == (1.5, 1.5)
    assert made.centre == 1.5
    assert float(to_distribution(made).log_prob(1.5)) == 0.0


def test_every_family_has_a_distribution() -> None:
    assert set(REFERENCES) | {"delta"} == set(FAMILIES)


@pytest.mark.parametrize(
    ("table", "symmetric"),
    [
        ({"normal": [0.0, 1.0]}, True),
        ({"normal": [1e-9, 1.0]}, False),
        ({"uniform": [-2.0, 2.0]}, True),
        ({"uniform": [-2.0, 2.1]}, False),
        ({"half_normal": 1.0}, False),
        ({"log_uniform": [1.0, 2.0]}, False),
        ({"student_t": [3, 0, 1]}, True),
        ({"student_t": [3, 0.1, 1]}, False),
        ({"truncated_normal": [0.0, 1.0, -2.0, 2.0]}, True),
        ({"truncated_normal": [0.0, 1.0, -2.0, 3.0]}, False),
        (0.0, True),
        (0.1, False),
    ],
)
def test_symmetry_about_zero(table: Any, symmetric: bool) -> None:
    made = prior(table)
    assert made.symmetric_about_zero is symmetric
    if made.is_fixed:
        return
    from nmmfit.inference.priors import to_distribution

    distribution = to_distribution(made)
    points = [x for x in (0.05, 0.7, 1.3, 2.05) if made.support[0] < x < made.support[1]]
    mirrored = [
        made.support[0] <= -x <= made.support[1]
        and math.isclose(float(distribution.log_prob(x)), float(distribution.log_prob(-x)), rel_tol=1e-12)
        for x in points
    ]
    assert all(mirrored) is symmetric


def test_schema_is_json_and_names_what_models_name() -> None:
    schema = json.loads(json.dumps(RunConfig.model_json_schema()))
    assert set(schema["properties"]) == set(RunConfig.model_fields)
    families = [
        set(branch.get("properties", ())) for branch in schema["$defs"]["ParameterSpec"]["properties"]["prior"].get("oneOf", ())
    ]
    families = families or [set(branch.get("properties", ())) for branch in schema["$defs"]["PriorSpec"]["oneOf"]]
    assert set.union(*families) == set(FAMILIES)


def test_every_choice_is_explained() -> None:
    for key, explained in CHOICES.items():
        assert set(explained) == set(get_args(TheorySpec.model_fields[key].annotation))


def test_orders_of_the_running() -> None:
    made = config("theory.alpha_s_loops=2", "theory.gamma_T_loops=1").theory.choices()
    assert (made["alpha_s_loops"], made["gamma_T_loops"]) == (2, 1)
    assert "theory.alpha_s_loops: unknown choice '5' (allowed: 1, 2, 3, 4)" in message("theory.alpha_s_loops=5")


def test_theory_inputs_are_those_of_the_running() -> None:
    from dataclasses import fields

    from nmmfit.constants import ELECTROWEAK_INPUTS, STANDARD_MODEL_INPUTS
    from nmmfit.eft.smneft_inputs import ElectroweakInputs
    from nmmfit.inputs import StandardModelInputs

    config_inputs = {name for name, field in TheorySpec.model_fields.items() if field.annotation == PriorSpec | None}
    charges = {f"{form}_{q}" for form in ("delta", "g_s", "f2", "f3") for q in ("u", "d", "s")}
    # G_F is known too well to matter.
    assert config_inputs == {*STANDARD_MODEL_INPUTS, *ELECTROWEAK_INPUTS, *charges} - {"fermi_gev2"}
    for name in (*fields(StandardModelInputs), *(f for f in fields(ElectroweakInputs) if f.name != "fermi_gev2")):
        assert name.name in TheorySpec.model_fields
        if name.metadata.get("static"):
            assert TheorySpec.model_fields[name.name].default == name.default


@pytest.mark.parametrize("overrides", ["scale_gev=2", {"scale_gev": 2}, [1]])
def test_overrides_are_a_list_of_texts(overrides: Any) -> None:
    from nmmfit.run import default_run

    with pytest.raises(UserInputError, match=r"overrides: expected a list of texts KEY=VALUE, such as"):
        default_run(overrides)


def test_a_byte_order_mark_is_no_part_of_the_file(tmp_path: Path) -> None:
    from nmmfit.run import load_run

    (tmp_path / "run.toml").write_bytes(b"\xef\xbb\xbfexperiments = []\r\n")
    assert load_run(tmp_path / "run.toml").config.experiments == []


@pytest.mark.parametrize(
    ("path", "expected"),
    [("nowhere.toml", "No such file"), (".", "Is a directory"), ("a\0b", "null byte"), ("a" * 5000, "File name too long")],
)
def test_a_run_file_that_cannot_be_read(path: str, expected: str) -> None:
    from nmmfit.run import load_run

    with pytest.raises(UserInputError, match=expected) as caught:
        load_run(path)
    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)


def test_a_parameter_may_not_be_called_like_an_identified_quantity() -> None:
    from nmmfit.run import parse_run

    text = BASE.replace('["a", "b"]', '["borexino_phase2_limit"]').replace("L_dipole]", "mu_eff_solar]")
    with pytest.raises(UserInputError, match=r"^parameters\.mu_eff_solar: this is the name of an identified quantity"):
        parse_run(text).joint("direct")


def test_unknown_where_nothing_is_known() -> None:
    from nmmfit.errors import unknown

    assert str(unknown("pull", "x", [], "pulls")) == "pulls: unknown pull 'x' (there are none)"
    assert str(unknown("flavour", 0, ["e", "mu"])) == "unknown flavour 0 (allowed: e, mu)"


MODEL = """
experiments = []
[model]
name = "charged_scalar"
[model.parameters]
y_c = { normal = [0.0, 1.0] }
y_s = 0.5
m_phi_gev = { log_uniform = [100.0, 2000.0] }
"""
LEPTOQUARK = """
experiments = []
[model]
name = "leptoquark_s1"
parameters = { y_left_31 = 1.0, y_right_31 = { normal = [0.0, 1.0] }, mass_gev = 1000.0 }
"""
MATRIX = """
experiments = []
[model]
name = "dipole_matrix"
parameters = { mu_12 = { normal = [0.0, 1e-11] } }
"""


def test_models_keep_what_is_written() -> None:
    made = config(text=MODEL).model
    assert made is not None
    assert (made.name, made.lepton, made.neutrinos, made.scale_gev) == ("charged_scalar", None, None, None)
    assert {n: p.family for n, p in made.parameters.items()} == {"y_c": "normal", "y_s": "delta", "m_phi_gev": "log_uniform"}
    assert made.lowest_mass_gev == 100.0
    lower = config("model.scale_gev=10", "model.parameters.m_phi_gev=20", text=MODEL).model
    assert lower is not None
    assert lower.lowest_mass_gev == 20.0
    again = validate(read_toml(write_toml(config(text=MODEL).model_dump(mode="json", exclude_none=True))))
    assert again.hash == config(text=MODEL).hash != config("model.parameters.y_s=0.6", text=MODEL).hash


def test_phases_cover_their_circle() -> None:
    """ "free", and 6.283 for 2 pi, are the whole circle; a Majorana phase, which enters by halves, has twice the period."""
    for written in ("free", "{ uniform = [0, 6.283] }", "{ uniform = [0.0, 6.2832] }"):
        made = config(f"model.parameters.phase={written}", text=MODEL).model
        assert made is not None
        assert made.parameters["phase"].numbers == (0.0, 2.0 * math.pi)
    matrix = config("model.kind=majorana", "model.parameters.alpha1=free", "model.parameters.mu_12_phase=free", text=MATRIX).model
    assert matrix is not None
    assert matrix.parameters["alpha1"].numbers == (0.0, 4.0 * math.pi)
    assert matrix.parameters["mu_12_phase"].numbers == (0.0, 2.0 * math.pi)
    modulus = "parameters.X={coefficients={nuNgamma_11=2},prior={half_normal=1.0},phase=%s}"
    assert config(modulus % "'free'").parameters["X"].has_free_phase
    held = config("parameters.X={coefficients={nuNgamma_11=2},prior={normal=[0.0,1.0]},phase=1.0}").parameters["X"]
    assert not held.has_free_phase
    assert held.weights["nuNgamma_11"] == pytest.approx(2.0 * complex(math.cos(1.0), math.sin(1.0)), rel=1e-15)


@pytest.mark.parametrize(
    ("text", "overrides", "expected"),
    [
        (MODEL, ["model.name=charged_scaler"], "model.name: unknown model 'charged_scaler'; did you mean 'charged_scalar'?"),
        (MODEL, ["model.parameters.y_d=1"], "unknown parameter of charged_scalar 'y_d'; did you mean 'y_s'?"),
        (MODEL, ["model.y_s=1"], "model: unknown key 'y_s'"),
        (MODEL, ["model.lepton=taw"], "model.lepton: unknown choice 'taw'; did you mean 'tau'?"),
        (MODEL, ["model.kind=dirac"], "unknown option of charged_scalar 'kind' (allowed: lepton, neutrinos)"),
        (MODEL, ["model.neutrinos=[1,4]"], "model.neutrinos[1]: expected less than or equal to 3, got 4"),
        (MODEL, ["model.neutrinos=[1]"], "model.neutrinos"),
        (MODEL, ["model.scale_gev=1000"], "model.scale_gev: expected less than or equal to 80.379, got 1000"),
        (MODEL.replace("y_s = 0.5", ""), [], "charged_scalar needs y_s (coupling to l_L and N_R)"),
        (MODEL, ["model.parameters.y_s=0"], "with y_s = 0 charged_scalar does nothing"),
        (MODEL, ["model.parameters.m_phi_gev=50"], "m_phi_gev: 50 (allowed: 80.379 to 1e+10 GeV: m_W and above)"),
        (MODEL, ["model.parameters.m_phi_gev={uniform=[50,200]}"], "uniform(50, 200) reaches from 50 to 200 (allowed: 80.379 to"),
        (MODEL, ["model.parameters.m_phi_gev={normal=[500,10]}"], "normal(500, 10) reaches from -inf to inf (allowed: 80.379 to"),
        (MODEL, ["model.parameters.m_phi_gev={log_uniform=[100,1e11]}"], "reaches from 100 to 1e+11"),
        (
            MODEL,
            ["model.scale_gev=20", "model.parameters.m_phi_gev=10"],
            "10 (allowed: 20 to 1e+10 GeV: at the scale of matching and above)",
        ),
        (MODEL, ["model.parameters.y_c=free"], "model.parameters: y_c: only a phase can be 'free'"),
        (MODEL, ["model.parameters.phase={uniform=[0,7]}"], "a phase has the period 6.28319; uniform = [0, 7] is longer"),
        (MODEL, ["model.parameters.phase={normal=[0,inf]}"], "model.parameters.phase: width of normal must be finite, got inf"),
        (MODEL, ["model.parameters.phase=fre"], "model.parameters.phase: expected a number or a prior"),
        (MODEL, ["theory.running=seed"], "theory.running: 'seed' cannot run charged_scalar (allowed: 'exact')"),
        (
            MODEL + "[parameters.y_c]\ncoefficients = { nuNgamma_11 = 1 }\nprior = 1.0\n",
            [],
            "parameters.y_c: this is the name of a parameter of the model; choose another one",
        ),
        (
            MODEL + "[parameters.C]\ncoefficients = { NB_11 = 1 }\nprior = 1.0\n",
            ["scale_gev=1000"],
            "scale_gev: coefficients at 1000 GeV lie above 100 GeV, the lowest mass of charged_scalar",
        ),
        (LEPTOQUARK, ["model.parameters.mass_gev=79"], "mass_gev: 79 (allowed: 80.379 to 1e+10 GeV"),
        (LEPTOQUARK, ["model.scale_gev=80.0"], "scale_gev: leptoquark_s1 runs from its mass to m_W and has no other scale"),
        (LEPTOQUARK, ["model.parameters.y_left_41=1"], "unknown parameter of leptoquark_s1 'y_left_41'; did you mean"),
        (LEPTOQUARK, ["model.parameters.y_left_31=0"], "with y_left_11 ... y_left_33 all 0 leptoquark_s1 does nothing"),
        (MATRIX, ["model.parameters.alpha1=1"], "unknown parameter of dipole_matrix 'alpha1'"),
        (MATRIX, ["model.kind=majorana", "model.parameters.mu_11=1"], "unknown parameter of dipole_matrix 'mu_11'; did you mean"),
        (MATRIX, ["model.parameters.s12sq=1.5"], "s12sq: 1.5 (allowed: 0 to 1)"),
        (MATRIX, ["model.basis=flavour", "model.parameters.s12sq=0.3"], "unknown parameter of dipole_matrix 's12sq'"),
        (MATRIX, ["model.scale_gev=2"], "scale_gev: dipole_matrix is that at zero momentum transfer and has no other scale"),
        (
            BASE,
            ["parameters.X={coefficients={nuNgamma_11=1},prior={normal=[0.0,1.0]},phase='free'}"],
            "parameters.X: prior: with a free phase this is a modulus, whose prior must not reach below 0, got normal(0, 1)",
        ),
        (
            BASE,
            ["parameters.X={coefficients={nuNgamma_11=1},prior=1.0,phase={uniform=[0,nan]}}"],
            "parameters.X.phase: high of uniform must be finite, got nan",
        ),
        (
            BASE,
            ["parameters.X={coefficients={nuNgamma_11=1},prior=1.0,phase={uniform=[-4,4]}}"],
            "is longer (whole circle: 'free')",
        ),
        (
            BASE,
            [
                "parameters.X={coefficients={nuNgamma_11=1},prior=1.0,phase='free'}",
                "parameters.X_phase={coefficients={nuNgamma_11=1},prior=1.0}",
            ],
            "parameters.X_phase: this is the name of the phase of X; choose another one",
        ),
    ],
)
def test_wrong_models_and_phases_are_one_line(text: str, overrides: list[str], expected: str) -> None:
    assert expected in message(*overrides, text=text)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["theory.f2_u=-1.5"], "theory: f2_u: only tensor_coherence = 'nonrelativistic' has it, this run's is 'coherent'"),
        (["theory.delta_u={nornal=[0.8,0.1]}"], "theory.delta_u: unknown prior family 'nornal'; did you mean 'normal'?"),
        (["theory.delta_x=0.8"], "theory: unknown key 'delta_x'; did you mean 'delta_"),
        (["theory.nucleon_charges_float=yes"], "theory.nucleon_charges_float: expected a valid boolean, got 'yes'"),
        (["theory.quark_basis=upp"], "theory.quark_basis: unknown choice 'upp'; did you mean 'up'?"),
        (["theory.sin2_theta_w={normal=[0.23,nan]}"], "theory.sin2_theta_w: width of normal must be finite"),
    ],
)
def test_wrong_theory_inputs_are_one_line(overrides: list[str], expected: str) -> None:
    assert expected in message(*overrides)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("theory.m_N_mev=-1", "theory.m_N_mev: a mass is not negative, and -1 allows it"),
        ("theory.m_N_mev={normal=[3.0,1.0]}", "theory.m_N_mev: a mass is not negative, and normal(3, 1) allows it"),
        ("theory.m_N_mev={uniform=[-1.0,1.0]}", "theory.m_N_mev: a mass is not negative"),
        ("theory.nuclear_spin=whole", "theory.nuclear_spin: unknown choice 'whole'"),
    ],
)
def test_masses_and_spins_that_do_not_exist(change: str, said: str) -> None:
    assert message(change).startswith(said)


@pytest.mark.parametrize("given", ["2.5", "{uniform=[0.0,10.0]}", "{log_uniform=[0.01,50.0]}", "{half_normal=5.0}"])
def test_masses_of_n(given: str) -> None:
    assert config(f"theory.m_N_mev={given}").theory.m_N_mev.support[0] >= 0.0


def test_a_strength_is_not_negative() -> None:
    assert config("theory.sm_strength={uniform=[0,5]}").theory.sm_strength.family == "uniform"
    with pytest.raises(UserInputError, match=r"sm_strength.*rates are not negative"):
        config("theory.sm_strength={normal=[1,0.1]}")
