"""Files: where those lie that ship with the package, and how those that people give are read."""
