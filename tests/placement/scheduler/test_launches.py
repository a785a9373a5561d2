"""Task definitions by name and revision, and the kinds of task that calls make of them."""

from __future__ import annotations

import pytest

from stowplan.placement import messages as m
from stowplan.placement.errors import PlacementError, SpecError
from stowplan.placement.model import AVAILABILITY_ZONE, PlacementConstraint, PlacementStrategy
from stowplan.placement.scheduler.launches import Launches
from tests.driving import DISTINCT, definition, member_of


def registered(*documents: m.RegisterTaskDefinition) -> Launches:
    launches = Launches()
    for call in documents or (definition(),):
        launches.register(call.document)
    return launches


def test_revisions_count_from_one_in_each_family():
    launches = registered(definition(cpu=1), definition(cpu=2), definition("other"))
    names = ("app:1", "app:2", "other:1")
    assert [launches.definition(name).name for name in names] == list(names)


def test_a_family_alone_means_its_latest_revision():
    launches = registered(definition(cpu=1), definition(cpu=2))
    assert launches.definition("app").revision == 2


@pytest.mark.parametrize("name", ["nobody", "app:0", "app:3", "app:", "app:one", "app:-1", ""])
def test_a_definition_that_is_not_registered_is_an_error(name):
    launches = registered(definition(cpu=1), definition(cpu=2))
    if name == "app:":
        assert launches.definition(name).revision == 2
        return
    with pytest.raises(PlacementError, match="unknown task definition"):
        launches.definition(name)


def test_a_bad_document_takes_no_revision():
    launches = registered()
    with pytest.raises(SpecError):
        launches.register({"family": "app", "containerDefinitions": []})
    assert launches.register(definition().document).revision == 2


def test_the_group_is_the_family_unless_the_call_names_one_and_the_service_for_services():
    launches = registered()
    assert launches.of_run_task(m.RunTask(0, "app", 1)).kind.group == "family:app"
    assert launches.of_run_task(m.RunTask(0, "app", 1, group="jobs")).kind.group == "jobs"
    assert launches.of_service(m.CreateService("web", "app", 1)).kind.group == "service:web"


def test_the_default_is_random_for_tasks_and_zone_then_instance_for_services():
    launches = registered()
    assert launches.of_run_task(m.RunTask(0, "app", 1)).kind.strategies == (
        PlacementStrategy("random"),
    )
    assert launches.of_service(m.CreateService("web", "app", 1)).kind.strategies == (
        PlacementStrategy("spread", f"attribute:{AVAILABILITY_ZONE}"),
        PlacementStrategy("spread", "instanceId"),
    )


def test_an_override_replaces_what_the_definition_asks_for():
    launches = registered()
    launch = launches.of_run_task(m.RunTask(0, "app", 1, cpu=512, memory=64))
    assert dict(launch.kind.resources) == {"CPU": 512, "MEMORY": 64}
    assert (launch.cpu, launch.memory) == (512, 64)
    plain = launches.of_run_task(m.RunTask(0, "app", 1))
    assert dict(plain.kind.resources) == {"CPU": 256, "MEMORY": 128}


def test_constraints_of_the_definition_come_before_those_of_the_call():
    own = [{"type": "memberOf", "expression": "attribute:a exists"}]
    launches = registered(definition(placementConstraints=own))
    launch = launches.of_run_task(m.RunTask(0, "app", 1, placement_constraints=DISTINCT))
    assert launch.kind.constraints == (
        PlacementConstraint("memberOf", "attribute:a exists"),
        PlacementConstraint("distinctInstance"),
    )


def test_constraints_of_definition_and_call_together_are_ten_at_most():
    own = [{"type": "memberOf", "expression": "attribute:a exists"}] * 6
    launches = registered(definition(placementConstraints=own))
    more = member_of("attribute:b exists")
    assert launches.of_run_task(m.RunTask(0, "app", 1, placement_constraints=more * 4))
    with pytest.raises(PlacementError, match="11 placement constraints, 10 allowed"):
        launches.of_run_task(m.RunTask(0, "app", 1, placement_constraints=more * 5))


def test_zones_count_for_awsvpc_only():
    launches = registered(definition(networkMode="awsvpc"), definition("plain"))
    call = m.RunTask(0, "app", 1, zones=("a",))
    assert launches.of_run_task(call).kind.zones == ("a",)
    call = m.RunTask(0, "plain", 1, zones=("a",))
    assert launches.of_run_task(call).kind.zones == ()


def test_equal_calls_make_the_same_kind_and_other_numbers_do_not_matter():
    launches = registered()
    one = launches.of_run_task(m.RunTask(1, "app", 3, started_by="me"))
    two = launches.of_run_task(m.RunTask(2, "app:1", 5))
    assert one.kind is two.kind
    assert (one.request, two.request) == (1, 2)


@pytest.mark.parametrize(
    "change",
    [
        {"group": "g"},
        {"cpu": 1},
        {"memory": 64},
        {"placement_constraints": DISTINCT},
        {"placement_strategy": (PlacementStrategy("binpack", "cpu"),)},
        {"capacity_provider": "cp"},
    ],
)
def test_what_placement_may_read_makes_another_kind(change):
    launches = registered()
    plain = launches.of_run_task(m.RunTask(0, "app", 1)).kind
    assert launches.of_run_task(m.RunTask(0, "app", 1, **change)).kind != plain


def test_a_new_revision_does_not_change_what_was_launched_before():
    launches = registered()
    old = launches.of_run_task(m.RunTask(0, "app", 1))
    launches.register(definition(cpu=999).document)
    assert dict(old.kind.resources)["CPU"] == 256
    assert dict(launches.of_run_task(m.RunTask(0, "app", 1)).kind.resources)["CPU"] == 999


def test_a_call_may_ask_for_resources_of_its_own():
    call = m.RunTask(0, "app", 1, resources=(("GPU", 2), ("RDMA", 25)))
    resources = dict(registered().of_run_task(call).kind.resources)
    assert (resources["GPU"], resources["RDMA"]) == (2, 25)
    plain = registered().of_run_task(m.RunTask(0, "app", 1)).kind.resources
    assert resources.items() >= dict(plain).items()
