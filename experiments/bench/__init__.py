"""Figures of speed and of proofs, each beside a named bound or a peer."""
