"""What lacks room in a scheduler as it stands."""

import pytest

from stowplan.placement import messages as m
from stowplan.placement.errors import PlacementError
from stowplan.placement.model import PlacementConstraint, TaskStatus
from stowplan.placement.scheduler.lacking import (
    lack_of_service,
    lack_of_task,
    offers_of,
    residents,
    service_lacks,
)
from tests.driving import BINPACK, Driven, definition, instance, on, provider, running, stopped


def driven_with(*calls, cpu=600):
    driven = Driven()
    driven.round(definition("app", cpu=cpu), instance(0), instance(1, zone="b"), *calls)
    return driven, driven.scheduler


def service(count=3, **fields):
    fields = {"placement_strategy": BINPACK, **fields}
    return m.CreateService("web", "app", count, **fields)


def test_a_service_lacks_what_it_could_not_place_until_there_is_room():
    driven, scheduler = driven_with(service())
    lack = lack_of_service(scheduler, "web")
    assert (lack.name, lack.count, lack.wanted, lack.daemon) == ("service web", 1, 3, False)
    assert service_lacks(scheduler, "web")
    assert lack.kind is scheduler.services["web"].launch.kind
    driven.round(instance(2))
    assert not service_lacks(scheduler, "web")
    assert lack_of_service(scheduler, "web").count == 0
    with pytest.raises(PlacementError, match="unknown service 'db'"):
        lack_of_service(scheduler, "db")


def test_tasks_that_wait_for_a_provider_are_lacking_with_their_kind():
    driven, scheduler = driven_with(provider(), service(2, capacity_provider_strategy=on(cp=1)))
    lack = lack_of_service(scheduler, "web")
    assert (lack.count, lack.kind.capacity_provider) == (2, "cp")
    assert service_lacks(scheduler, "web")
    single = lack_of_task(scheduler, 0)
    assert (single.count, single.status, single.row) == (1, TaskStatus.PROVISIONING, -1)
    driven.round(instance(2, capacity_provider="cp"))
    placed = lack_of_task(scheduler, 0)
    assert (placed.count, placed.status, placed.row) == (0, TaskStatus.PENDING, 2)
    assert lack_of_service(scheduler, "web").count == 1


def test_a_daemon_lacks_an_instance_that_is_full():
    daemon = m.CreateService("agent", "app", 0, scheduling_strategy="DAEMON")
    driven, scheduler = driven_with(service(1))
    driven.round(daemon)
    lack = lack_of_service(scheduler, "agent")
    assert (lack.name, lack.count, lack.wanted, lack.daemon) == ("daemon agent", 1, 2, True)
    assert lack.kind.constraints == (PlacementConstraint("distinctInstance"),)
    assert service_lacks(scheduler, "agent")
    assert not service_lacks(scheduler, "web")


def test_residents_are_the_tasks_that_hold_resources():
    driven, scheduler = driven_with(service(4), cpu=300)
    driven.round(running(0, 1, 2, 3))
    driven.round(stopped(1))
    here = residents(scheduler, 0)
    assert 1 not in [each.task for each in here]
    total = sum(dict(each.kind.resources)["CPU"] for each in here)
    assert scheduler.cluster.registered[0, 0] - scheduler.cluster.remaining[0, 0] == total


def test_a_provider_offers_each_template_in_each_zone():
    _, scheduler = driven_with(provider(cpu=2048))
    offers = offers_of(scheduler)
    assert [o.strings["attribute:ecs.availability-zone"] for o in offers] == ["a", "b"]
    assert {o.strings["capacityProviderName"] for o in offers} == {"cp"}
    assert [(o.type, o.resources["CPU"], o.there) for o in offers] == [
        ("that cp launches", 2048, True)
    ] * 2
