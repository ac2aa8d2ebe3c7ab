"""The locustfile: `locust -f locustfiles/load.py`, with the order in the environment (see docs/load.md)."""

from locustfiles.conductor import Conductor
from locustfiles.dashboard_user import DashboardUser
from locustfiles.phone_user import PhoneUser
from locustfiles.shapes import UntilAllAreOver

__all__ = ["Conductor", "DashboardUser", "PhoneUser", "UntilAllAreOver"]
