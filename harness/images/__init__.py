"""Where images come from: a registry, or built here with the same contract."""
