"""The callers of ECS's API: a client that retries, and Application Auto Scaling. Sans-IO.

They see events and commands and make calls. They must not import the scheduler.
"""
