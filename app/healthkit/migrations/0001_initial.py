import uuid

import django.contrib.postgres.indexes
import django.db.models.deletion
import django.db.models.expressions
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("accounts", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Counter",
            fields=[
                ("name", models.TextField(primary_key=True, serialize=False)),
                ("value", models.BigIntegerField(db_default=0)),
            ],
            options={
                "db_table": "healthkit_counter",
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("value__gte", 0)), name="healthkit_counter_value")
                ],
            },
        ),
        migrations.CreateModel(
            name="DataSource",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("identifier", models.TextField()),
                ("name", models.TextField(blank=True)),
                (
                    "kind",
                    models.TextField(choices=[("watch", "Watch"), ("phone", "Phone"), ("third_party", "Third Party")]),
                ),
                ("precedence", models.IntegerField()),
                (
                    "user",
                    models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, to="accounts.user"),
                ),
            ],
            options={
                "db_table": "healthkit_data_source",
            },
        ),
        migrations.CreateModel(
            name="ImportBatch",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                ("idempotency_key", models.TextField()),
                ("type_identifier", models.TextField()),
                ("starting_anchor", models.TextField(blank=True, null=True)),
                ("new_anchor", models.TextField(blank=True, null=True)),
                ("chunk_count", models.IntegerField()),
                ("uploaded_count", models.IntegerField(db_default=0)),
                ("done_count", models.IntegerField(db_default=0)),
                ("failed_count", models.IntegerField(db_default=0)),
                (
                    "status",
                    models.TextField(
                        choices=[
                            ("PENDING", "Pending"),
                            ("PROCESSING", "Processing"),
                            ("COMPLETED", "Completed"),
                            ("FAILED", "Failed"),
                            ("ABANDONED", "Abandoned"),
                        ],
                        db_default="PENDING",
                    ),
                ),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("moved_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                ("dispatched_at", models.DateTimeField(blank=True, null=True)),
                ("dispatch_count", models.IntegerField(db_default=0)),
                ("next_dispatch_at", models.DateTimeField(blank=True, null=True)),
                (
                    "device",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.CASCADE, to="accounts.device"
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, to="accounts.user"),
                ),
            ],
            options={
                "db_table": "healthkit_import_batch",
            },
        ),
        migrations.CreateModel(
            name="AnchorMove",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("type_identifier", models.TextField()),
                ("from_value", models.TextField(blank=True, null=True)),
                ("to_value", models.TextField()),
                ("moved_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "device",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.CASCADE, to="accounts.device"
                    ),
                ),
                (
                    "batch",
                    models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, to="healthkit.importbatch"),
                ),
            ],
            options={
                "db_table": "healthkit_anchor_move",
            },
        ),
        migrations.CreateModel(
            name="Anchor",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("type_identifier", models.TextField()),
                ("value", models.TextField()),
                ("moved_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "device",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.CASCADE, to="accounts.device"
                    ),
                ),
                ("user", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="accounts.user")),
                (
                    "batch",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.PROTECT, to="healthkit.importbatch"
                    ),
                ),
            ],
            options={
                "db_table": "healthkit_anchor",
            },
        ),
        migrations.CreateModel(
            name="ImportChunk",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("chunk_index", models.IntegerField()),
                (
                    "status",
                    models.TextField(
                        choices=[("PENDING", "Pending"), ("DONE", "Done"), ("FAILED", "Failed")], db_default="PENDING"
                    ),
                ),
                ("digest", models.TextField()),
                ("samples", models.TextField()),
                ("sample_count", models.IntegerField()),
                ("claim_token", models.UUIDField(blank=True, null=True)),
                ("claim_slot", models.IntegerField(blank=True, null=True)),
                ("claimed_at", models.DateTimeField(blank=True, null=True)),
                ("claim_expires_at", models.DateTimeField(blank=True, null=True)),
                ("claimed_by", models.TextField(blank=True, db_default="")),
                ("data_attempts", models.IntegerField(db_default=0)),
                ("interruptions", models.IntegerField(db_default=0)),
                ("infra_attempts", models.IntegerField(db_default=0)),
                ("executions", models.IntegerField(db_default=0)),
                ("last_error", models.TextField(blank=True, db_default="")),
                ("next_attempt_at", models.DateTimeField(blank=True, null=True)),
                ("dispatched_at", models.DateTimeField(blank=True, null=True)),
                ("dispatch_count", models.IntegerField(db_default=0)),
                ("next_dispatch_at", models.DateTimeField(blank=True, null=True)),
                ("imported_count", models.IntegerField(db_default=0)),
                ("duplicate_count", models.IntegerField(db_default=0)),
                ("rejected_count", models.IntegerField(db_default=0)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                (
                    "batch",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="chunks",
                        to="healthkit.importbatch",
                    ),
                ),
            ],
            options={
                "db_table": "healthkit_import_chunk",
            },
        ),
        migrations.CreateModel(
            name="DeadLetter",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("task_name", models.TextField()),
                ("message_id", models.TextField()),
                ("payload", models.JSONField()),
                ("reason", models.TextField()),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("redriven_at", models.DateTimeField(blank=True, null=True)),
                (
                    "batch",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        to="healthkit.importbatch",
                    ),
                ),
                (
                    "chunk",
                    models.ForeignKey(
                        blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, to="healthkit.importchunk"
                    ),
                ),
            ],
            options={
                "db_table": "healthkit_dead_letter",
            },
        ),
        migrations.CreateModel(
            name="RecordFingerprint",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("fingerprint", models.BinaryField()),
                ("hk_uuid", models.UUIDField(blank=True, null=True)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "user",
                    models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, to="accounts.user"),
                ),
            ],
            options={
                "db_table": "healthkit_record_fingerprint",
            },
        ),
        migrations.CreateModel(
            name="Redrive",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "kind",
                    models.TextField(choices=[("batch", "Batch"), ("chunk", "Chunk"), ("dead_letter", "Dead Letter")]),
                ),
                ("target", models.TextField()),
                ("actor", models.TextField()),
                ("redriven_count", models.IntegerField(db_default=0)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                "db_table": "healthkit_redrive",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("kind__in", ["batch", "chunk", "dead_letter"])),
                        name="healthkit_redrive_kind",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="RejectedSample",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("sample_index", models.IntegerField()),
                (
                    "reason",
                    models.TextField(
                        choices=[
                            ("malformed", "Malformed"),
                            ("unknown_type", "Unknown Type"),
                            ("wrong_type", "Wrong Type"),
                            ("wrong_unit", "Wrong Unit"),
                            ("bad_value", "Bad Value"),
                            ("bad_time", "Bad Time"),
                            ("bad_source", "Bad Source"),
                            ("uuid_conflict", "Uuid Conflict"),
                            ("day_closed", "Day Closed"),
                        ]
                    ),
                ),
                ("sample", models.JSONField()),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("resolved_at", models.DateTimeField(blank=True, null=True)),
                (
                    "chunk",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.CASCADE, to="healthkit.importchunk"
                    ),
                ),
            ],
            options={
                "db_table": "healthkit_rejected_sample",
            },
        ),
        migrations.CreateModel(
            name="SampleType",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("identifier", models.TextField(unique=True)),
                ("name", models.TextField()),
                (
                    "kind",
                    models.TextField(
                        choices=[
                            ("cumulative", "Cumulative"),
                            ("discrete", "Discrete"),
                            ("sleep", "Sleep"),
                            ("category", "Category"),
                        ]
                    ),
                ),
                ("unit", models.TextField(blank=True)),
                ("allowed_values", models.JSONField(blank=True, null=True)),
            ],
            options={
                "db_table": "healthkit_sample_type",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("kind__in", ["cumulative", "discrete", "sleep", "category"])),
                        name="healthkit_sample_type_kind",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="DataRecord",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("hk_uuid", models.UUIDField(blank=True, null=True)),
                ("start_at", models.DateTimeField()),
                ("end_at", models.DateTimeField()),
                ("value", models.FloatField(blank=True, null=True)),
                ("category", models.TextField(blank=True, null=True)),
                ("unit", models.TextField(blank=True)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "user",
                    models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, to="accounts.user"),
                ),
                (
                    "source",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.PROTECT, to="healthkit.datasource"
                    ),
                ),
                (
                    "chunk",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.PROTECT, to="healthkit.importchunk"
                    ),
                ),
                (
                    "type",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.PROTECT, to="healthkit.sampletype"
                    ),
                ),
            ],
            options={
                "db_table": "healthkit_data_record",
            },
        ),
        migrations.CreateModel(
            name="DailyAggregate",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("day", models.DateField()),
                ("total", models.FloatField(blank=True, null=True)),
                ("mean", models.FloatField(blank=True, null=True)),
                ("minimum", models.FloatField(blank=True, null=True)),
                ("maximum", models.FloatField(blank=True, null=True)),
                ("sample_count", models.IntegerField()),
                ("closed", models.BooleanField(db_default=False)),
                ("updated_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "user",
                    models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, to="accounts.user"),
                ),
                (
                    "type",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.PROTECT, to="healthkit.sampletype"
                    ),
                ),
            ],
            options={
                "db_table": "healthkit_daily_aggregate",
            },
        ),
        migrations.AddConstraint(
            model_name="datasource",
            constraint=models.UniqueConstraint(fields=("user", "identifier"), name="healthkit_data_source_identifier"),
        ),
        migrations.AddConstraint(
            model_name="datasource",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ["watch", "phone", "third_party"])), name="healthkit_data_source_kind"
            ),
        ),
        migrations.AddConstraint(
            model_name="datasource",
            constraint=models.CheckConstraint(
                condition=models.Q(("precedence__gte", 1), ("precedence__lte", 3)),
                name="healthkit_data_source_precedence",
            ),
        ),
        migrations.AddIndex(
            model_name="importbatch",
            index=models.Index(
                condition=models.Q(("finished_at__isnull", True)), fields=["moved_at"], name="healthkit_batch_open"
            ),
        ),
        migrations.AddIndex(
            model_name="importbatch",
            index=models.Index(fields=["device", "type_identifier", "starting_anchor"], name="healthkit_batch_anchor"),
        ),
        migrations.AddConstraint(
            model_name="importbatch",
            constraint=models.UniqueConstraint(fields=("device", "idempotency_key"), name="healthkit_import_batch_key"),
        ),
        migrations.AddConstraint(
            model_name="importbatch",
            constraint=models.CheckConstraint(
                condition=models.Q(("status__in", ["PENDING", "PROCESSING", "COMPLETED", "FAILED", "ABANDONED"])),
                name="healthkit_import_batch_status",
            ),
        ),
        migrations.AddConstraint(
            model_name="importbatch",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("chunk_count__gte", 1),
                    ("uploaded_count__gte", 0),
                    ("uploaded_count__lte", models.F("chunk_count")),
                ),
                name="healthkit_import_batch_uploaded",
            ),
        ),
        migrations.AddConstraint(
            model_name="importbatch",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("done_count__gte", 0),
                    ("failed_count__gte", 0),
                    (
                        "uploaded_count__gte",
                        django.db.models.expressions.CombinedExpression(
                            models.F("done_count"), "+", models.F("failed_count")
                        ),
                    ),
                ),
                name="healthkit_import_batch_counted",
            ),
        ),
        migrations.AddConstraint(
            model_name="importbatch",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("finished_at__isnull", False),
                    ("status__in", ["PENDING", "PROCESSING", "ABANDONED"]),
                    _connector="OR",
                ),
                name="healthkit_import_batch_finished",
            ),
        ),
        migrations.AddConstraint(
            model_name="anchormove",
            constraint=models.UniqueConstraint(
                fields=("device", "type_identifier", "to_value"), name="healthkit_anchor_move_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="anchor",
            constraint=models.UniqueConstraint(
                fields=("device", "type_identifier"), name="healthkit_anchor_device_type"
            ),
        ),
        migrations.AddIndex(
            model_name="importchunk",
            index=models.Index(
                condition=models.Q(("status", "PENDING")), fields=["next_dispatch_at"], name="healthkit_chunk_pending"
            ),
        ),
        migrations.AddIndex(
            model_name="importchunk",
            index=models.Index(
                condition=models.Q(("finished_at__isnull", False)),
                fields=["finished_at"],
                name="healthkit_chunk_finished",
            ),
        ),
        migrations.AddConstraint(
            model_name="importchunk",
            constraint=models.UniqueConstraint(fields=("batch", "chunk_index"), name="healthkit_import_chunk_index"),
        ),
        migrations.AddConstraint(
            model_name="importchunk",
            constraint=models.UniqueConstraint(
                condition=models.Q(("claim_token__isnull", False)),
                fields=("batch", "claim_slot"),
                name="healthkit_import_chunk_slot",
            ),
        ),
        migrations.AddConstraint(
            model_name="importchunk",
            constraint=models.CheckConstraint(
                condition=models.Q(("status__in", ["PENDING", "DONE", "FAILED"])), name="healthkit_import_chunk_status"
            ),
        ),
        migrations.AddConstraint(
            model_name="importchunk",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("claim_token__isnull", True),
                    models.Q(
                        ("claim_expires_at__isnull", False),
                        ("claim_slot__isnull", False),
                        ("claimed_at__isnull", False),
                        ("status", "PENDING"),
                    ),
                    _connector="OR",
                ),
                name="healthkit_import_chunk_claim",
            ),
        ),
        migrations.AddConstraint(
            model_name="importchunk",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("finished_at__isnull", True), ("status", "PENDING")),
                    models.Q(("finished_at__isnull", False), ("status__in", ["DONE", "FAILED"])),
                    _connector="OR",
                ),
                name="healthkit_import_chunk_finished",
            ),
        ),
        migrations.AddConstraint(
            model_name="deadletter",
            constraint=models.UniqueConstraint(
                condition=models.Q(("redriven_at__isnull", True)),
                fields=("task_name", "message_id"),
                name="healthkit_dead_letter_message",
            ),
        ),
        migrations.AddConstraint(
            model_name="recordfingerprint",
            constraint=models.UniqueConstraint(fields=("user", "fingerprint"), name="healthkit_fingerprint_content"),
        ),
        migrations.AddConstraint(
            model_name="recordfingerprint",
            constraint=models.UniqueConstraint(fields=("user", "hk_uuid"), name="healthkit_fingerprint_uuid"),
        ),
        migrations.AddConstraint(
            model_name="rejectedsample",
            constraint=models.UniqueConstraint(
                fields=("chunk", "sample_index"), name="healthkit_rejected_sample_index"
            ),
        ),
        migrations.AddConstraint(
            model_name="rejectedsample",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "reason__in",
                        [
                            "malformed",
                            "unknown_type",
                            "wrong_type",
                            "wrong_unit",
                            "bad_value",
                            "bad_time",
                            "bad_source",
                            "uuid_conflict",
                            "day_closed",
                        ],
                    )
                ),
                name="healthkit_rejected_sample_reason",
            ),
        ),
        migrations.AddIndex(
            model_name="datarecord",
            index=models.Index(fields=["user", "type", "start_at"], name="healthkit_record_day"),
        ),
        migrations.AddIndex(
            model_name="datarecord",
            index=django.contrib.postgres.indexes.BrinIndex(
                autosummarize=True, fields=["created_at"], name="healthkit_record_age"
            ),
        ),
        migrations.AddConstraint(
            model_name="datarecord",
            constraint=models.UniqueConstraint(fields=("user", "hk_uuid"), name="healthkit_data_record_uuid"),
        ),
        migrations.AddConstraint(
            model_name="datarecord",
            constraint=models.CheckConstraint(
                condition=models.Q(("end_at__gte", models.F("start_at"))), name="healthkit_data_record_interval"
            ),
        ),
        migrations.AddConstraint(
            model_name="dailyaggregate",
            constraint=models.UniqueConstraint(fields=("user", "type", "day"), name="healthkit_daily_aggregate_day"),
        ),
    ]
