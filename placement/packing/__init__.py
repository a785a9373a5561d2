"""Packing problems and their proofs: fewest bins, cheapest fleets, plans over time, repacking.

Pure mathematics: it imports no other room, and knows no instance, task or constraint. Import from
its modules, as some of them load solvers and compiled code.
"""
