"""Exact packing: fewest bins and cheapest fleets, with proofs.

Import from the modules, so that nobody pays for compiled code and solvers unasked:
`problem` and `solve` (fewest identical bins), `fleet_problem` and `fleet` (cheapest fleet),
`verify` (independent checks), `formats` (benchmark files).
"""
