"""Two hundred containers at once over three engines."""

from __future__ import annotations

from collections import Counter

import pytest

from stowplan.placement import messages as m
from tests.realdriver.rig import Rig, container, ours, registration, run_task, settings


@pytest.mark.long
def test_two_hundred_containers_at_once_over_three_engines(boot):
    engines = [boot() for _ in range(3)]
    sleeper = container(command="trap 'exit 0' TERM; sleep 1000 & wait", cpu=16, memory=16)
    rig = Rig(
        settings(engines, silence="10s", lost_after="120s"),
        [registration("app", sleeper), run_task("app", 200)],
    )
    rig.until(rig.runs(200), 600)
    there = [ours(engine, rig.cluster) for engine in engines]
    running = Counter(each["State"]["Status"] for found in there for each in found.values())
    assert running == {"running": 200}
    labels = [each["Config"]["Labels"] for found in there for each in found.values()]
    assert sorted(int(each["stowplan.task"]) for each in labels) == list(range(200))
    rig.callers.submit(m.StopTask(tuple(range(200))))
    rig.until(lambda: all(rig.stopped(task)() for task in range(200)), 600)
    assert rig.events(m.InstancesGone) == []
    rig.check()
    rig.close()
