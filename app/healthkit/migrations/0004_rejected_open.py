from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("healthkit", "0003_storage")]

    operations = [
        migrations.AddIndex(
            model_name="rejectedsample",
            index=models.Index(
                condition=models.Q(("resolved_at__isnull", True)), fields=["chunk"], name="healthkit_rejected_open"
            ),
        ),
    ]
