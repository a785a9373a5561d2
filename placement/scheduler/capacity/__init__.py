"""Capacity providers: how many instances there should be, and on which provider a task goes.

It asks an Auto Scaling group for a size. The group launches and terminates, not this room.
"""
