"""Fixtures of the devices' tests."""

from __future__ import annotations

from tests.devices.scene import plan, scene

__all__ = ["plan", "scene"]
