"""Each rule of ECS that concerns placement, and the test that holds it.

Sections are those of our behaviour reference. A test that is renamed or removed fails here.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent

# (section, rule, file: test)
RULES = [
    (
        "1.1",
        "a task belongs to one group: family:F by default",
        "launches: the_group_is_the_family",
    ),
    ("1.1", "service tasks belong to service:NAME", "launches: the_group_is_the_family_unless"),
    ("1.1", "revisions count from 1, family alone is the latest", "launches: a_family_alone_means"),
    (
        "1.2",
        "memory or memoryReservation, essential, names",
        "taskdef_rules: a_broken_rule_is_named",
    ),
    ("1.3", "bridge reserves hostPort > 0, host every port", "taskdef: host_ports_by_network_mode"),
    ("1.3", "awsvpc reserves no host port", "awsvpc: awsvpc_tasks_reserve_no_host_port"),
    ("1.3", "at most 100 reserved host ports", "constraints: at_most_100_host_ports"),
    ("1.3", "zones of awsvpc subnets: LOCATION", "awsvpc: an_instance_outside_the_zones"),
    ("1.3", "task-eni capability: ATTRIBUTE", "awsvpc: an_instance_without_the_capability"),
    ("1.4", "ENI slots, with and without trunking", "awsvpc: slots_are_those_of_the_published"),
    ("1.5", "features ask for agent capabilities", "taskdef: a_feature_asks_for_the_capability"),
    ("1.5", "required attributes bind", "required_attributes: only_instances_with_every"),
    ("2.2", "default reserved ports take part", "cluster: reserved_ports_count_against_the_limit"),
    ("2.3", "task level wins, else soft over hard", "taskdef: a_task_reserves_what_ecs_reserves"),
    ("2.3", "overrides win over the task level", "taskdef: an_override_wins_over_the_task_level"),
    ("2.3", "ports disjoint by protocol", "constraints: a_host_port_in_use_or_reserved"),
    ("2.3", "an exact fit fits", "constraints: an_exact_fit_fits"),
    ("2.4", "taken at placement", "engine: every_task_is_placed_or_failed_and_nothing_is_broken"),
    ("2.4", "free when desiredStatus is STOPPED", "scheduler: room_is_free_as_soon_as_a_stop"),
    ("2.4", "and not a second time", "scheduler: a_stop_and_the_report_of_it_give"),
    (
        "3.1",
        "resources, constraints, strategies, select",
        "engine: the_engine_equals_the_reference",
    ),
    ("3.1", "DRAINING, disconnected, gone get nothing", "scheduler: an_instance_that_drains_is"),
    ("3.1", "not atomic: the rest fails", "scheduler: a_request_starts_as_many_tasks_as_fit"),
    ("3.1", "no queueing with a launch type", "scheduler: a_failed_task_is_forgotten"),
    ("3.1", "a capacity provider's tasks wait", "scheduler: a_task_for_a_capacity_provider_waits"),
    ("3.1", "membership in the capacity provider", "constraints: a_capacity_provider_rules_out"),
    ("3.2", "binpack: least remaining, not a ratio", "strategies: binpack_is_what_remains"),
    ("3.2", "field in any case", "strategies: binpack_reads_ecs_fields_in_any_case"),
    ("3.2", "spread counts the group, candidates or not", "strategies: spread_over_an_attribute"),
    ("3.2", "spread over instances", "strategies: spread_over_instances_counts_tasks"),
    ("3.2", "a missing attribute is a value", "strategies: instances_that_lack_the_attribute"),
    ("3.2", "a zone without room does not block", "engine: a_zone_without_room_does_not_block"),
    ("3.2", "chains are lexicographic", "engine: the_order_of_a_chain_matters"),
    ("3.2", "random: each candidate as often", "strategies: random_prefers_every_candidate"),
    ("3.2", "defaults of tasks and of services", "launches: the_default_is_random_for_tasks"),
    ("3.2", "a zone with fewest tasks of the service", "strategies: the_default_of_a_service"),
    ("3.3", "at most ten constraints together", "launches: constraints_of_definition_and_call_to"),
    ("3.3", "distinctInstance by group", "constraints: distinct_instance_looks_at_the_group"),
    ("3.3", "memberOf of definition and call both hold", "launches: constraints_of_the_definition"),
    ("3.4", "a stopping task is not counted", "services: a_stopping_task_of_a_group_is_no_longer"),
    ("3.5", "the cluster query language", "query: an_expression_selects"),
    ("3.5", "affinity to nobody places nothing", "engine: a_group_at_home_nowhere_cannot_place"),
    ("3.6", "failure reasons, steps counted", "engine: a_failure_counts_what_each_step_removed"),
    ("3.6", "the order of shortages", "constraints: resources_are_reported_in_their_order"),
    ("3.6", "reasons name their constraint", "constraints: every_registered_constraint_has_a_re"),
    ("3.6", "StartTask: MISSING, INACTIVE, AGENT", "start_task: a_refusal_names_what_the_instance"),
    ("3.6", "TaskFailedToStart after waiting", "scheduler: a_task_that_waited_too_long_is_stopped"),
    ("4.6", "draining replaces running service tasks", "services: a_running_task_on_a_draining"),
    ("4.6", "and stops pending ones at once", "services: a_pending_task_on_a_draining_instance"),
    ("5.2", "DAEMON: one on every eligible instance", "daemons: a_daemon_runs_one_task_on_every"),
    ("5.2", "first to start", "daemons: a_new_instance_gets_its_daemon_before_any_other"),
    ("5.2", "last to stop", "daemons: a_daemon_on_a_draining_instance_stops_last"),
    ("5.2", "constraints hold while it runs", "daemons: a_daemon_task_leaves_an_instance_that"),
    ("5.6", "scale-in is the strategy in reverse", "engine: scale_in_takes_tasks_away_as_the_reve"),
    ("5.6", "binpack leaves the most room", "engine: scale_in_of_binpack_leaves_the_most_room"),
    ("6.2", "500 may be PROVISIONING", "scheduler: the_quota_bounds_how_many_wait"),
    ("9.1", "StartTask: one on each, partial success", "start_task: some_may_fail_while_others"),
]


@pytest.mark.parametrize(("section", "rule", "test"), RULES, ids=[rule for _, rule, _ in RULES])
def test_a_rule_has_a_test_that_holds_it(section, rule, test):
    file, _, beginning = test.partition(": ")
    source = next(HERE.rglob(f"test_{file}.py")).read_text()

    held = re.findall(rf"^def test_{re.escape(beginning)}", source, re.MULTILINE)

    assert held, f"{section} {rule}: no test_{beginning}... in test_{file}.py"
