"""What rows demand beyond the invariants that hold in every scenario."""
