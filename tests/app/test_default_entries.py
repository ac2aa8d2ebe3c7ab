"""The entries that the migrate step makes: once, and never again over what somebody has edited."""

import pytest
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from backend.env import config
from scheduling.default_entries import default_entries, entries_sync


@pytest.mark.usefixtures("stores")
def test_a_deploy_leaves_edited_entries_alone() -> None:
    PeriodicTask.objects.all().delete()
    names = [entry.name for entry in default_entries(config())]
    assert entries_sync(config()) == names
    slower, _ = IntervalSchedule.objects.get_or_create(every=1, period=IntervalSchedule.HOURS)
    edited = {"interval": slower, "queue": "default", "enabled": False}
    PeriodicTask.objects.filter(name=names[0]).update(**edited)
    assert entries_sync(config()) == []
    [found] = PeriodicTask.objects.filter(name=names[0])
    assert {name: getattr(found, name) for name in edited} == edited
    PeriodicTask.objects.filter(name=names[1]).delete()
    assert entries_sync(config()) == names[1:2]
