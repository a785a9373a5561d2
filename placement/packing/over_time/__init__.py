"""Items that come and go: the least cost of bins over time, as a bound and as a plan."""
