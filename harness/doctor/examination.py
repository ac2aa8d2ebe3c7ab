"""An examination: every rule over one deployment."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from harness.doctor import celery_rules, parity
from harness.doctor.deployment import Deployment
from harness.doctor.finding import Finding
from harness.doctor.versions import bad_versions

Rule = Callable[[Deployment], Iterator[Finding]]

RULES: tuple[Rule, ...] = (
    parity.between_services,
    parity.between_environments,
    parity.required,
    parity.insecure_production,
    celery_rules.inert_remap,
    celery_rules.unused_soft_window,
    celery_rules.soft_window_too_long,
    celery_rules.outlasted_stop,
    celery_rules.limit_above_visibility,
    celery_rules.embedded_beat,
    celery_rules.several_beats,
    celery_rules.other_pool,
    celery_rules.shell_as_main,
    celery_rules.queue_without_consumer,
    celery_rules.eviction,
    celery_rules.not_durable,
    bad_versions,
)


def examine(deployment: Deployment) -> tuple[Finding, ...]:
    """All findings, unsafe ones first, each once."""
    found = dict.fromkeys(finding for rule in RULES for finding in rule(deployment))
    return tuple(sorted(found, key=lambda finding: finding.severity != "unsafe"))
