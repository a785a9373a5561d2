"""Stranded and fragmented capacity: by hand, and against a count instance by instance."""

from __future__ import annotations

import numpy as np
import pytest

from stowplan.experiments.record.leftovers import KINDS_MAX, fragmented, leftovers, stranded
from stowplan.experiments.record.recorder import Recorder
from tests.driving import Driven, definition, instance, run_task


def test_memory_without_cpu_is_stranded_and_the_other_way_round():
    free = np.array([[0, 4000], [512, 4000], [2000, 100], [100, 100]])
    # A task of 256 CPU and 200 MiB: the first lacks CPU, the third memory, the last both.
    assert stranded(free, np.array([256, 200])).tolist() == [2000 + 100, 4000 + 100]
    assert stranded(free, np.array([0, 0])).tolist() == [0, 0]


def test_what_is_short_itself_is_stranded_only_by_another():
    # 100 CPU are too few, but there is memory enough: the memory is stranded, the CPU is just full.
    assert stranded(np.array([[100, 5000]]), np.array([256, 200])).tolist() == [0, 5000]


def test_fragments_are_weighted_by_how_often_a_task_is_asked_for():
    free = np.array([[512, 512], [128, 2048]])
    tasks, counts = np.array([[256, 256], [64, 1024]]), np.array([3, 1])
    # The first fits on the first instance alone, the second on the second alone.
    expected = [(3 * 128 + 512) / 4, (3 * 2048 + 512) / 4]
    assert fragmented(free, tasks, counts).tolist() == expected


def test_both_are_what_a_count_by_hand_gives():
    rng = np.random.default_rng(5)
    for _ in range(50):
        free, task = rng.integers(0, 10, (8, 3)), rng.integers(0, 6, 3)
        mine, fragments = [0, 0, 0], [0, 0, 0]
        for row in free:
            for d in range(3):
                mine[d] += row[d] * any(row[e] < task[e] for e in range(3) if e != d)
                fragments[d] += row[d] * any(row[e] < task[e] for e in range(3))
        assert stranded(free, task).tolist() == mine
        assert fragmented(free, task[None], np.array([7])).tolist() == fragments


def test_the_smallest_task_is_the_smallest_dimension_by_dimension():
    kinds = {(("CPU", 100), ("MEMORY", 900)): 1, (("CPU", 900), ("MEMORY", 100)): 1}
    have, held = np.array([[1000, 1000]]), np.array([[850, 950]])
    [cpu, memory] = leftovers(5, ["CPU", "MEMORY"], have, held, kinds)
    # Smallest 100 and 100: CPU 150 is enough, memory 50 is not. Mean 500 and 500: neither is.
    assert (cpu.stranded_smallest, memory.stranded_smallest) == (150, 0)
    assert (cpu.stranded_mean, memory.stranded_mean) == (150, 50)
    assert (cpu.fragmented, memory.fragmented) == (150, 50)
    assert (cpu.ms, cpu.offered, cpu.used) == (5, 1000, 850)


def test_without_tasks_or_without_instances_nothing_is_stranded():
    [row] = leftovers(0, ["CPU"], np.array([[9]]), np.array([[0]]), {})
    assert (row.stranded_smallest, row.stranded_mean, row.fragmented) == (0, 0, 0)
    assert Recorder()._frame()[1] == []


def test_the_most_frequent_kinds_stand_for_all():
    kinds = {(("CPU", 1),): 1000} | {(("CPU", 10 + n),): 1 for n in range(2 * KINDS_MAX)}
    [row] = leftovers(0, ["CPU"], np.array([[5]]), np.array([[0]]), kinds)
    assert row.fragmented == pytest.approx(5 * (KINDS_MAX - 1) / (1000 + KINDS_MAX - 1), abs=0.5)


def test_the_recorder_follows_every_dimension():
    world = Driven()
    world.round(definition(), instance(0, resources={"GPU": 4, "DISK": 100}), at_ms=1)
    world.round(run_task(0, count=2, resources=(("GPU", 1), ("DISK", 30))), at_ms=2)
    recorder = Recorder(frame_ms=10)
    for entry in world.rounds:
        recorder(entry)
    recorder.finish(10)
    used = {row.dimension: (row.used, row.offered) for row in recorder.leftovers if row.ms == 10}
    assert used == {"CPU": (512, 1024), "MEMORY": (256, 1024), "GPU": (2, 4), "DISK": (60, 100)}
