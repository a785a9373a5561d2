"""Carries out the agent's actions on one engine, and answers each with what came of it.

The fate of an action is unknown if the engine or the run was gone. Then a look at the engine
decides: a container that is there is not made again, and one that was started is not started twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock

from stowplan.placement.agent import runtime as r
from stowplan.placement.driver import DriverError, NotFound
from stowplan.placement.model import ContainerDefinition
from stowplan.realdriver.docker import names
from stowplan.realdriver.docker.connection import Connection, EngineContainer
from stowplan.realdriver.docker.errors import Conflict, Unreachable
from stowplan.realdriver.docker.placed import Placed
from stowplan.realdriver.docker.registries import of_registry
from stowplan.realdriver.docker.translate import create_call, pause_call
from stowplan.realdriver.docker.volumes import volume_calls, volumes


@dataclass(frozen=True, slots=True)
class ActionOrder:
    """An action of an instance's agent, for one of its tasks.

    `instance` is its number. `seen` is the last known start of the container. `unsure`: the action
    may have been done before.
    """

    instance: int
    action: r.Action
    task: Placed
    seen: str = ""
    unsure: bool = False


@dataclass(frozen=True, slots=True)
class ActionAnswer:
    """What came of an order; `container` as it is then, where that says more."""

    order: ActionOrder
    event: r.RuntimeEvent | None = None
    container: EngineContainer | None = None


@dataclass(frozen=True, slots=True)
class Undecided:
    """The engine was gone before it said what came of an order."""

    order: ActionOrder
    why: str


def foregone(order: ActionOrder, found: Mapping[str, EngineContainer]) -> ActionAnswer | None:
    """The answer to an order that the engine's containers (by name) give already, if they do."""
    action = order.action
    there = found.get(order.task.name(action.container))
    if there is None:
        return None
    if isinstance(action, r.PullImage):
        return ActionAnswer(order, r.ImagePulled(action.task, action.container))
    if isinstance(action, r.CreateContainer):
        return ActionAnswer(order, r.Created(action.task, action.container))
    if isinstance(action, r.StartContainer) and there.started_at not in ("", order.seen):
        return ActionAnswer(order, r.Started(action.task, action.container), there)
    if isinstance(action, r.StopContainer) and (there.over or there.status == "created"):
        return ActionAnswer(order, exited(there), there)
    return None


def exited(container: EngineContainer) -> r.Exited:
    """How a container that does not run ended."""
    return r.Exited(container.task, container.name, container.exit_code, container.oom_killed)


def gone(task: int, container: str) -> r.Exited:
    """The end of a container that is not there any more: nobody can say how it ended."""
    return r.Exited(task, container, None)


