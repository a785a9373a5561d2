"""The client: calls when they are due, retries as the policy says, no word twice."""

from __future__ import annotations

import numpy as np
import pytest

from stowplan.placement.callers.client import RESUBMIT, RETRY, Arrival, Client, RetryPolicy
from stowplan.placement.messages import RunTask, StartTask, StopTask


class Steady:
    """Draws the upper end, so that waits are exact."""

    def uniform(self, low, high):
        return high


def client(*arrivals: Arrival, rng=None) -> Client:
    return Client(arrivals, rng or Steady())


def job(request: int = 0, at_ms: int = 0, count: int = 2, **fields) -> Arrival:
    return Arrival(at_ms, RunTask(request, "app", count, started_by="batch"), **fields)


def test_a_call_is_made_when_it_is_due_and_once():
    made = client(job(0, at_ms=10), job(1, at_ms=10), job(2, at_ms=20))
    assert made.next_ms == 10
    assert made.due(9) == []
    assert [call.request for call in made.due(10)] == [0, 1]
    assert made.due(10) == []
    assert made.next_ms == 20


def test_calls_that_are_late_are_made_all_at_once():
    made = client(job(0, at_ms=10), Arrival(15, StopTask((3,))), job(1, at_ms=20))
    assert len(made.due(100)) == 3
    assert made.next_ms is None


def test_arrivals_out_of_order_are_a_bug_of_the_caller():
    made = client(job(0, at_ms=10), job(1, at_ms=5))
    with pytest.raises(AssertionError, match="unordered"):
        made.due(10)


def test_the_world_learns_how_long_a_task_runs():
    made = client(job(0, run_ms=5), job(1))
    made.due(0)
    assert (made.run_ms(0), made.run_ms(1)) == (5, None)


def test_tasks_that_found_no_room_are_asked_for_again_after_a_wait_that_doubles():
    made = client(job(retry=RetryPolicy(first_ms=100, most_ms=500)))
    made.due(0)
    now, waits = 0, []
    for _ in range(5):
        made.failed(0, 1, now)
        waits.append(made.next_ms - now)
        now = made.next_ms
        (call,) = made.due(now)
        assert (call.request, call.count, call.started_by) == (0, 1, "batch" + RETRY)
    assert waits == [100, 200, 400, 500, 500]


def test_the_wait_has_a_jitter_of_up_to_one_half():
    waits = set()
    for seed in range(200):
        made = client(job(retry=RetryPolicy(1_000)), rng=np.random.default_rng(seed))
        made.due(0)
        made.failed(0, 1, 0)
        waits.add(made.next_ms)
    assert min(waits) >= 500
    assert max(waits) <= 1_000
    assert len(waits) > 100


def test_a_retry_is_never_made_in_the_instant_of_the_failure():
    made = client(job(retry=RetryPolicy(first_ms=0)))
    made.due(0)
    made.failed(0, 1, 50)
    assert made.next_ms == 51


def test_ever_so_many_failures_do_not_overflow_the_wait():
    made = client(job(retry=RetryPolicy(1, 60_000)))
    made.due(0)
    for _ in range(100):
        made.failed(0, 1, 0)
    assert len(made.due(60_000)) == 100


def test_tasks_that_were_lost_are_submitted_anew():
    made = client(job(retry=RetryPolicy(resubmit_ms=700)))
    made.due(0)
    made.lost(made.job(0), 2, 1_000)
    assert made.next_ms == 1_700
    (call,) = made.due(1_700)
    assert (call.count, call.started_by) == (2, "batch" + RESUBMIT)


def test_tasks_that_were_lost_stay_lost_where_the_policy_says_so():
    made = client(job(retry=RetryPolicy(resubmit_ms=None)))
    made.due(0)
    made.lost(made.job(0), 2, 1_000)
    assert made.next_ms is None


def test_a_retry_of_a_retry_is_marked_once():
    made = client(job(retry=RetryPolicy(first_ms=10, resubmit_ms=10)))
    made.due(0)
    made.failed(0, 1, 0)
    made.due(10)
    made.lost(made.job(0), 1, 10)
    (call,) = made.due(20)
    assert call.started_by == "batch" + RESUBMIT


def test_retries_come_before_new_calls_and_in_the_order_of_their_times():
    made = client(job(0, retry=RetryPolicy(30)), job(1, retry=RetryPolicy(10)), job(2, at_ms=40))
    made.due(0)
    made.failed(0, 1, 0)
    made.failed(1, 1, 0)
    assert made.next_ms == 10
    assert [call.request for call in made.due(40)] == [1, 0, 2]


def test_a_task_started_on_a_named_instance_runs_as_long_as_it_should_and_is_not_tried_again():
    made = client(Arrival(0, StartTask(4, "app", (7,)), run_ms=5))
    made.due(0)
    assert made.run_ms(4) == 5
    made.lost(made.job(4), 1, 0)
    assert made.next_ms is None
    assert made.job(4) is None, "nothing more comes of it"


def test_a_job_is_forgotten_with_the_last_of_its_tasks():
    made = client(job(0, count=2, run_ms=5))
    made.due(0)
    made.failed(0, 1, 0)
    made.ended(made.job(0), 1)
    assert made.job(0) is not None, "one is to be asked for again"
    made.ended(made.job(0), 1)
    assert made.job(0) is None
