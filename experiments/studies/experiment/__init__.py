"""A question asked of a scenario: runs over axes and seeds, and an answer with its uncertainty."""