class ActionRunner:
    """Carries out the actions for one engine; any thread may call it.

    Args:
        credentials: user name and password by registry, as images name it.
    """

    def __init__(
        self, connection: Connection, credentials: Mapping[str, Mapping[str, str]]
    ) -> None:
        self._connection, self._credentials = connection, credentials
        self._pulling: dict[str, Lock] = {}
        self._there: set[str] = set()
        self._doing: dict[type, Callable[[ActionOrder], ActionAnswer]] = {
            r.PullImage: self._pull,
            r.CreateContainer: self._create,
            r.StartContainer: self._start,
            r.StopContainer: self._stop,
            r.RemoveContainer: self._remove,
        }

    def carry_out(self, order: ActionOrder) -> ActionAnswer | Undecided:
        """Do it. Errors are answers, too."""
        try:
            return (order.unsure and self._decided(order)) or self._doing[type(order.action)](order)
        except Unreachable as error:
            return Undecided(order, str(error))
        except DriverError as error:
            if isinstance(order.action, r.StopContainer):
                return Undecided(order, str(error))  # it must stop: it is tried again
            return ActionAnswer(order, _failed(order.action, str(error)))

    def _decided(self, order: ActionOrder) -> ActionAnswer | None:
        try:
            name = order.task.name(order.action.container)
            return foregone(order, {name: self._connection.inspect(name)})
        except NotFound:
            return None

    def _pull(self, order: ActionOrder) -> ActionAnswer:
        action = order.action
        assert isinstance(action, r.PullImage)
        # One pull of an image at a time: the others then find all or most of it there.
        with self._pulling.setdefault(action.image, Lock()):
            if not (action.unless_cached and self._has(action.image)):
                known = of_registry(self._credentials, action.image)
                self._connection.pull(action.image, known)
                self._there.add(action.image)
        return ActionAnswer(order, r.ImagePulled(action.task, action.container))

    def _has(self, image: str) -> bool:
        if image not in self._there and self._connection.has_image(image):
            self._there.add(image)
        return image in self._there

    def _create(self, order: ActionOrder) -> ActionAnswer:
        action, task = order.action, order.task
        holder = self._hold(task) if task.is_held else None
        for call in volume_calls(task):
            self._connection.create_volume(call)
        definition = _definition(task, action.container)
        try:
            self._connection.create(
                task.name(action.container), create_call(task, definition, holder)
            )
        except NotFound:
            self._there.discard(definition.image)  # it was removed by hand
            raise
        return ActionAnswer(order, r.Created(action.task, action.container))

    def _hold(self, task: Placed) -> str:
        """See that the container that holds the task runs; returns its id."""
        name = task.name(names.PAUSE)
        with self._pulling.setdefault(name, Lock()):
            self._connection.ensure_pause_image()
            holder = self._connection.create(name, pause_call(task))
            try:
                self._connection.start(name)
            except NotFound:  # its network was removed; it keeps to the one it was made with
                self._connection.prepare(task.cluster, task.of_cluster)
                self._connection.remove(name)
                holder = self._connection.create(name, pause_call(task))
                self._connection.start(name)
        return holder

    def _start(self, order: ActionOrder) -> ActionAnswer:
        action = order.action
        name = order.task.name(action.container)
        if order.seen and order.task.limits_all:
            self._hold(order.task)  # the limits are its, and may be gone since the first start
        try:
            self._connection.start(name)
        except NotFound:
            self._remake(order)
        started = r.Started(action.task, action.container)
        if not _definition(order.task, action.container).port_mappings:
            return ActionAnswer(order, started)  # an inspection would say nothing new
        try:
            return ActionAnswer(order, started, self._connection.inspect(name))
        except NotFound:
            return ActionAnswer(order, gone(action.task, action.container))

    def _remake(self, order: ActionOrder) -> None:
        """Start a container whose network, or that itself, somebody has removed.

        One that never ran keeps to the network that was there when it was made, so it is made
        anew. One that ran has something to lose, and one that is gone may have run.

        Raises:
            NotFound: it ran before, or may have, or what it needs cannot be made.
        """
        name = order.task.name(order.action.container)
        self._connection.prepare(order.task.cluster, order.task.of_cluster)
        try:
            self._connection.start(name)
        except NotFound:
            if order.seen or (order.unsure and not self._is_there(name)):
                raise
            self._connection.remove(name)
            self._create(order)
            self._connection.start(name)

    def _is_there(self, name: str) -> bool:
        with suppress(NotFound):
            self._connection.inspect(name)
            return True
        return False

    def _stop(self, order: ActionOrder) -> ActionAnswer:
        action = order.action
        assert isinstance(action, r.StopContainer)
        name = order.task.name(action.container)
        try:
            self._connection.stop(name, action.timeout_s)
            there = self._connection.inspect(name)
        except NotFound:
            return ActionAnswer(order, gone(action.task, action.container))
        return ActionAnswer(order, exited(there), there)

    def _remove(self, order: ActionOrder) -> ActionAnswer:
        self._connection.remove(order.task.name(order.action.container))
        for name in volumes(order.task).values():
            with suppress(Conflict):  # another container of the task still has it
                self._connection.drop_volume(name)
        return ActionAnswer(order)

    def let_go(self, task: Placed) -> None:
        """Remove the container that held a task that has stopped."""
        with suppress(DriverError):  # what stays is found when the engine is looked at again
            self._connection.remove(task.name(names.PAUSE))


def _definition(task: Placed, name: str) -> ContainerDefinition:
    return next(each for each in task.definition.containers if each.name == name)


def _failed(action: r.Action, why: str) -> r.RuntimeEvent | None:
    if isinstance(action, r.PullImage):
        return r.PullFailed(action.task, action.container, why)
    if isinstance(action, r.CreateContainer):
        return r.CreateFailed(action.task, action.container, why)
    if isinstance(action, r.StartContainer):
        return r.StartFailed(action.task, action.container, why)
    return None
