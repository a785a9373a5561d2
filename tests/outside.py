"""Calls from outside in the middle of a run: the same whatever plays the world."""

from __future__ import annotations

from collections.abc import Callable

from stowplan.placement import messages as m
from stowplan.placement.audit.checkers import check_rounds
from stowplan.placement.callers.callers import Answer, Callers
from stowplan.placement.callers.client import Arrival
from stowplan.placement.describe import Reader
from stowplan.placement.journal import replay
from stowplan.placement.model import TaskStatus
from stowplan.placement.scheduler.scheduler import Scheduler

Until = Callable[[Callable[[], object]], object]


def arrivals(document: dict) -> list[Arrival]:
    """A workload's client: a task at once, and one more after a while; each runs for long."""
    return [
        Arrival(0, m.RegisterTaskDefinition(document)),
        Arrival(0, m.RunTask(0, document["family"], 1), 600_000),
        Arrival(2_000, m.RunTask(1, document["family"], 1), 600_000),
    ]


def check_outside(callers: Callers, rounds: list[m.Round], until: Until, family: str) -> None:
    """Run a task, make, change and delete a service, and be refused, while the run goes on.

    Args:
        callers: of the run, whose client makes `arrivals`.
        rounds: those of the run so far, to which the run adds.
        until: lets the run go on until something holds.
    """
    answers: list[Answer] = []

    def asked(call: m.Event) -> Answer:
        before = len(answers)
        callers.submit(call, answers.append)
        until(lambda: len(answers) > before)
        return answers[-1]

    def state():
        reader = Reader()
        for entry in rounds:
            reader(entry)
        return reader.state

    def runs(tasks) -> bool:
        return all(state().tasks[task].last_status is TaskStatus.RUNNING for task in tasks)

    until(lambda: 0 in state().tasks and runs([0]))
    override = m.ContainerOverride("c", environment=(("FROM", "outside"),))
    ran = asked(m.RunTask(77, family, 2, started_by="me", overrides=(override,)))
    assert (ran.error, len(ran.tasks), ran.failures) == ("", 2, [])
    assert ran.call.request in (1, 2), "the next number, whatever its caller had thought of"
    until(lambda: runs(ran.tasks))
    until(lambda: len(state().tasks) == 4)  # the client's second task has a number of its own
    requests = [e.request for entry in rounds for e in entry.events if isinstance(e, m.RunTask)]
    assert sorted(requests) == [0, 1, 2]

    assert asked(m.CreateService("web", family, 1)).error == ""
    until(lambda: state().services["web"].running == 1)
    assert asked(m.UpdateService("web", 2)).error == ""
    until(lambda: state().services["web"].running == 2)
    assert asked(m.DeleteService("web")).error == "InvalidParameterException"
    assert asked(m.DeleteService("web", force=True)).error == ""
    until(lambda: state().services["web"].status == "INACTIVE")
    gone = asked(m.UpdateService("web", 1))
    assert (gone.error, "unknown" in gone.reason) == ("ServiceNotFoundException", True)
    nowhere = asked(m.RunTask(0, family, 1, cpu=1 << 20))
    assert [each.failure.reason for each in nowhere.failures] == ["RESOURCE:CPU"]

    replay(Scheduler(), rounds)
    assert check_rounds(rounds) == []
