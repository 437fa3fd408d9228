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
    assert set(made.theory.inputs()) == {"c_T", "c_T_s", "m_N_mev"}
    assert made.theory.m_N_mev.numbers == (0.0,)


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

    from nmmfit.constants import STANDARD_MODEL_INPUTS
    from nmmfit.inputs import StandardModelInputs

    config_inputs = {name for name, field in TheorySpec.model_fields.items() if field.annotation == PriorSpec | None}
    assert config_inputs == set(STANDARD_MODEL_INPUTS)
    for name in fields(StandardModelInputs):
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
