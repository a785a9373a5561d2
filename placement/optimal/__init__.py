"""Exact packing: fewest bins and cheapest fleets, with proofs."""
