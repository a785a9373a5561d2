"""Experiments on questions of their own, each a module that runs by itself."""
