"""Placement as a gymnasium environment."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from stowplan._cluster import Cluster
from stowplan._episode import FEATURES, Episode, Policy, PolicyStrategy
from stowplan._place import state_of
from stowplan._tasks import Tasks
from stowplan.placement.errors import SpecError

REFUSAL = 10.0


def gym(
    tasks: Tasks,
    cluster: Cluster,
    *,
    rate_per_s: float | None = None,
    mean_s: float | None = None,
    refusal: float = REFUSAL,
    envs: int | None = None,
) -> Any:
    """Make an environment in which an agent says where each task goes.

    An action is the number of an instance. An observation has a row for each instance: CPU and
    memory left and what the task wants of both, as shares of the most that any instance has, and
    whether the instance holds a task. The reward is minus the instances that a task opened; where
    tasks end, minus the time that instances were busy since the last decision, in units of
    `mean_s`. An episode ends when every task had its turn; their order is drawn.

    Parameters
    ----------
    tasks : Tasks
        What comes (`tasks`).
    cluster : Cluster
        Where it goes (`cluster`); empty at the beginning of each episode.
    rate_per_s, mean_s : float, optional
        Tasks come so often and stay so long, both exponential. Left out, all come at once and stay.
    refusal : float
        What a task costs that finds no place, or is sent where it has no room.
    envs : int, optional
        So many environments beside each other, as gymnasium's vector form.

    Returns
    -------
    gymnasium.Env or gymnasium.vector.SyncVectorEnv
        `info["action_mask"]` and `action_masks()` say which instances have room; `snapshot()` and
        `restore(snapshot)` go back. `strategy(policy)` makes a strategy of a function
        `(observation, mask)` -> a score for each instance, the highest wins: give it to `place`,
        or to `register` for scenarios.

    Raises
    ------
    SpecError
        Only one of `rate_per_s` and `mean_s` is given, or one is not above 0; gymnasium is missing.

    Examples
    --------
    >>> import stowplan as sp
    >>> tasks = sp.tasks(cpu=512, memory=1024, count=4)
    >>> env = sp.gym(tasks, sp.cluster({"m5.large": 2}))  # doctest: +SKIP
    >>> observation, info = env.reset(seed=1)  # doctest: +SKIP
    >>> env.step(0)[1]  # doctest: +SKIP
    -1.0
    """
    made = _classes()
    problems = [
        (name, f"expected a number above 0, found {value!r}")
        for name, value in (("rate_per_s", rate_per_s), ("mean_s", mean_s))
        if value is not None and not value > 0
    ]
    if (rate_per_s is None) != (mean_s is None):
        problems.append(("rate_per_s, mean_s", "expected both or none"))
    if envs is not None and envs < 1:
        problems.append(("envs", f"expected at least 1, found {envs!r}"))
    if problems:
        raise SpecError(problems)
    more = {"rate_per_s": rate_per_s, "mean_s": mean_s, "refusal": refusal}

    def one() -> Any:
        return made["env"](tasks.batch, state_of(cluster), **more)

    return one() if envs is None else made["vector"]([one] * envs)


@cache
def _classes() -> dict[str, Any]:
    """The environment, and gymnasium's vector of several."""
    try:
        import gymnasium
        from gymnasium import spaces
        from gymnasium.vector import SyncVectorEnv
    except ImportError as error:
        needs = f"needs {error.name}: pip install 'stowplan[gym]'"
        raise SpecError([("sp.gym", needs)]) from error

    def begin(self: Any, *arguments: Any, **more: Any) -> None:
        Episode.__init__(self, *arguments, **more)
        shape = self.size, len(FEATURES)
        self.action_space = spaces.Discrete(self.size)
        self.observation_space = spaces.Box(0.0, 1.0, shape, np.float32)

    def reset(self: Any, *, seed: int | None = None, options: Any = None) -> Any:
        gymnasium.Env.reset(self, seed=seed)
        return self.begin(self.np_random)

    def strategy(policy: Policy) -> PolicyStrategy:
        return PolicyStrategy(policy)

    members: dict[str, Any] = {
        "__init__": begin,
        "__doc__": Episode.__doc__,
        "metadata": {"render_modes": []},
        "reset": reset,
        "step": lambda self, action: self.decide(action),
        "strategy": staticmethod(strategy),
    }
    env = type("PlacementEnv", (Episode, gymnasium.Env), members)
    return {"env": env, "vector": SyncVectorEnv}
