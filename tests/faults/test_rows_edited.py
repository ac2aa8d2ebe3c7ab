"""Faults that are an edited row: a type, a token, an entry of the schedule. Each bites, and is undone by its heal."""

from __future__ import annotations

import psycopg
import pytest

from harness.drivers.protocol import Stack
from harness.faults.fault import Fault
from harness.faults.sample_types import HideType
from harness.faults.schedule import DisableEntry, EditEntry, MistypeEntry
from harness.faults.tokens import RevokeToken

SCHEMA = """
drop table if exists healthkit_sample_type, accounts_device, django_celery_beat_periodictask,
  django_celery_beat_intervalschedule, django_celery_beat_periodictasks;
create table healthkit_sample_type (identifier text);
insert into healthkit_sample_type values ('steps'), ('sleep');
create table accounts_device (device_key text, token_hash text);
insert into accounts_device values ('d0', 'abc'), ('d1', 'def');
create table django_celery_beat_intervalschedule (id int generated always as identity, every int, period text);
insert into django_celery_beat_intervalschedule (every, period) values (1, 'seconds');
create table django_celery_beat_periodictask (name text, interval_id int, date_changed timestamptz, task text,
  queue text, args text, kwargs text, headers text, enabled bool default true, one_off bool, total_run_count int,
  description text);
insert into django_celery_beat_periodictask values ('sweep', 1, now()), ('remind', 1, now());
create table django_celery_beat_periodictasks (last_update timestamptz);
insert into django_celery_beat_periodictasks values ('2000-01-01');
"""
ROWS = """
select identifier from healthkit_sample_type union all select token_hash from accounts_device
union all select p.name || ' ' || i.every || ' ' || i.period || case when p.enabled then '' else ', disabled' end
  from django_celery_beat_periodictask p
  join django_celery_beat_intervalschedule i on i.id = p.interval_id
order by 1
"""
UNHARMED = ["abc", "def", "remind 1 seconds", "sleep", "steps", "sweep 1 seconds"]


@pytest.fixture
def stack(only_postgres: Stack) -> Stack:
    with psycopg.connect(only_postgres.dsn(), autocommit=True) as session:
        session.execute(SCHEMA)
    return only_postgres


def rows(stack: Stack) -> list[str]:
    with psycopg.connect(stack.dsn()) as session:
        return [str(value) for (value,) in session.execute(ROWS).fetchall()]


def bite(fault: Fault, stack: Stack, *, more: int = 0) -> set[str]:
    """What is there beside what was, once its two readings differ as the fault says."""
    before = fault.look(stack)
    assert not fault.has_bitten(before=before, now=before)
    fault.inject(stack)
    assert fault.has_bitten(before=before, now=fault.look(stack))
    assert len(rows(stack)) == len(UNHARMED) + more
    return set(rows(stack)) - set(UNHARMED)


def test_a_type_is_hidden_and_there_again(stack: Stack) -> None:
    fault = HideType("steps")
    assert bite(fault, stack) == {"chaoslab.hidden.steps"}
    assert not fault.is_whole(stack)
    fault.heal(stack)
    fault.heal(stack)
    assert fault.is_whole(stack)
    assert rows(stack) == UNHARMED


def test_an_entry_is_edited_alone_and_as_it_was_again(stack: Stack) -> None:
    fault = EditEntry("remind", 0.5)
    assert bite(fault, stack) == {"remind 500000 microseconds"}
    assert not fault.is_whole(stack)
    with psycopg.connect(stack.dsn()) as session:
        found = session.execute("select last_update > '2001-01-01' from django_celery_beat_periodictasks").fetchall()
    assert found == [(True,)]
    fault.heal(stack)
    assert fault.is_whole(stack)
    assert rows(stack) == UNHARMED


def test_an_entry_is_mistyped_and_gone_again(stack: Stack) -> None:
    fault = MistypeEntry("new", task="reminders.send_due")
    assert bite(fault, stack, more=1) == {"new 1 seconds"}
    with psycopg.connect(stack.dsn()) as session:
        found = session.execute(
            "select queue, enabled from django_celery_beat_periodictask where name = 'new'"
        ).fetchall()
        edited = session.execute("select last_update > '2001-01-01' from django_celery_beat_periodictasks").fetchall()
    assert (found, edited) == ([(fault.queue, True)], [(True,)])
    assert not fault.is_whole(stack)
    fault.heal(stack)
    assert fault.is_whole(stack)
    assert rows(stack) == UNHARMED


def test_an_entry_is_disabled_alone_and_enabled_again(stack: Stack) -> None:
    fault = DisableEntry("remind")
    assert bite(fault, stack) == {"remind 1 seconds, disabled"}
    assert not fault.is_whole(stack)
    with psycopg.connect(stack.dsn()) as session:
        edited = session.execute("select last_update > '2001-01-01' from django_celery_beat_periodictasks").fetchall()
    assert edited == [(True,)]
    fault.heal(stack)
    assert fault.is_whole(stack)
    assert rows(stack) == UNHARMED


def test_a_token_is_revoked(stack: Stack) -> None:
    assert bite(RevokeToken("d0"), stack) == {"chaoslab-revoked:abc"}
