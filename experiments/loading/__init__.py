"""From a file to a checked scenario: TOML, task definitions, prices, strategies of a user.

Here files are read; what they mean is decided in `placement.scenario`.
"""
