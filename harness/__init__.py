"""The chaos lab: starts the stack, drives it, breaks it, and proves from Postgres what became of every sample."""
