"""Many played agents at once: all are connected, heartbeats are kept, and what that costs."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from stowplan.realdriver.agents.played import PlayedBody
from tests.realdriver.agents.procs import Server
from tests.realdriver.agents.rig import Crew, identity, register, until

_TICKS = os.sysconf("SC_CLK_TCK")


def cost(pid: int) -> tuple[float, float]:
    """Processor seconds and MiB of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    cpu_s = (int(fields[11]) + int(fields[12])) / _TICKS
    return cpu_s, pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def many(folder: Path, agents: int, seconds: float, tasks: int) -> str:
    server = Server(folder).start()
    crew = Crew(server.url)
    try:
        ecs = server.client()
        register(ecs)
        ecs.run_task(taskDefinition="app")  # what compiles at first is not of agents
        before = cost(server.process.pid)
        bodies = [PlayedBody() for _ in range(agents)]
        began = time.monotonic()
        members = [
            crew.join(body, identity(n, cpu=4096), telemetry_s=20.0, silence_s=90.0)
            for n, body in enumerate(bodies)
        ]
        until(lambda: all(member.connected.is_set() for member in members), 300)
        joined_s, after = time.monotonic() - began, cost(server.process.pid)
        arns = []
        for _ in range(tasks // 10):
            arns += [t["taskArn"] for t in ecs.run_task(taskDefinition="app", count=10)["tasks"]]
        until(lambda: sum(len(body.known) for body in bodies) == len(arns), 60)
        idle = cost(server.process.pid)
        heard = [member.heartbeats for member in members]
        time.sleep(seconds)
        end = cost(server.process.pid)
        beats = [m.heartbeats - n for m, n in zip(members, heard, strict=True)]
        assert all(member.connected.is_set() for member in members)
        assert [member.sessions for member in members] == [1] * agents
        assert min(beats) >= int(seconds / 20) - 1
        counted = ("registeredContainerInstancesCount", "runningTasksCount")
        until(lambda: [_cluster(ecs)[name] for name in counted] == [agents, len(arns)], 60)
        return (
            f"{agents} agents joined in {joined_s:.1f} s and {after[0] - before[0]:.1f} s of the "
            f"server's processor; {(end[0] - idle[0]) / seconds * 100:.1f} % of a processor "
            f"then, {(end[1] - before[1]) / agents * 1024:.0f} KiB each ({end[1]:.0f} MiB in all); "
            f"{sum(beats)} heartbeats in {seconds:.0f} s"
        )
    finally:
        crew.close()
        server.end()


def _cluster(ecs):
    return ecs.describe_clusters()["clusters"][0]


def test_fifty_agents(tmp_path):
    print(many(tmp_path, 50, 1.0, 100))


@pytest.mark.long
def test_a_thousand_agents(tmp_path):
    print(many(tmp_path, 1000, 65.0, 1000))
