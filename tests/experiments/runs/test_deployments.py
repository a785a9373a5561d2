"""The scenario of deployments: what it shows, and that the checkers have nothing to say."""

from __future__ import annotations

import gzip

import pytest

from stowplan.experiments.files.paths import SCENARIOS
from stowplan.experiments.loading.load import load_scenario
from stowplan.experiments.runs.simulate import simulate
from stowplan.placement import messages as m
from stowplan.placement.audit.checkers import check_rounds
from stowplan.placement.journal import read_journal

SCENARIO = SCENARIOS / "deployments.toml"


@pytest.mark.parametrize(
    "run", ["ecs-default__shared__partition", "ecs-default__shared__spot-reclaim"]
)
def test_all_services_end_whole_and_the_broken_one_on_its_old_revision(run, tmp_path):
    loaded = load_scenario(SCENARIO)
    chosen = next(each for each in loaded.scenario.runs() if each.id == run)
    journal = tmp_path / "journal"
    simulate(loaded, chosen, journal)
    with gzip.open(journal) as stream:
        rounds = list(read_journal(stream)[1])
    assert not check_rounds(rounds)
    said = [c.text for r in rounds for c in r.commands if isinstance(c, m.ServiceEvent)]
    assert "(service worker) rolling back to deployment ecs-svc/3." in said
    assert "(service web) (deployment ecs-svc/4) deployment completed." in said
    assert "(service api) (deployment ecs-svc/5) deployment completed." in said
    last = {text.split(")")[0]: text for text in said}
    assert all(text.endswith("has reached a steady state.") for text in last.values())
    balanced = any(
        "rebalancing" in c.reason for r in rounds for c in r.commands if isinstance(c, m.StopTasks)
    )
    assert balanced == run.endswith("partition")
