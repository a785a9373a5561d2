"""Token buckets as AWS throttles API calls with, and what calls cost (ecs-semantics 7, 10.4)."""

from __future__ import annotations

from stowplan.placement import messages as m

# Calls that share a bucket: burst, refill per second.
CLUSTER_RESOURCE_MODIFY = (100, 40)
SERVICE_MODIFY = (50, 5)
RUN_INSTANCES = (5, 2)
QUOTAS: dict[str, tuple[int, int]] = {
    "RunTask": CLUSTER_RESOURCE_MODIFY,
    "StartTask": CLUSTER_RESOURCE_MODIFY,
    "StopTask": CLUSTER_RESOURCE_MODIFY,
    "CreateService": SERVICE_MODIFY,
    "UpdateService": SERVICE_MODIFY,
    "RunInstances": RUN_INSTANCES,
}
TASKS_PER_CALL = 10  # of RunTask and StartTask


class Bucket:
    """Holds up to `burst` tokens and gains `rate_per_s`; counts in thousandths of a token."""

    def __init__(self, burst: int, rate_per_s: int, now_ms: int) -> None:
        self._burst, self._rate = burst * 1000, rate_per_s
        self._tokens, self._at_ms = self._burst, now_ms

    def take(self, count: int, now_ms: int) -> bool:
        """Whether there are so many tokens; then they are taken.

        A request for more than the bucket ever holds is let through when it is full.
        """
        gained = (now_ms - self._at_ms) * self._rate
        self._tokens, self._at_ms = min(self._burst, self._tokens + gained), now_ms
        wanted = min(count * 1000, self._burst)
        if self._tokens < wanted:
            return False
        self._tokens -= wanted
        return True


class Throttle:
    """The buckets of one time of throttling; `burst`, `rate_per_s` None: each its quota."""

    def __init__(self, burst: int | None, rate_per_s: int | None, now_ms: int) -> None:
        made = {
            quota: Bucket(burst or quota[0], rate_per_s or quota[1], now_ms)
            for quota in set(QUOTAS.values())
        }
        self._buckets = {action: made[quota] for action, quota in QUOTAS.items()}

    def admits(self, action: str, calls: int, now_ms: int) -> bool:
        """Whether so many calls of an action are let through now."""
        bucket = self._buckets.get(action)
        return bucket is None or bucket.take(calls, now_ms)


def calls_of(call: m.Event) -> int:
    """How many API calls an event stands for: ECS starts at most ten tasks in one."""
    if isinstance(call, m.RunTask):
        return -(-call.count // TASKS_PER_CALL)
    if isinstance(call, m.StartTask):
        return -(-len(call.instances) // TASKS_PER_CALL)
    return 1
