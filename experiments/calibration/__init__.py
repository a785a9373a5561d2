"""Measures real engines, and makes models of what was found.

It acts through the Docker driver's own code, so that it measures what a run does.
"""
