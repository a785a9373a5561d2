"""What ECS and its real agents say to each other, sans-IO (ecs 9.3-9.5).

`driver.AgentsDriver` is a driver whose instances are agents that registered: the scheduler's orders
become messages to them, their reports become events. Sockets are elsewhere.
"""
