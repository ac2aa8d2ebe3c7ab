"""P8, W13 and A9: what happens between a COMMIT and whatever was to follow it."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise

from harness.anomaly import Kind
from harness.demands.demands import await_imports, expect_executions, expect_loud
from harness.experiment.experiment import Experiment
from harness.faults.commits import LoseCommitAnswer
from harness.faults.process import KillReplica
from harness.ledger import noted_ops
from harness.rows.row import row
from harness.times import Recovery
from harness.tripwires.commit_wait import Standing
from harness.tripwires.tripwire import Parked
from harness.witness import Monitor, claim_history
from scenarios.defects import counted_apart, no_sweeper, upload_counted_apart

CHUNK_TASK = "healthkit.import_chunk"
UPLOAD = "INSERT INTO healthkit_import_chunk"


@row(
    "P8",
    title="COMMIT sent, and its answer never seen",
    recovery=Recovery.HOLDER_DIED,
    defects=(counted_apart.DEFECT.expecting(Kind.WRONG_ACCOUNTING),),
)
def test_p8_commit_unanswered(x: Experiment) -> None:
    """The worker sees a lost connection; the chunk is done all the same, once, counted once, and never FAILED."""
    parked = x.park_chunk()
    x.commits.park(parked.backend_pid, let_go=lambda: x.release(parked))
    x.inject(LoseCommitAnswer(parked))
    x.commits.release()
    expect_loud(x, "log:database_unavailable", names=(parked.point.batch_id,))
    expect_executions(x, parked, 1)


@row(
    "W13",
    title="SIGKILL of a worker between the commit of a chunk and the message of the next",
    recovery=Recovery.HOLDER_DIED,
    defects=(no_sweeper.DEFECT.expecting(Kind.LATE),),
)
def test_w13_killed_after_commit(x: Experiment) -> None:
    """The commit holds, and the chain goes on although nobody was left to publish its next link."""
    monitor = x.watch_redis()
    parked = x.park_chunk()
    x.commits.park(parked.backend_pid, let_go=lambda: x.release(parked))
    x.inject(KillReplica(parked.replica))
    x.witness("its COMMIT stood unanswered when it was dead", x.commits.standing(parked.backend_pid))
    x.commits.release()
    expect_executions(x, parked, 1)
    if x.faulted:
        x.later.append(lambda: _see_next_link(x, parked, monitor))


@row(
    "A9",
    title="SIGKILL of an API replica between the commit of an upload and its answer",
    defects=(upload_counted_apart.DEFECT.expecting(Kind.LOST),),
)
def test_a9_upload_unanswered(x: Experiment) -> None:
    """Accepted for good or not at all; the phone's second try meets the chunk that is there already."""
    x.work()
    await_imports(x)
    upload = x.commits.park_any("api", statement=UPLOAD)
    x.inject(KillReplica(upload.replica))
    x.witness("its COMMIT stood unanswered when the replica was dead", x.commits.standing(upload.backend_pid))
    x.commits.release()
    if x.faulted:
        x.later.append(lambda: _see_second_try(x, upload))


def _see_second_try(x: Experiment, upload: Standing) -> None:
    """Some upload was cut off by the kill, and its chunk was there before its phone tried again and was told so."""
    stored = x.sql("SELECT batch_id::text, chunk_index, created_at FROM healthkit_import_chunk")
    kept_at = {(batch, index): at for batch, index, at in stored}
    met = [
        f"{op['op']}: chunk {op['index']} of {op['batch']}, {first['error']}"
        for op in noted_ops(x.ledger.directory)
        if op["kind"] == "upload_chunk" and op["outcome"] == "OK" and (op["batch"], op["index"]) in kept_at
        for first, second in pairwise(op["attempts"])
        if first["replica"] == upload.replica
        and first["status"] is None
        and kept_at[op["batch"], op["index"]] < datetime.fromisoformat(second["at"])
    ]
    x.witness("uploads that were kept, cut off, and acknowledged when tried again", met[:5])


def _see_next_link(x: Experiment, parked: Parked, monitor: Monitor) -> None:
    """The commit held, and the next chunk was first published when the worker was dead; asked only once it is done."""
    point = parked.point
    done, following = (
        claim_history(x.stack.dsn(), batch_id=point.batch_id, chunk_index=index)
        for index in (point.chunk_index, point.chunk_index + 1)
    )
    holder = f"{parked.replica}:{parked.pid}"
    if done.get("status") == "DONE":
        x.witness("done by the worker that was killed", done if done["claimed_by"] == holder else None)
    if following.get("status", "DONE") != "DONE":
        return
    link = {"batch": point.batch_id, "chunk": str(point.chunk_index + 1)}
    first = next((each for each in monitor.published(task=CHUNK_TASK) if link.items() <= each.headers.items()), None)
    killed_at = x.injected_at()
    is_after = first is not None and killed_at is not None and first.at >= killed_at.isoformat()
    seen = f"message {first.message_id} at {first.at}" if first is not None and is_after else None
    x.witness("the next chunk was first published after the kill", seen)
