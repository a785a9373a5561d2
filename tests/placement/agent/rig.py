"""For tests of the agent: definitions in few words, and an agent whose outputs are kept."""

from __future__ import annotations

from typing import Any

from stowplan.placement.agent import runtime as r
from stowplan.placement.agent.agent import Agent, Output
from stowplan.placement.agent.settings import AgentConfig
from stowplan.placement.model import TaskDefinition
from stowplan.placement.taskdef.parse import parse_task_definition

HEALTH = {"command": ["CMD", "true"], "interval": 10}


def container(name: str = "c", **fields: Any) -> dict[str, Any]:
    """A container, small; `after` are its dependsOn as name -> condition."""
    after = fields.pop("after", {})
    if after:
        fields["dependsOn"] = [{"containerName": n, "condition": c} for n, c in after.items()]
    return {"name": name, "image": f"image-{name}", "cpu": 100, "memory": 100, **fields}


def definition(*containers: dict[str, Any], **fields: Any) -> TaskDefinition:
    """A checked definition; one plain container unless others are given."""
    listed = list(containers or (container(),))
    return parse_task_definition({"family": "app", "containerDefinitions": listed, **fields})


class Rig:
    """An agent, driven by hand: says each call's actions as short words and keeps the changes."""

    def __init__(self, cpu: int = 1000, memory: int = 1000, **config: Any) -> None:
        self.agent = Agent({"CPU": cpu, "MEMORY": memory}, AgentConfig(**config))
        self.now_ms = 0
        self.changes: list[r.StateChange] = []

    def _words(self, output: Output) -> list[str]:
        self.changes += output.changes
        return [f"{type(a).__name__} {a.task} {a.container}" for a in output.actions]

    def start(self, task: int, made: TaskDefinition | None = None, **more: Any) -> list[str]:
        """The actions that the start of a task makes."""
        return self._words(self.agent.start(task, made or definition(), self.now_ms, **more))

    def stop(self, task: int, **more: Any) -> list[str]:
        """The actions that the stop of a task makes."""
        return self._words(self.agent.stop(task, self.now_ms, **more))

    def said(self, kind: type, task: int, name: str = "c", *more: Any) -> list[str]:
        """The actions that follow when the runtime says this."""
        return self._words(self.agent.observe(kind(task, name, *more), self.now_ms))

    def wait(self, ms: int) -> list[str]:
        """Time passes; the agent is woken whenever it wants to be."""
        until, actions = self.now_ms + ms, []
        while (at := self.agent.deadline_ms) is not None and at <= until:
            self.now_ms = at
            actions += self._words(self.agent.due(at))
        self.now_ms = until
        return actions

    def up(self, task: int, name: str = "c") -> list[str]:
        """A container comes up; the actions that follow its start."""
        self.said(r.ImagePulled, task, name)
        self.said(r.Created, task, name)
        return self.said(r.Started, task, name)

    def told(self) -> list[str]:
        """The changes so far in words: `running 0`, `stopped 0`, `healthy 0`."""
        words = {r.TaskRunning: "running", r.TaskStopped: "stopped", r.TaskAdmitted: "admitted"}
        return [
            f"{words.get(type(n)) or ('healthy' if n.healthy else 'unhealthy')} {n.task}"
            for n in self.changes
        ]

    def end(self) -> r.TaskStopped:
        """The last changes, which must be of a stop."""
        assert isinstance(self.changes[-1], r.TaskStopped)
        return self.changes[-1]
