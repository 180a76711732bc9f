"""Benchmarks: rates with a ratio against a peer in the same run. Never a test, never a promise."""
