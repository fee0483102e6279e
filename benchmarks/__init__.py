"""Measurements: ratios against a bare baseline in the same run, printed by `python -m benchmarks NAME`. Never tests."""
