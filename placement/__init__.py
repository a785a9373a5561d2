"""The pure core: what ECS decides, and how. No clock, no files, no threads, no global randomness.

It imports no other package of ours. Its rooms and their floors are drawn in DESIGN.md.
"""
