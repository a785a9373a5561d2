"""What is asked about in a run, by name: followed round by round, then said from the state.

A state describes what ECS describes. Which call a task came of is more than that, so it is kept
here, for the one that is asked about.
"""

from __future__ import annotations

from stowplan.placement import messages as m
from stowplan.placement.describe import Service, State, Task
from stowplan.placement.errors import PlacementError, SpecError
from stowplan.placement.model import TaskStatus
from stowplan.placement.scheduler.described import Described, missing
from stowplan.placement.scheduler.lacking import Lack

_Call = m.RunTask | m.StartTask


class Asked:
    """The name of a service, the number of a task, or a family of which RunTask starts tasks.

    Show it every round, once the state has it: it knows whether that lacked room then.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._number = int(name) if name.isdecimal() else -1
        self._family = name.partition(":")[0]
        self._short = False  # the service has said that it finds no room
        self._task: Task | None = None  # also after the state has forgotten it
        self._calls: dict[int, _Call] = {}  # of the family, and in this round
        self._last: tuple[m.RunTask, int, str | None] | None = None  # of the family
        self._of: _Call | None = None  # the call of the task
        self._failed = False

    def lacks(self, entry: m.Round, state: State) -> bool:
        """Whether it lacks room after this round."""
        self._note(entry, state)
        service = state.services.get(self.name)
        if service is not None and service.status == "ACTIVE":
            return self._service_lacks(entry, service, state)
        if self._task is not None:
            return self._task.last_status is TaskStatus.PROVISIONING
        return self._failed or bool(self._waiting(state))

    def lack(self, described: Described) -> Lack:
        """What it lacks after the last round that was shown, or would as one more task.

        Raises:
            SpecError: there is nothing of that name; says what there is.
        """
        state = described.state
        service = state.services.get(self.name)
        if service is not None and service.status == "ACTIVE":
            return described.of_service(service)
        if self._task is not None:
            found = described.of_task(self._task, self._of)
            if found is not None:
                return found
        found = self._of_family(described)
        if found is not None:
            return found
        services = ", ".join(each.name for each in state.list_services()) or "none"
        what = f"no service, task or family of that name by then; services: {services}; "
        what += f"tasks are numbers below {state.tasks_ever}"
        raise SpecError([(self.name, what)])

    # --- a service --------------------------------------------------------------------------------

    def _service_lacks(self, entry: m.Round, service: Service, state: State) -> bool:
        for said in entry.commands:
            if isinstance(said, m.ServiceEvent) and said.service == self.name:
                steady = "has reached a steady state" in said.text
                self._short = said.failure is not None or (self._short and not steady)
        if self._short and not service.daemon:
            self._short = missing(state, service) > 0
        waits = (state.tasks[n].last_status is TaskStatus.PROVISIONING for n in service.tasks)
        return self._short or any(waits)

    # --- a task, a family -------------------------------------------------------------------------

    def _note(self, entry: m.Round, state: State) -> None:
        """Calls that the tasks of a family, or the task that is meant, come of."""
        self._failed = False
        calls = [each for each in entry.accepted() if isinstance(each, _Call)]
        for call in calls:
            if isinstance(call, m.RunTask) and self._is_of(call):
                self._calls[call.request] = call
                self._last = call, 0, call.capacity_provider
        for said in entry.commands:
            if isinstance(said, m.RunTaskFailed | m.TasksProvisioning):
                self._note_refusal(said)
        if self._task is None and 0 <= self._number < state.tasks_ever:
            self._task = state.tasks.get(self._number)
            request = None if self._task is None else self._task.request
            mine = (call for call in calls if call.request == request)
            self._of = next(mine, None) if request is not None else None

    def _note_refusal(self, said: m.RunTaskFailed | m.TasksProvisioning) -> None:
        asked = None if said.request is None else self._calls.get(said.request)
        if not isinstance(asked, m.RunTask):
            return
        failed = isinstance(said, m.RunTaskFailed)
        count = said.count if isinstance(said, m.RunTaskFailed) else len(said.tasks)
        self._last = asked, count, said.capacity_provider
        self._failed |= failed

    def _is_of(self, call: m.RunTask) -> bool:
        return self.name in (call.task_definition, call.task_definition.partition(":")[0])

    def _waiting(self, state: State) -> list[Task]:
        if not self._calls:
            return []
        found = state.list_tasks(family=self._family)
        return [t for t in found if t.asked is not None and self._is_of(t.asked)]

    def _of_family(self, described: Described) -> Lack | None:
        waiting = self._waiting(described.state)
        if self._last is not None and (self._failed or not waiting):
            call, count, provider = self._last
            try:
                kind = described.launches.of_run_task(call, provider).kind
            except PlacementError:
                return None  # of a revision that is INACTIVE by now
            said = f"request {call.request} of {call.task_definition}"
            return Lack(said, kind, count if self._failed else 0, call.count)
        if not waiting:
            return None
        return described.of_waiting(f"family {self.name}", waiting)
