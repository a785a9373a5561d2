"""New contents of bins at the least cost of moves, with a bound."""
