"""What is due is found without a look at what was sent; the version before this one works on both."""

from django.db import migrations, models
from django.db.models.functions import Now

HAS_DELIVERY = """
UPDATE reminders_reminder AS reminder SET has_delivery = true FROM reminders_delivery AS delivery
WHERE delivery.reminder_id = reminder.id AND delivery.due_at = reminder.due_at
"""
TURNS = "UPDATE reminders_delivery SET next_attempt_at = due_at WHERE status = 'pending' AND next_attempt_at IS NULL"


# Both at once and in the order in which the running version locks them, or the two wait for each other in a circle.
# Requests that meet the lock are refused with 503 after their lock timeout; nothing is lost.
LOCKS = "LOCK TABLE reminders_delivery, reminders_reminder IN ACCESS EXCLUSIVE MODE"


class Migration(migrations.Migration):
    """Marks reminders that have their delivery, and gives every pending delivery its turn."""

    dependencies = [("reminders", "0001_initial")]

    operations = [
        migrations.RunSQL(LOCKS, migrations.RunSQL.noop),
        migrations.AddField(model_name="reminder", name="has_delivery", field=models.BooleanField(db_default=False)),
        migrations.RunSQL(HAS_DELIVERY, migrations.RunSQL.noop),
        migrations.AddIndex(
            model_name="reminder",
            index=models.Index(
                condition=models.Q(("has_delivery", False)), fields=["due_at"], name="reminder_undelivered"
            ),
        ),
        migrations.RemoveIndex(model_name="reminder", name="reminder_due"),
        migrations.AlterField(
            model_name="delivery", name="next_attempt_at", field=models.DateTimeField(null=True, db_default=Now())
        ),
        migrations.RunSQL(TURNS, migrations.RunSQL.noop),
        migrations.AddConstraint(
            model_name="delivery",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("status", "pending"), _negated=True),
                    ("next_attempt_at__isnull", False),
                    _connector="OR",
                ),
                name="delivery_pending_has_turn",
            ),
        ),
    ]
