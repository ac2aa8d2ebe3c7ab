"""Users and devices."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):
    """Creates both tables."""

    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="User",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key_hash", models.TextField(unique=True)),
                ("time_zone", models.TextField()),
                ("created_at", models.DateTimeField(db_default=Now())),
            ],
            options={"db_table": "accounts_user"},
        ),
        migrations.CreateModel(
            name="Device",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("device_key", models.TextField()),
                ("name", models.TextField()),
                ("token_hash", models.TextField(unique=True)),
                ("created_at", models.DateTimeField(db_default=Now())),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="devices", to="accounts.user"
                    ),
                ),
            ],
            options={
                "db_table": "accounts_device",
                "constraints": [models.UniqueConstraint(fields=("user", "device_key"), name="accounts_device_of_user")],
            },
        ),
    ]
