"""Planted defects: known-bad stacks, one file each, that a scenario must catch. `DEFECT` is what each file brings."""
