"""The menu: faults by the names that `lab inject` takes, made for the stack that is up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from harness.drivers.protocol import STORES, Stack
from harness.errors import LabError
from harness.faults.broker import FlushRedis, FreezeRedis, KillRedis
from harness.faults.fault import Fault
from harness.faults.network import CuttingToxic, HarmLink
from harness.faults.process import FreezeReplica, KillChild, KillReplica, StopReplica
from harness.faults.schedule import AddBeat
from harness.links.toxics import BlackHole, HalfOpen, Refuse, Reset

Maker = Callable[[Stack, str], Fault]


@dataclass(frozen=True, slots=True)
class Dish:
    """One fault on the menu. `service` is whom it harms when nobody is named; `takes` says who can be named."""

    title: str
    service: str
    takes: str
    make: Maker


def order(stack: Stack, name: str, *, service: str = "") -> Fault:
    """The fault of this name against a service (its first running replica), a replica, a store or a link.

    Raises: LabError when there is no such fault, or nobody whom it could harm.
    """
    dish = MENU.get(name)
    if dish is None:
        raise LabError(f"no fault {name!r}; there are {', '.join(MENU)}")
    return dish.make(stack, service or dish.service)


def replica_of(stack: Stack, service: str) -> str:
    """The replica meant by `worker-2`, or the first running one of `worker`; stores are their own."""
    if service in STORES or service in stack.replicas():
        return service
    known = stack.replicas(service) if service in ("api", "worker", "beat") else ()
    running = [name for name in known if stack.processes(name)]
    if not running:
        raise LabError(f"nothing runs that is called {service!r}; there are {', '.join((*stack.replicas(), *STORES))}")
    return running[0]


def link_of(service: str) -> tuple[str, str]:
    """`worker→redis` or `worker:redis` as (service, store). Raises: LabError for anything else."""
    first, _, store = service.replace("→", ":").partition(":")
    if first not in ("api", "worker", "beat") or store not in STORES:
        raise LabError(f"expected a path such as worker:redis or api:postgres, seen {service!r}")
    return first, store


def _kill(stack: Stack, service: str) -> Fault:
    replica = replica_of(stack, service)
    return KillRedis() if replica == "redis" else KillReplica(replica)


def _stop(stack: Stack, service: str) -> Fault:
    return StopReplica(replica_of(stack, service), timeout_s=stack.spec.stop_timeout_s)


def _freeze(stack: Stack, service: str) -> Fault:
    replica = replica_of(stack, service)
    return FreezeRedis() if replica == "redis" else FreezeReplica(replica)


def _kill_child(stack: Stack, service: str) -> Fault:
    replica = replica_of(stack, service)
    main, *children = stack.processes(replica)
    own = [each for each in children if each.parent_pid == main.pid and each.state != "Z"]
    if not own:
        raise LabError(f"{replica} has no pool child to kill")
    return KillChild(replica, own[0].pid)


def _link(toxic: CuttingToxic) -> Maker:
    def make(stack: Stack, service: str) -> Fault:
        first, store = link_of(service)
        return HarmLink(first, store, toxic)

    return make


MENU: Mapping[str, Dish] = MappingProxyType(
    {
        "kill": Dish("SIGKILL to every process of a replica or a store", "worker", "replica, service or store", _kill),
        "stop": Dish(
            "SIGTERM, then SIGKILL after the stop timeout, as a deploy does", "worker", "replica or service", _stop
        ),
        "freeze": Dish(
            "SIGSTOP to every process: alive, deaf and dumb", "worker", "replica, service or store", _freeze
        ),
        "kill-child": Dish("SIGKILL to one pool child, as the OOM killer does", "worker", "a worker", _kill_child),
        "lose-redis": Dish(
            "kill Redis; it comes back empty", "redis", "–", lambda _stack, _service: KillRedis(fresh=True)
        ),
        "flush-redis": Dish(
            "FLUSHALL, as somebody clearing the cache", "redis", "–", lambda _stack, _service: FlushRedis()
        ),
        "half-open": Dish(
            "open connections go silent for ever; new ones pass", "worker:redis", "path", _link(HalfOpen())
        ),
        "black-hole": Dish("nothing comes through, no reset", "worker:redis", "path", _link(BlackHole())),
        "reset": Dish("every open connection is reset once", "worker:redis", "path", _link(Reset())),
        "refuse": Dish("connections are closed and new ones refused", "worker:redis", "path", _link(Refuse())),
        "add-beat": Dish("a second beat beside the first", "beat", "–", lambda _stack, _service: AddBeat()),
    }
)
