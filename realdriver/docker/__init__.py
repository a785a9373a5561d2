"""The Docker driver: instances are engines, tasks are containers on them.

It carries out the agents' actions and reports what came of them. Each error of the SDK is
translated in one place, `errors`.
"""
