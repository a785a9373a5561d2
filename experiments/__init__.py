"""What a user runs: scenarios, runs, numbers, reports, and the `stowplan` command."""
