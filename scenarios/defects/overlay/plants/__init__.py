"""Plants: one change to the app each. `PATCHES` maps a module of the app to what is done to it once it is imported."""
