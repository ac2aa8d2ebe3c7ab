"""Tests of the lanes: processes that play side by side."""
