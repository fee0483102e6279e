"""Proofs over the whole: any interleaving, both memories side by side; races that decide once."""
