"""The invariants: pure functions of the evidence."""
