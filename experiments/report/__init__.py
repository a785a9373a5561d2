"""From numbers to people: console, report, replay, live map.

It works out no metric: those are of `experiments.record`.
"""
