"""The goals of `stowplan optimize`, and the strategy that plans: ECS's rules as packing problems.

It proves nothing by itself: the mathematics is in `placement.packing`, and each plan is booked
through the engine before it is an answer. Import from its modules, as some load solvers.
"""
