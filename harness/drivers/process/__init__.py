"""The parts of the driver `processes`, and its two embedded stores for whoever needs just these."""
