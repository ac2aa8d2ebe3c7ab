"""Benchmarks: what the import path, the accept path and the lab itself cost, as ratios; `make bench`."""
