"""An agent that learns to place: REINFORCE in numpy, beside random, binpack and a bound.

    python experiments/examples/policy_gradient.py --episodes 300

The policy scores each instance by a weighted sum of a few features and draws by the softmax over
those that have room. What it learned then runs as a strategy, by `sp.place`, like any other.
Source: Williams (1992), Simple statistical gradient-following algorithms, Machine Learning 8.
"""

from __future__ import annotations

import argparse
import math
from typing import Any

import numpy as np

import stowplan as sp


def features(observation: Any) -> Any:
    """(n, 5) of what would be left on each instance, and whether it is in use."""
    cpu, memory = observation[:, 0] - observation[:, 3], observation[:, 1] - observation[:, 4]
    busy = observation[:, 2]
    return np.column_stack([busy, cpu, memory, np.abs(cpu - memory), busy * (cpu + memory)])


def chances(weights: Any, observation: Any, mask: Any) -> Any:
    """(n,) how likely each instance is drawn."""
    scores = np.where(mask, features(observation) @ weights, -np.inf)
    weighed = np.exp(scores - scores.max())
    return weighed / weighed.sum()


def episode(env: Any, weights: Any, rng: np.random.Generator) -> tuple[float, Any]:
    """The sum of rewards, and the gradient of the log-likelihood of what was done."""
    observation, info = env.reset(seed=int(rng.integers(1 << 30)))
    total, gradient, done = 0.0, np.zeros_like(weights), False
    while not done:
        chance = chances(weights, observation, info["action_mask"])
        action = int(rng.choice(len(chance), p=chance))
        seen = features(observation)
        gradient += seen[action] - chance @ seen
        observation, reward, done, _, info = env.step(action)
        total += reward
    return total, gradient


def train(env: Any, episodes: int, seed: int, batch: int = 10, step: float = 1.0) -> Any:
    """Weights after so many episodes; each batch moves them by its standardised returns."""
    rng, weights = np.random.default_rng(seed), np.zeros(5)
    for number in range(0, episodes, batch):
        totals, gradients = zip(*(episode(env, weights, rng) for _ in range(batch)), strict=True)
        gain = np.array(totals) - np.mean(totals)
        direction = (gain / (np.std(totals) + 1e-9)) @ np.array(gradients) / batch
        weights = weights + step * direction / (np.linalg.norm(direction) + 1e-9)
        if number % (10 * batch) == 0:
            print(f"episode {number}: mean return {np.mean(totals):.1f}")
    return weights


def bound(rows: list[dict[str, int]], cpu: int, memory: int) -> int:
    """No fewer instances hold all: the sum of what is asked for, by the scarcer resource."""
    wanted = [sum(row["count"] * row[name] for row in rows) for name in ("cpu", "memory")]
    return max(math.ceil(wanted[0] / cpu), math.ceil(wanted[1] / memory))


def main(arguments: list[str] | None = None) -> dict[str, int]:
    """Train, compare, print; returns the instances that each used, and the bound."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--episodes", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    sizes = ((256, 1900), (640, 400), (1200, 700), (300, 3000), (900, 2500))
    rows = [{"cpu": cpu, "memory": memory, "count": 16} for cpu, memory in sizes]
    tasks, cluster = sp.tasks(rows), sp.cluster({"m5.large": 60})
    env = sp.gym(tasks, cluster)
    weights = train(env, given.episodes, given.seed)
    # As an agent it drew; as a strategy it takes what it thinks best.
    trained = env.strategy(lambda observation, mask: features(observation) @ weights)
    order = np.random.default_rng(given.seed).permutation(np.repeat(np.arange(len(rows)), 16))
    mixed = sp.tasks([{**rows[kind], "count": 1, "group": f"t{kind}"} for kind in order])
    strategies = {"random": "random", "binpack": "binpack:memory", "trained": trained}
    found = sp.place(mixed, cluster, strategies=strategies, seed=given.seed).summary
    used = dict(zip(found["strategy"], found["instances_used"].tolist(), strict=True))
    each = cluster.frame.iloc[0]
    used["bound"] = bound(rows, int(each["cpu"]), int(each["memory"]))
    for name in ("random", "binpack", "trained"):
        more = 100 * used[name] / used["bound"] - 100
        print(f"{name}: {used[name]} instances, {more:.0f} % above the bound of {used['bound']}")
    print(f"trained against binpack: {100 * used['trained'] / used['binpack'] - 100:+.0f} %")
    return used


if __name__ == "__main__":
    main()
