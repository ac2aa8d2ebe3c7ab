"""Exact points: Postgres parks a worker there, on any app, without a hook in it."""
