"""A second opinion on a journal: a book of its own, and the rules of ECS read off it.

It must not import what it checks: engine, scheduler, constraints or cluster.
"""
