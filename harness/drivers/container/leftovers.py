"""What a killed harness left in the engine: found by label, removed at the next start."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

import docker
from docker.errors import APIError, NotFound
from docker.models.containers import Container

from harness.drivers.leftovers import Fact, Undone, journal_path, undo_leftovers
from harness.engine import HOME_LABEL, LAB_LABEL, connect, engine_problem, labelled

JOURNAL_KIND: Final = "compose"
"""The kind of note in a lab's journal: `stack` is the label's value."""
BEING_REMOVED: Final = 409
AT_ONCE: Final = 8
"""Containers ended at a time; the engine takes about as long for all as for one."""
Each = TypeVar("Each")
Made = TypeVar("Made")


def undo_stack(note: Mapping[str, Fact]) -> None:
    """Remove everything that carries the label of the stack in a journal's note. Idempotent.

    Raises: DockerException when an engine does not answer any more, or cannot remove something.
    """
    remove_stack(connect(), str(note["stack"]))


def undo_container_leftovers(home: Path) -> tuple[Undone, ...]:
    """Undo what dead labs of this `home` left: by their journals, and then by label what no journal speaks of.

    A harness can be killed while the engine is still making a container for it: that one appears after its stack was
    undone. Where no engine answers, journals that need one are kept for a start that has it.

    Raises: WaitTimeout, DockerException when something cannot be ended or removed.
    """
    if engine_problem() is not None:
        return undo_leftovers(home=home)
    undone = undo_leftovers(home=home, undoers={JOURNAL_KIND: undo_stack})
    client = connect()
    # A stack is in a journal before it is in the engine: asked in this order, one without a journal has no harness.
    for name in stacks(client, home=home):
        if not journal_path(home, name).exists():
            remove_stack(client, name)
    return undone


def undo_all_leftovers(home: Path) -> None:
    """Undo what dead labs of this `home` left, asking the engine only where a journal speaks of containers.

    For a lab that runs without an engine: to look for one takes longer than to read the journals.

    Raises: WaitTimeout, DockerException when something cannot be ended or removed.
    """
    if any(each.not_undone for each in undo_leftovers(home=home)):
        undo_container_leftovers(home)


def remove_stack(client: docker.DockerClient, name: str, *, at_once: int = AT_ONCE) -> tuple[str, ...]:
    """Kill and remove the containers, networks and volumes of one stack; returns the names of what was found.

    Another lab's start may be at it too: what is gone meanwhile is as good as removed.
    """
    found = client.containers.list(all=True, filters=labelled(LAB_LABEL, name), ignore_removed=True)
    removed = for_each(found, _remove, at_once=at_once)
    for network in client.networks.list(filters=labelled(LAB_LABEL, name)):
        removed.append(str(network.name))
        with _unless_gone():
            network.remove()
    for volume in client.volumes.list(filters=labelled(LAB_LABEL, name)):
        removed.append(str(volume.name))
        with _unless_gone():
            volume.remove(force=True)
    return tuple(removed)


def for_each(items: Iterable[Each], work: Callable[[Each], Made], *, at_once: int) -> list[Made]:
    """What `work` makes of each; with 1 `at_once` no thread is started, which an interpreter that ends refuses."""
    if at_once == 1:
        return [work(each) for each in items]
    with ThreadPoolExecutor(max_workers=at_once) as pool:
        return list(pool.map(work, items))


def _remove(container: Container) -> str:
    with _unless_gone():
        container.remove(force=True, v=True)
    return str(container.name)


@contextmanager
def _unless_gone() -> Iterator[None]:
    try:
        yield
    except NotFound:
        return
    except APIError as error:
        if error.status_code != BEING_REMOVED:
            raise


def stacks(client: docker.DockerClient, *, home: Path) -> tuple[str, ...]:
    """The names of the stacks of this home's labs of which anything is left in the engine, running or not."""
    label = labelled(HOME_LABEL, str(home))
    found = {
        str(each.labels[LAB_LABEL]) for each in client.containers.list(all=True, filters=label, ignore_removed=True)
    }
    for each in (*client.networks.list(filters=label), *client.volumes.list(filters=label)):
        found.add(str((each.attrs.get("Labels") or {})[LAB_LABEL]))
    return tuple(sorted(found))
