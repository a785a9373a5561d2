"""Services: deployments, daemons, scale-in, rebalancing, and the events of ECS about them.

It says which tasks to start and stop. The engine says where.
"""
