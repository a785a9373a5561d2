"""The policy of a run allows every call that stands in the code of the driver, and no other."""

from __future__ import annotations

import ast
import json

import pytest

from stowplan.experiments.cli.main import main
from stowplan.realdriver.ec2 import rights
from tests.house import ROOT

# What IAM calls an action that a batch of calls has another name for.
ACTIONS = {"sqs:DeleteMessageBatch": "sqs:DeleteMessage"}
# Calls that name the action alone: they are ECS's.
OF_ECS = ("_call", "_pages")


def called():
    """The calls that are written out in the room: `call("ec2", "RunInstances", ...)`."""
    found = set()
    for path in (ROOT / "realdriver" / "ec2").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            texts = [
                each.value
                for each in node.args
                if isinstance(each, ast.Constant) and isinstance(each.value, str)
            ]
            if node.func.attr in OF_ECS and texts:
                found.add(f"ecs:{texts[0]}")
            elif node.func.attr in ("call", "pages") and len(texts) > 1:
                found.add(f"{texts[0]}:{texts[1]}")
    return {ACTIONS.get(each, each) for each in found}


def test_the_policy_of_a_run_is_what_its_driver_calls():
    assert {right.action for right in rights.RUN if not right.implied} == called()


@pytest.mark.parametrize("command", ["run", "down"])
def test_it_is_printed(command, capsys):
    assert main(["iam-policy", command, "--cluster", "shop"]) == 0
    statements = json.loads(capsys.readouterr().out)["Statement"]
    allowed = {action for each in statements for action in each["Action"]}
    assert allowed == {right.action for right in (rights.RUN if command == "run" else rights.DOWN)}
    ends = next(each for each in statements if "ec2:TerminateInstances" in each["Action"])
    # It may end no instance of anybody else.
    assert ends["Condition"] == {"StringLike": {"aws:ResourceTag/stowplan:cluster": "shop"}}
