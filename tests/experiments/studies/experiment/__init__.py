"""Tests of experiments: their statistics, their runs, their reports."""
