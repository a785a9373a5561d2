"""The container agent: all that ECS's agent decides on an instance, sans-IO (ecs 2.4, 4.1-4.4).

`agent.Agent` is one instance's agent; `runtime` holds what it says to the container runtime, what
it hears from it, and what it reports of its tasks. Its owner carries out the actions, in the
simulator or on Docker, and has no opinion of its own.
"""
