"""Users and their devices. (Operators of the admin are Django's own users, a different matter.)"""

from django.db import models
from django.db.models.functions import Now


class User(models.Model):
    """A person whose samples are kept, known by the hash of the account's secret."""

    key_hash = models.TextField(unique=True)
    # IANA name; decides which local hour and day a sample belongs to.
    time_zone = models.TextField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "accounts_user"

    def __str__(self) -> str:
        return f"user {self.pk}"


class Device(models.Model):
    """A phone of a user; `token_hash` is all that is kept of its token."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="devices")
    device_key = models.TextField()
    name = models.TextField()
    token_hash = models.TextField(unique=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "accounts_device"
        constraints = [models.UniqueConstraint(fields=["user", "device_key"], name="accounts_device_of_user")]

    def __str__(self) -> str:
        return f"device {self.pk} of user {self.user_id}"
