"""Cases: what is read, and that every mistake is named with its place."""

from pathlib import Path

import numpy as np
import pytest

from kinetic_cli.cases import ENGINES
from solvers.problem.read import case_from_data, read_case
from solvers.problem.registry import schemes
from solvers.problem.status import BadInput

CASES = sorted((Path(__file__).parents[3] / "cases").glob("*.toml"))
SOD = next(path for path in CASES if path.stem == "sod")
RIEMANN = next(path for path in CASES if path.stem == "bgk_riemann")


@pytest.mark.parametrize("path", CASES, ids=lambda p: p.stem)
def test_resolved_case_reads_back(path):
    case = read_case(path)
    again = case_from_data(case.resolved())
    assert again.sha256 == case.sha256
    assert again.problem_sha256 == case.problem_sha256


@pytest.mark.parametrize(("variant", "value"), [("I", 1.5), ("III", 1.5), ("IV", 1.5), ("V", 1.5)])
def test_variants_are_selectable(variant, value):
    case = read_case(RIEMANN, variant)
    assert case.name == f"bgk_riemann-{variant}"
    x = np.array([-0.5, 0.5])
    np.testing.assert_allclose(case.initial.rho(x=x), [1.5, 0.625], rtol=1e-3)
    assert case.domain.t_end == (0.05 if variant == "V" else 0.1)


def test_riemann_shorthand(tmp_path):
    text = SOD.read_text()
    head, tail = text.split("[initial]")
    tail = tail[tail.index("[boundary]") :]
    states = "left = { rho = 1.0, u = 0.0, T = 1.0 }\nright = { rho = 0.125, u = 0.0, T = 0.8 }\n"
    path = tmp_path / "jump.toml"
    path.write_text(f"{head}[initial.riemann]\n{states}at = 0.1\n\n{tail}")
    case = read_case(path)
    assert case.initial.rho(x=np.array([0.0, 0.1, 0.2])).tolist() == [1.0, 0.5625, 0.125]
    path.write_text(f"{head}[initial.riemann]\n{states}width = 0.02\n\n{tail}")
    np.testing.assert_allclose(
        read_case(path).initial.rho(x=np.array([-0.03])), read_case(SOD).initial.rho(x=np.array([-0.03]))
    )


def test_all_mistakes_at_once_with_their_lines(tmp_path):
    wrong = ["knudsen.evaluat=[1]", "initial.T=foo(x)", "velocity.kind=trap", "title=3"]
    path = tmp_path / "sod.toml"
    path.write_text(SOD.read_text().replace("t_end = 0.1", "t_end = -1"))
    with pytest.raises(BadInput) as caught:
        read_case(path, overrides=wrong)
    text = str(caught.value)
    assert len(text.splitlines()) == 5
    for part in (
        "did you mean 'evaluate'",
        "unknown function 'foo'",
        "domain.t_end = -1",
        "did you mean 'trapezoid'",
        "title",
    ):
        assert part in text
    lines = SOD.read_text().splitlines()
    row = next(line for line in text.splitlines() if "domain.t_end" in line)
    number = int(row.split(":")[1])
    assert lines[number - 1].startswith("t_end")
    assert text.count(f"{path}, command line: ") == 4


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("knudsen.evaluate=[0.0]", "sod.toml, command line: knudsen.evaluate.0 = 0.0: should be greater than 0"),
        ("knudsen.evaluate=0.1", "should be a list"),
        ("knudsen.evaluate=[1.0, 1.0]", "twice"),
        ("knudsen.evaluate=[]", "at least 1"),
        ("knudsen.train=[1.0, 0.1]", "low < high"),
        ("domain.x=[1.0, 0.0]", "low < high"),
        ("domain.output_times=[0.1, 0.05]", "increase"),
        ("domain.output_times=[0.2]", "after t_end"),
        ("initial.rho=x", "must be positive"),
        ("initial.rho=log(x)", "not finite"),
        ("initial.T=1 +", "not a formula"),
        ("velocity.range=[-3.0, 3.0]", "too narrow"),
        ("velocity.kind=slab_gauss", "does not fit"),
        ("velocity.nodes=3", "greater than or equal to 8"),
        ("boundary.left=periodic", "both periodic"),
        ("boundary.left=wall", "'free'"),
        ("boundary.left={kind='diffuse'}", "misses 'T'"),
        ("schema=2", "newer"),
        ("verify.rh=1e-3", "did you mean 'rho'"),
        ("equation.kind=bgkk", "did you mean 'bgk'"),
        ("constants.x=1.0", "taken"),
        ("domain.y=[0.0, 1.0]", "has no y interval"),
    ],
)
def test_mistake_is_named(override, message):
    with pytest.raises(BadInput, match=r"sod\.toml") as caught:
        read_case(SOD, overrides=[override])
    assert message in str(caught.value)
    if override == "knudsen.evaluate=[0.0]":
        assert len(str(caught.value).splitlines()) == 1, "an entry that is wrong is not missing as well"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["velocity.range=[-4.5, 4.5]"],
            r"hot state right of the contact .* T = 1.599, loses 0.11% of its mass and 1.2",
        ),
        (["velocity.range=[-3.0, 3.0]", "initial.T=1"], r"T = 1.811, loses 3.97% of its mass and 21.26% of"),
        (
            ["velocity.nodes=12"],
            r"velocity.nodes = 12: 12 nodes .* too few: the state left of the contact .*, T = 0.4207, .* error of 8",
        ),
        (
            ["boundary.left={kind='inflow', rho=1, u=8, T=1}"],
            r"what enters at the left end at t = 0, u = 8, .* loses 2.28% of",
        ),
        (
            ["boundary.left={kind='inflow', rho=1, u=0, T='1 - 20*t'}"],
            r"boundary.left: T must be positive, but is -1 at t = 0.1",
        ),
        (["boundary.right={kind='diffuse', T='1 + 60*t'}"], r"what enters at the right end at t = 0.1, u = 0, T = 7"),
        (["boundary.right={kind='diffuse', T='log(t - 1)'}"], r"boundary.right: T is not finite at t = 0"),
        (["initial.T='0.5 - x'"], r"initial.T = .* must be positive, but is 0 at x = 0.5"),
    ],
)
def test_states_that_the_velocities_do_not_hold_are_named(overrides, message):
    with pytest.raises(BadInput, match=message):
        read_case(SOD, overrides=overrides)


