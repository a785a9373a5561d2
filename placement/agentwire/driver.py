"""A driver whose instances are real agents: orders become messages to them, reports events.

It has neither thread nor socket: whoever holds the sockets tells it what comes, and when, and it
hands frames to `Peer`s. What is described (`State`) is all that it knows of tasks, so after a
restart the journal alone makes it anew. The loop runs it as a simulated world: its time is told.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from stowplan.placement import messages as m
from stowplan.placement.agentwire.control import Control
from stowplan.placement.agentwire.credentials import KeysOf
from stowplan.placement.agentwire.post import Peer, Post, Session
from stowplan.placement.callers.callers import Answer, Answered
from stowplan.placement.describe import State
from stowplan.placement.model import InstanceStatus, TaskStatus
from stowplan.placement.wire.arns import Ids
from stowplan.placement.wire.world import Machine

_TOKENS_MOST = 10_000


@dataclass(frozen=True, slots=True)
class AgentsSettings:
    """Times in ms: how often agents get a heartbeat; after how long a silence one counts as
    disconnected; after how long a message is sent again."""

    beat_ms: int = 20_000
    patience_ms: int = 60_000
    resend_ms: int = 10_000


class AgentsDriver:
    """See the module. Its methods are called by one thread at a time.

    Args:
        state: of the cluster, which a `Reader` keeps; it is up to date when a command comes.
        ids: of the cluster.
        epoch_s: the time of 0 ms, in seconds since 1970.
        keys: makes the credentials of a role.
    """

    def __init__(
        self,
        state: State,
        ids: Ids,
        *,
        epoch_s: float,
        keys: KeysOf,
        settings: AgentsSettings = AgentsSettings(),  # frozen
    ) -> None:
        self.state = state
        self._settings = settings
        self._control = Control(state, ids, epoch_s, keys)
        self._now_ms = 0
        self._events: list[m.Event] = []
        self._asked: list[tuple[m.Event, Answered]] = []
        self._posts: dict[int, Post] = {}
        self._sessions: dict[int, Session] = {}
        self._instances = 0
        self._tokens: dict[str, int] = {}
        self._timers: list[tuple[int, int, str]] = []  # when, whose, what
        self._failed: tuple[str, str] | None = None

    # --- the Driver protocol ----------------------------------------------------------------------

    def now_ms(self) -> int:
        """The time when `wait` last returned."""
        return self._now_ms

    def wait(self, deadline_ms: int | None) -> list[m.Event] | None:
        """The events until the deadline, which is now: who calls it has waited."""
        if deadline_ms is not None:
            self._now_ms = max(self._now_ms, deadline_ms)
        while self._timers and self._timers[0][0] <= self._now_ms:
            _, key, name = heapq.heappop(self._timers)
            {"beat": self._beat, "drain": self._drained, "absent": self._missed}[name](key)
        events, self._events = self._events, []
        return events

    @property
    def next_ms(self) -> int | None:
        """When something is to be done, if nobody calls before."""
        if self._events:
            return self._now_ms
        return self._timers[0][0] if self._timers else None

    def execute(self, command: m.Command) -> None:
        """Tell agents to start and to stop tasks; an order that they have had changes nothing."""
        if isinstance(command, m.StartTasks):
            self._order(command.tasks, "RUNNING")
        elif isinstance(command, m.StopTasks):
            until_ms = command.not_before_ms or 0
            if until_ms > self._now_ms:
                for task in command.tasks:
                    self._later(until_ms, task, "drain")
            else:
                self._order(command.tasks, "STOPPED")

    def register(self, call: m.RegisterTaskDefinition) -> None:
        """Nothing: a task is sent with its definition, as it is described."""

    def launch(self, specs: list[Any]) -> None:
        """Machines are not ours to launch here."""
        raise AssertionError("a world of agents says that it launches nothing")

    def close(self) -> None:
        """Let go of all agents; what runs there goes on."""
        for post in self._posts.values():
            if post.session is not None:
                post.session.peer.close("the control plane goes away")

    def restore(self, rounds: Iterable[m.Round]) -> None:
        """Go on after the rounds of a journal, which are in the state already."""
        last_ms, drains = 0, []
        for entry in rounds:
            last_ms = entry.now_ms
            for event in entry.accepted():
                if isinstance(event, m.InstanceRegistered):
                    self._instances = max(self._instances, event.instance + 1)
            for command in entry.commands:
                if isinstance(command, m.StopTasks) and command.not_before_ms:
                    drains += [(command.not_before_ms, task) for task in command.tasks]
        self._now_ms = max(self._now_ms, last_ms)
        waits = {task: at_ms for at_ms, task in drains if at_ms > last_ms}
        for instance in self.state.list_instances():
            self._post(instance.number, instance.agent_connected)
        for task in self.state.tasks.values():
            if task.number in waits:
                self._later(waits[task.number], task.number, "drain")
            elif task.desired_status is TaskStatus.STOPPED:
                self._order((task.number,), "STOPPED")
            elif task.last_status is TaskStatus.PENDING:
                self._order((task.number,), "RUNNING")

    # --- reports ----------------------------------------------------------------------------------

    def report(self, event: m.Event, answered: Answered) -> None:
        """A fact that somebody waits to be written down."""
        if self._failed is not None:
            answered(Answer(event, self._now_ms, *self._failed))
            return
        self._asked.append((event, answered))
        self._events.append(event)

    def recorded(self, entry: m.Round) -> None:
        """A round was written down, and is in the state: answer the reports that it held."""
        for event in entry.accepted():
            if isinstance(event, m.TasksChanged):
                self._heard_of(event)
        if not self._asked:
            return
        places = {id(event): place for place, event in enumerate(entry.events)}
        refused = {c.position: c for c in entry.commands if isinstance(c, m.CallRejected)}
        waiting, self._asked = self._asked, []
        for event, answered in waiting:
            place = places.get(id(event))
            if place is None:
                self._asked.append((event, answered))
                continue
            no = refused.get(place)
            error = ("", "") if no is None else (no.error, no.reason)
            answered(Answer(event, entry.now_ms, *error))

    def abandon(self, error: str, reason: str) -> None:
        """The loop goes on no more: whoever waits is told."""
        self._failed = error, reason
        waiting, self._asked = self._asked, []
        for event, answered in waiting:
            answered(Answer(event, self._now_ms, error, reason))

    def _heard_of(self, event: m.TasksChanged) -> None:
        for number in event.tasks:
            task = self.state.tasks.get(number)
            post = None if task is None or task.instance is None else self._post(task.instance)
            if post is not None and event.status is TaskStatus.RUNNING:
                post.runs(number)
            elif post is not None and event.status is TaskStatus.STOPPED:
                post.over(number)
                self._control.forget(number)

    # --- agents -----------------------------------------------------------------------------------

    def join(self, machine: Machine, token: str = "") -> m.InstanceRegistered:
        """A machine registers for the first time: the event to report."""
        number, self._instances = self._instances, self._instances + 1
        self._post(number)
        if token:
            self._tokens[token] = number
            if len(self._tokens) > _TOKENS_MOST:
                del self._tokens[next(iter(self._tokens))]
        return registration(number, machine)

    def joined(self, token: str) -> int | None:
        """The instance that registered with a client token."""
        return self._tokens.get(token)

    def is_connected(self, number: int) -> bool:
        """Whether an agent of that instance is there now."""
        return number in self._posts and self._posts[number].session is not None

    def connect(
        self, number: int, peer: Peer, now_ms: int, *, telemetry: bool = False
    ) -> Session | None:
        """An agent opened a websocket; None: it has no business here, and was told so.

        The latest one counts: an agent that comes again does not wait for the end of its old one.
        """
        instance = self.state.instances.get(number)
        if instance is None or instance.status is InstanceStatus.INACTIVE:
            peer.send(self._control.inactive())
            peer.close("inactive")
            return None
        session = Session(number, peer, now_ms, telemetry)
        self._sessions[id(session)] = session
        self._later(now_ms + self._settings.beat_ms, id(session), "beat")
        if telemetry:
            return session
        post = self._post(number)
        if post.session is not None:
            post.session.peer.close("the agent has connected again")
        post.open(session)
        post.absent_ms = None
        self._tell(number, True)
        peer.send(self._control.manifest(number, now_ms))
        for frame in self._control.renewed(number, now_ms):
            peer.send(frame)
        self._deliver(post, number, now_ms)
        return session

    def disconnect(self, session: Session, now_ms: int) -> None:
        """A websocket is closed."""
        self._sessions.pop(id(session), None)
        post = self._posts.get(session.instance)
        if not session.telemetry and post is not None and post.session is session:
            post.open(None)
            post.absent_ms = now_ms
            self._tell(session.instance, False)

    def hear(self, session: Session, frame: str | bytes, now_ms: int) -> None:
        """An agent says something.

        Raises:
            FrameError: it is no frame.
        """
        session.heard_ms = now_ms
        if session.telemetry:
            answer, events = self._control.telemetry(session.instance, frame, now_ms)
        else:
            post = self._post(session.instance)
            answer, events = self._control.said(post, frame, now_ms)
        self._events += events
        if answer is not None:
            session.peer.send(answer)

    # --- inside -----------------------------------------------------------------------------------

    def _later(self, at_ms: int, key: int, name: str) -> None:
        # To the next half second, so that many agents wake the loop but once.
        heapq.heappush(
            self._timers, (at_ms if name == "drain" else -(-at_ms // 500) * 500, key, name)
        )

    def _post(self, number: int, connected: bool = True) -> Post:
        post = self._posts.get(number)
        if post is None:
            post = self._posts[number] = Post(connected, self._now_ms)
            self._later(self._now_ms + self._settings.patience_ms, number, "absent")
        return post

    def _missed(self, number: int) -> None:
        """An agent that registered, or was there before a restart, has not come."""
        post = self._posts[number]
        if post.session is None:
            self._tell(number, False)

    def _tell(self, number: int, connected: bool) -> None:
        post = self._posts[number]
        instance = self.state.instances.get(number)
        if post.connected is not connected and instance is not None:
            post.connected = connected
            if instance.status is not InstanceStatus.INACTIVE:
                self._events.append(m.AgentConnectionChanged((number,), connected))

    def _beat(self, key: int) -> None:
        session, now_ms = self._sessions.get(key), self._now_ms
        if session is None:
            return
        if now_ms - session.heard_ms >= self._settings.patience_ms:
            session.peer.close("nothing was heard of the agent")
            self.disconnect(session, now_ms)
            return
        self._later(now_ms + self._settings.beat_ms, key, "beat")
        session.peer.send(self._control.heartbeat(session.telemetry))
        if session.telemetry:
            return
        for frame in self._control.renewed(session.instance, now_ms):
            session.peer.send(frame)
        post = self._posts[session.instance]

        def again(message: str, orders: dict[int, str]) -> None:
            self._send(post, session.instance, message, orders, now_ms)

        post.overdue(now_ms - self._settings.resend_ms, again)

    def _drained(self, task: int) -> None:
        self._order((task,), "STOPPED")

    def _order(self, tasks: Iterable[int], desired: str) -> None:
        touched: dict[int, Post] = {}
        for number in tasks:
            task = self.state.tasks.get(number)
            if task is None or task.instance is None or task.last_status is TaskStatus.STOPPED:
                continue
            if desired == "RUNNING" and task.desired_status is TaskStatus.STOPPED:
                continue
            post = touched[task.instance] = self._post(task.instance)
            post.order(number, desired)
        for instance, post in touched.items():
            self._deliver(post, instance, self._now_ms)

    def _deliver(self, post: Post, instance: int, now_ms: int) -> None:
        if post.session is None:
            return
        for orders in post.batches():
            self._send(post, instance, self._control.message_id(), orders, now_ms)

    def _send(
        self, post: Post, instance: int, message: str, orders: dict[int, str], now_ms: int
    ) -> None:
        assert post.session is not None, "an agent is there"
        post.session.peer.send(self._control.payload(instance, message, orders, now_ms))
        post.sent(message, orders, now_ms)


def registration(number: int, machine: Machine) -> m.InstanceRegistered:
    """What a machine registered, under its number."""
    return m.InstanceRegistered(
        number,
        machine.ec2_instance_id,
        machine.resources,
        machine.attributes,
        machine.price_microusd_hour,
        machine.reserved_tcp,
        machine.reserved_udp,
        version_info=machine.version_info,
    )
