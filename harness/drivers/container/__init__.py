"""The parts of the driver `containers`."""