@pytest.mark.parametrize("scheme", ["imex", "dugks"])
def test_cfl_outside_of_the_stable_range(scheme):
    settings = [f"reference.scheme={scheme}", "reference.cfl=1.3"]
    with pytest.raises(
        BadInput, match=r"sod.toml, command line: reference.cfl = 1.3: is outside of the stable range: at most 1"
    ):
        read_case(SOD, None, settings, ENGINES)


def test_doping_and_temperature_must_be_positive_and_layers_resolved():
    diode, layer = (SOD.with_name(f"{name}.toml") for name in ("diode", "transport_boundary_layer"))
    with pytest.raises(BadInput, match=r"equation.doping = .*: must be positive, but is -0.499"):
        read_case(diode, overrides=["equation.doping='0.5 - 0.999*x*x'"])
    with pytest.raises(BadInput, match=r"equation.theta = -1"):
        read_case(diode, overrides=["equation.theta=-1.0"])
    case = read_case(layer, None, ["reference.graded=0"], ENGINES)
    scheme = schemes.load("discrete_ordinates")()
    with pytest.raises(
        BadInput, match=r"uniform mesh of 81 cells .* does not resolve the boundary layer of width 0.0001"
    ):
        scheme.coordinates(case, scheme.Options.model_validate(case.reference))


@pytest.mark.parametrize("override", ["nonsense", "a b=1", "=1"])
def test_bad_override(override):
    with pytest.raises(BadInput, match="KEY=VALUE"):
        read_case(SOD, overrides=[override])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"a = ", "not valid TOML"),
        (b"\xff\xfe", "UTF-8"),
        (b"# nothing", "no keys"),
        (b"x" * 2_000_000, "larger"),
    ],
)
def test_bad_files(tmp_path, content, message):
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=message):
        read_case(path)


def test_missing_file_names_the_nearest():
    with pytest.raises(BadInput, match=r"did you mean 'sod\.toml'"):
        read_case(SOD.with_name("sodd.toml"))
    with pytest.raises(BadInput, match="folder"):
        read_case(SOD.parent)
    with pytest.raises(BadInput, match="did you mean 'III'"):
        read_case(RIEMANN, "IIII")


def test_problem_hash_ignores_engines_but_not_physics():
    base = read_case(SOD)
    assert read_case(SOD, overrides=["reference.cells=100"]).problem_sha256 == base.problem_sha256
    assert read_case(SOD, overrides=["reference.cells=100"]).sha256 != base.sha256
    assert read_case(SOD, overrides=["initial.u=0.1"]).problem_sha256 != base.problem_sha256
