"""Fixtures of the checkers' tests."""

from __future__ import annotations

from tests.checkers.world import world

__all__ = ["world"]
