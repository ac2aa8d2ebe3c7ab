"""As many migrated databases are kept as a run of everything needs: one forgotten is made again, seconds each time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.drivers.container.template import IRRELEVANT
from harness.drivers.env_block import PER_STACK, TEMPLATES_KEPT, base_block, service_block
from harness.drivers.protocol import StackSpec
from harness.rows.catalogue import all_rows
from harness.rows.plan import Plan


def all_plans() -> Iterator[Plan]:
    """What `lab chaos` and `lab defects` play, each plan once."""
    for row in (listed.row for listed in all_rows()):
        yield Plan(row)
        for planted in row.defects:
            yield Plan(row, planted)
            yield Plan(row, planted, faulted=False)


def key(spec: StackSpec, *, irrelevant: frozenset[str]) -> tuple[object, ...]:
    """What tells one stack's migrated database from another's, in one clone on one driver."""
    block = service_block("migrate", spec=spec, base=base_block(), addresses={}, changes={})
    return spec.app_dir, spec.overlay, *sorted((name, value) for name, value in block.items() if name not in irrelevant)


@pytest.mark.parametrize("irrelevant", [PER_STACK, IRRELEVANT], ids=["processes", "containers"])
def test_all_that_a_run_of_everything_needs_are_kept(irrelevant: frozenset[str]) -> None:
    keys = {key(plan.spec(), irrelevant=irrelevant) for plan in all_plans()}
    assert len(keys) > 48  # all of them are found
    assert len(keys) <= TEMPLATES_KEPT
