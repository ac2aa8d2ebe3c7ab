"""The types that are known from the start; more are added as rows, without a release."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

SLEEP_STAGES = ["inBed", "awake", "asleepUnspecified", "asleepCore", "asleepDeep", "asleepREM"]
FLOWS = ["unspecified", "none", "light", "medium", "heavy"]

TYPES: list[tuple[str, str, str, str, list[str] | None]] = [
    ("HKQuantityTypeIdentifierHeartRate", "Heart rate", "discrete", "count/min", None),
    ("HKQuantityTypeIdentifierRestingHeartRate", "Resting heart rate", "discrete", "count/min", None),
    ("HKQuantityTypeIdentifierHeartRateVariabilitySDNN", "Heart rate variability", "discrete", "ms", None),
    ("HKQuantityTypeIdentifierStepCount", "Steps", "cumulative", "count", None),
    ("HKQuantityTypeIdentifierDistanceWalkingRunning", "Distance", "cumulative", "m", None),
    ("HKQuantityTypeIdentifierActiveEnergyBurned", "Active energy", "cumulative", "kcal", None),
    ("HKQuantityTypeIdentifierBodyMass", "Body mass", "discrete", "kg", None),
    ("HKQuantityTypeIdentifierOxygenSaturation", "Oxygen saturation", "discrete", "%", None),
    ("HKCategoryTypeIdentifierSleepAnalysis", "Sleep", "sleep", "", SLEEP_STAGES),
    ("HKCategoryTypeIdentifierMenstrualFlow", "Menstrual flow", "category", "", FLOWS),
]


def add_types(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Add what is missing; rows that an operator changed stay as they are."""
    sample_type = apps.get_model("healthkit", "SampleType")
    for identifier, name, kind, unit, allowed_values in TYPES:
        sample_type.objects.using(schema_editor.connection.alias).get_or_create(
            identifier=identifier,
            defaults={"name": name, "kind": kind, "unit": unit, "allowed_values": allowed_values},
        )


class Migration(migrations.Migration):
    dependencies = [("healthkit", "0001_initial")]

    operations = [migrations.RunPython(add_types, migrations.RunPython.noop)]
