"""Looks at a machine and a deployment: what is missing, what differs, what is known to lose work."""
