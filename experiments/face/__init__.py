"""stowplan: decide, in simulation and for real, where containers go."""
