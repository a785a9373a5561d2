"""The table of default times: complete, and what the scenario, the scheduler and the page say."""

from __future__ import annotations

from stowplan.placement import messages as m
from stowplan.placement.agent.settings import AgentConfig
from stowplan.placement.scenario.containers import PullTable
from stowplan.placement.scenario.load_balancer import LoadBalancerTable
from stowplan.placement.scenario.models import Models
from stowplan.placement.scenario.scenario import Fault
from stowplan.placement.scheduler.services.deployments import HEALTHY_AFTER_MS
from stowplan.placement.times import DEFAULT_TIMES
from tests.placement.times_page import PAGE, page


def test_the_page_is_made_of_the_table():
    assert PAGE.read_text(encoding="utf-8") == page()


def test_every_time_has_a_source_and_what_is_assumed_says_that_nobody_knows():
    for time in DEFAULT_TIMES.values():
        assert len(time.source) > 10
        assert time.value >= 0
        assert (time.kind == "assumed") == ("ours" in time.source or "nobody" in time.source) or (
            "that the first comes then is ours" in time.source
        )


def test_a_scenario_that_says_nothing_has_the_times_of_the_table():
    models, pulls = Models(), PullTable()
    assert (
        models.boot.mean
        == 40_000
        == sum(DEFAULT_TIMES[part].value for part in ("launch", "user data", "agent"))
    )
    assert (models.start.median, models.start.sigma) == (660, 0.141)
    assert models.stop.mean == 300
    assert (pulls.latency, pulls.ms_per_mib) == (210, 12.2)
    fault = Fault(kind="spot-reclaim", at=0)
    assert (fault.detect, fault.notice) == (60_000, 120_000)
    assert HEALTHY_AFTER_MS == 40_000
    assert AgentConfig().stop_timeout_s == 30


def test_a_load_balancer_of_a_scenario_is_that_of_the_call():
    assert LoadBalancerTable().said(0) == m.LoadBalancer()
    assert LoadBalancerTable(ready_after=False).said(7).ready_after_ms is None
    assert LoadBalancerTable().said(7).grace_period_ms == 7
