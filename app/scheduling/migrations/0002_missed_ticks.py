"""Missed ticks are counted and looked for without the others."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Adds their index."""

    dependencies = [("scheduling", "0001_initial")]

    operations = [
        migrations.AddIndex(
            model_name="tick",
            index=models.Index(condition=models.Q(("status", "missed")), fields=["due_at"], name="tick_missed"),
        ),
    ]
