"""`python -m backend.beat_health`: exit 0 while this replica's beat goes round, leading or standing by; else 1."""

from backend.clock import monotonic_s
from backend.env import Config
from backend.health_command import health_command
from backend.heartbeat_file import heartbeat_file
from backend.service import Service

LEASES = 3  # lease times without a round before beat counts as hung


def beat_problem(times: Config) -> str | None:
    """What is wrong with beat; None when nothing is."""
    facts = heartbeat_file(Service.BEAT, times).read()
    if facts is None:
        return "no heartbeat file: beat has not gone round yet"
    age_s = monotonic_s() - float(facts["at_s"])
    bound_s = LEASES * times.beat_lease_s
    return None if age_s <= bound_s else f"beat hangs: no round for {age_s:.0f} s (bound {bound_s:.0f} s)"


def main() -> int:
    """Exit status of the command."""
    return health_command(Service.BEAT, beat_problem)


if __name__ == "__main__":
    raise SystemExit(main())
