"""The truth: read while a scenario runs and once after it, and laid into tables that checkers may look at."""
