"""From a scenario to rounds: simulated, on Docker, in parallel, with restarts."""
