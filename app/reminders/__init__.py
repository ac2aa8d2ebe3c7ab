"""Medication reminders: due ones are sent through an HTTP gateway, once each, by key."""
