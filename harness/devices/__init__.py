"""Simulated phones: what they send, how they send it, what they were told."""
