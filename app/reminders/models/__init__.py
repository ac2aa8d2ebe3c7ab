"""Tables of reminders."""

from reminders.models.delivery import Delivery, DeliveryStatus
from reminders.models.reminder import Reminder

__all__ = ["Delivery", "DeliveryStatus", "Reminder"]
