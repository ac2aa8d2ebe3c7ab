"""What the catalogue holds: rows, the defects planted for them, and plans of what is played."""
