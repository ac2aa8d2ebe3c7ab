"""Benchmarks that run inside the app: scripts that `make bench` starts, one process each; not tests."""
