"""The driver of real agents keeps the contract of the protocol, whatever agents are there."""

from __future__ import annotations

import heapq
import itertools

from stowplan.placement import messages as m
from stowplan.placement.agentwire.credentials import Keys
from stowplan.placement.agentwire.driver import AgentsDriver
from stowplan.placement.agentwire.frames import read_frame, write_frame
from stowplan.placement.describe import Reader
from stowplan.placement.testing import check_driver
from stowplan.placement.wire.agent_reports import task_changed
from stowplan.placement.wire.arns import Account, Ids
from stowplan.placement.wire.world import Machine


class Agent:
    """An agent that answers at once what it is told; `lose`: every second of its messages."""

    def __init__(self, world, lose=False):
        self.world, self.lose, self.said = world, lose, itertools.count()
        self.known = {}

    def send(self, frame):
        frame = read_frame(frame)
        message = frame.message
        if frame.type == "HeartbeatMessage":
            self.say("HeartbeatAckRequest", messageId=message["messageId"])
        if frame.type == "PayloadMessage":
            if self.lose and next(self.said) % 2 == 0:
                return  # it never came
            for task in message["tasks"]:
                self.told(task["arn"], task["desiredStatus"])
            if not self.lose or next(self.said) % 2:
                self.say("AckRequest", messageId=message["messageId"])

    def say(self, type, **message):
        frame = write_frame(type, message)
        self.world.later(0, lambda now: self.world.driver.hear(self.world.session, frame, now))

    def told(self, arn, desired):
        if desired == "RUNNING" and arn not in self.known:
            self.known[arn] = desired
            self.world.later(100, lambda now: self.world.report(arn, "RUNNING"))
        elif desired == "STOPPED" and self.known.get(arn) != "STOPPED":
            self.known[arn] = desired
            self.world.later(50, lambda now: self.world.report(arn, "STOPPED"))

    def close(self, why):
        raise AssertionError(why)


class World:
    """A driver of agents, with the reader that a loop would feed, and an agent, in played time."""

    def __init__(self, lose=False):
        self.reader, self.todo, self.count = Reader(), [], itertools.count()
        ids = Ids(Account(), "default", "salt")
        self.ids = ids
        self.driver = AgentsDriver(
            self.reader.state, ids, epoch_s=0.0, keys=lambda role: Keys("a", "b", "c")
        )
        self.now_ms = self.driver.now_ms
        machine = Machine("i-1", "m5.large", {"CPU": 2048, "MEMORY": 2048}, {})
        self.report_event(self.driver.join(machine))
        self.agent, self.session = Agent(self, lose), None
        self.later(10, self.join)

    def join(self, now):
        self.session = self.driver.connect(0, self.agent, now)

    def later(self, in_ms, what):
        heapq.heappush(self.todo, (self.now_ms() + in_ms, next(self.count), what))

    def report_event(self, event):
        self.driver.report(event, lambda answer: None)

    def report(self, arn, status):
        task = self.reader.state.tasks[self.ids.number("task", arn)]
        record = self.reader.state.definition(task.task_definition)
        if task.last_status not in (status, "STOPPED"):  # as the operation does
            self.report_event(task_changed(task, record.document, {"status": status}, None))

    # --- the Driver protocol ---

    def register(self, call):
        if "containerDefinitions" in call.document:
            self.reader(m.Round(self.now_ms(), (call,), ()))
            name = call.document["family"]
            service = m.CreateService("checked", name, 0)
            self.reader(m.Round(self.now_ms(), (service,), ()))
        self.driver.register(call)

    def execute(self, command):
        self.reader(m.Round(self.now_ms(), (), (command,)))
        self.driver.execute(command)

    def wait(self, deadline_ms):
        while True:
            times = [t for t in (deadline_ms, self.driver.next_ms) if t is not None]
            times += [self.todo[0][0]] if self.todo else []
            now = max(min(times), self.now_ms())
            while self.todo and self.todo[0][0] <= now:
                heapq.heappop(self.todo)[2](now)
            events = self.driver.wait(now)
            if events:
                entry = m.Round(self.now_ms(), tuple(events), ())
                self.reader(entry)
                self.driver.recorded(entry)
                return events
            if deadline_ms is not None and now >= deadline_ms:
                return []

    def close(self):
        self.agent.close = lambda why: None
        self.driver.close()


def test_the_driver_of_agents_keeps_the_contract():
    check_driver(World)


def test_it_keeps_the_contract_where_messages_and_acknowledgements_are_lost():
    check_driver(lambda: World(lose=True), patience_ms=200_000)
