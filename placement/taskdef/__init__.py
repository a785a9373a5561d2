"""RegisterTaskDefinition's JSON to a `TaskDefinition`, by AWS's own model and ECS's rules.

It reports every problem with its place. It knows no instance and no Docker.
"""
