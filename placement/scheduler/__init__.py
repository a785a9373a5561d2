"""The round: events in, commands out. It keeps tasks, and what waits for room.

Sans-IO: it must not ask for the time, wait, or call a driver. Instances are the engine's matter.
"""
