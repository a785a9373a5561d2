"""A small scenario to ask questions of, in a file of its own."""

from __future__ import annotations

import pytest

SCENARIO = """
name = "tiny"
duration = "4m"

[task_definitions.job]
family = "job"
containerDefinitions = [{ name = "job", image = "job", cpu = 512, memory = 1024 }]

[[fleet]]
name = "general"
instance_type = "m5.large"
count = 4
zones = ["us-east-1a", "us-east-1b"]

[[workload]]
name = "jobs"
task_definition = "job"
kind = "poisson"
until = "4m"
options = { rate_per_s = 0.2, run = { distribution = "exponential", mean = "30s" } }

[strategies]
binpack = "binpack:memory"
spread = "spread:instanceId"
"""
SPEC = """
question = "Does packing cost anything?"
scenario = "tiny.toml"
seeds = 3
metrics = ["instances_busy_mean", "started"]
"""


@pytest.fixture
def folder(tmp_path):
    """A folder with `tiny.toml`, and `question.toml` about it."""
    (tmp_path / "tiny.toml").write_text(SCENARIO)
    (tmp_path / "question.toml").write_text(SPEC)
    return tmp_path
