"""What the terminal says of methods and optimizers comes from the code that the contract tests hold to it."""

import json

import pytest
from typer.testing import CliRunner

import hrgrad
from hrgrad.method import CLAIMS
from hrgrad.optimizer import load_optimizer, optimizer_names
from kinetic_cli.app import app

RUN = CliRunner()


def say(*words):
    done = RUN.invoke(app, words)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("name", hrgrad.method_names())
def test_explain_gives_formula_cost_state_claims_source_and_options(name):
    method, text = hrgrad.load_method(name), say("explain", name)
    for word in ("=", "Cost:", "State:", "Source:", "Needs:", "Claims"):
        assert word in text
    for claim, meaning in CLAIMS.items():
        assert (f"  {claim.replace('_', ' ')}: {meaning}" in text) == (claim in method.properties)
    for option in method.Options.__dataclass_fields__:
        assert f"  {option} = " in text


@pytest.mark.parametrize("name", optimizer_names())
def test_explain_says_what_an_optimizer_needs(name):
    text = say("explain", name)
    need = {"direction": "a direction", "closure": "the loss and its gradient", "residuals": "the residual vector"}
    assert need[load_optimizer(name).needs] in text
    assert all(f"  {option} = " in text for option in load_optimizer(name).Options.__dataclass_fields__)


def test_table_of_claims_in_three_forms():
    found = json.loads(say("list", "methods", "--claims", "--json"))
    assert found["claims"] == dict(CLAIMS)
    for name, row in found["methods"].items():
        assert {claim for claim in CLAIMS if row[claim]} == set(hrgrad.load_method(name).properties)
    markdown = say("list", "methods", "--markdown").splitlines()
    (row,) = [line for line in markdown if line.startswith("| `ls` | losses |")]
    assert row.count("|") == len(CLAIMS) + 3
    assert row.count(" x ") == len(hrgrad.load_method("ls").properties)
    assert "1  non conflicting" in say("list", "--claims")
    assert "kinetic list methods --claims" in str(RUN.invoke(app, ["list", "schemes", "--claims"]).exception)
