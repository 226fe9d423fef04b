"""The task table: every change of a task's status is a compare-and-swap in here.

::

    PENDING ──▶ STARTED ──▶ SUCCESS | FAILURE | REVOKED
       └──▶ REVOKED │ ▲
                    ▼ │
                   RETRY ──▶ FAILURE | REVOKED
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import CursorResult, Update, and_, case, delete, func, or_, select, update
from sqlalchemy.orm import Session

from serving.errors import Conflict, NotFound, TooManyTasks
from serving.proxy.tables import OutputStamp, Task

PENDING, STARTED, RETRY = "PENDING", "STARTED", "RETRY"
SUCCESS, FAILURE, REVOKED = "SUCCESS", "FAILURE", "REVOKED"
STATUSES = (PENDING, STARTED, RETRY, SUCCESS, FAILURE, REVOKED)
WAITING = (PENDING, RETRY)
OPEN = (PENDING, RETRY, STARTED)
ENDED = (SUCCESS, FAILURE, REVOKED)

DOING_LENGTH = 200
MESSAGE_LENGTH = 4000


@dataclass(frozen=True)
class Claim:
    """A worker's right to run a task, as long as its lease lasts.

    Attributes
    ----------
    stamp : int
        The second that this attempt's outputs are named after.
    previous_stamp : int or None
        That of the attempt before, which may have left files behind.
    """

    id: str
    kind: str
    parameters: dict[str, Any]
    attempt: int
    stamp: int
    previous_stamp: int | None


def now() -> datetime:
    """Return the time in UTC."""
    return datetime.now(UTC)


def find_same(session: Session, task: Task) -> Task | None:
    """Return the task of the same id that asks for the same, if there is one.

    Raises
    ------
    Conflict
        When the id belongs to a task that asks for something else.
    """
    known = session.get(Task, task.id)
    if known is not None and (known.kind, known.body_digest) != (task.kind, task.body_digest):
        raise Conflict(f"request_id {task.id} belongs to another {known.kind} task: a new task needs a new one")
    return known


def add(session: Session, task: Task, max_open: int) -> Task:
    """Put a new task into the table, or return the one of that id when it asks for the same.

    Raises
    ------
    Conflict
        When the id belongs to a task that asks for something else.
    TooManyTasks
        When as many as may wait or run already.
    """
    known = find_same(session, task)
    if known is not None:
        return known
    if count_open(session) >= max_open:
        raise TooManyTasks(f"{max_open} tasks wait or run already; try again when some have ended")
    session.add(task)
    session.flush()
    return task


def find(session: Session, task_id: str, kind: str | None = None) -> Task:
    """Return a task.

    Raises
    ------
    NotFound
        When there is none, or it is of another kind.
    """
    task = session.get(Task, task_id)
    if task is None:
        raise NotFound(f"there is no task {task_id[:80]!r}")
    if kind not in (None, task.kind):
        raise NotFound(f"the task {task_id} is not of kind {kind}, it is of kind {task.kind}")
    return task


def count_open(session: Session) -> int:
    """Return how many tasks wait or run."""
    return session.scalar(select(func.count()).select_from(Task).where(Task.status.in_(OPEN))) or 0


def count_open_by_status(session: Session) -> dict[str, int]:
    """Return how many tasks wait or run, by their status; a count of 0 is said, too.

    Those that have ended are not counted: there may be very many, and an index leads to these.
    """
    rows = session.execute(select(Task.status, func.count()).where(Task.status.in_(OPEN)).group_by(Task.status))
    return dict.fromkeys(OPEN, 0) | {row[0]: row[1] for row in rows}


def oldest_waiting(session: Session) -> float:
    """Return how many seconds ago the oldest task that waits was accepted; 0 when none waits."""
    since = session.scalar(select(func.min(Task.created_at)).where(Task.status.in_(WAITING)))
    return 0.0 if since is None else max(0.0, (now() - since).total_seconds())


def browse(
    session: Session, status: str | None = None, kind: str | None = None, limit: int = 100, offset: int = 0
) -> Sequence[Task]:
    """Return tasks, the newest first."""
    query = select(Task).order_by(Task.created_at.desc(), Task.id).limit(limit).offset(offset)
    if status is not None:
        query = query.where(Task.status == status)
    if kind is not None:
        query = query.where(Task.kind == kind)
    return session.scalars(query).all()


def claim(session: Session, task_id: str, lease_seconds: float) -> Claim | None:
    """Begin an attempt, unless another worker has, or the task has ended."""
    task = session.get(Task, task_id)
    if task is None or task.status not in WAITING:
        return None
    moment = now()
    held = Claim(task.id, task.kind, task.parameters, task.attempt + 1, _next_stamp(session), task.stamp)
    change = update(Task).where(Task.id == task_id, Task.status.in_(WAITING), Task.attempt == held.attempt - 1)
    begun = change.values(
        status=STARTED,
        attempt=held.attempt,
        stamp=held.stamp,
        lease_until=moment + timedelta(seconds=lease_seconds),
        started_at=moment,
        progress=0.0,
        doing="",
    )
    return held if _swapped(session, begun) else None


def _next_stamp(session: Session) -> int:
    """Return this second, or the one after the last that was given away: they never repeat."""
    second = int(now().timestamp())
    last = OutputStamp.last
    grown = update(OutputStamp).values(last=case((last >= second, last + 1), else_=second)).returning(last)
    return int(session.execute(grown).scalar_one())


def renew(session: Session, held: Claim, lease_seconds: float, progress: float, doing: str) -> bool | None:
    """Prolong a lease and say how far it is; False when the task was cancelled, None when it is another worker's."""
    until = now() + timedelta(seconds=lease_seconds)
    change = _of(held).values(lease_until=until, progress=progress, doing=_storable(doing, DOING_LENGTH))
    row = session.execute(
        change.returning(Task.cancel_requested).execution_options(synchronize_session=False)
    ).one_or_none()
    return None if row is None else not row[0]


def succeed(session: Session, held: Claim, result: dict[str, Any]) -> bool:
    """End a task with its result; False when the attempt is not this worker's any more."""
    if _swapped(session, _of(held).values(result=result, progress=1.0, doing="", **_ended(SUCCESS))):
        return True
    # a connection may break after the commit and before its confirmation
    done = select(Task.id).where(Task.id == held.id, Task.attempt == held.attempt, Task.status == SUCCESS)
    return session.scalar(done) is not None


def fail(session: Session, held: Claim, code: str, message: str) -> bool:
    """End a task with an error; False when the attempt is not this worker's any more."""
    return _swapped(session, _of(held).values(**_failed(code, message)))


def revoke(session: Session, held: Claim) -> bool:
    """End a task that was cancelled while it ran."""
    return _swapped(session, _of(held).values(doing="", **_ended(REVOKED)))


def give_back(session: Session, held: Claim) -> bool:
    """Let another worker begin anew, because this one stops: that does not count as an attempt that was lost."""
    return _swapped(session, _of(held).values(status=RETRY, lease_until=None, **_sent()))


def cancel(session: Session, task_id: str) -> Task:
    """Revoke a task that waits; ask the worker of one that runs to stop.

    Raises
    ------
    Conflict
        When it has ended already; one that was revoked stays so.
    """
    waiting = update(Task).where(Task.id == task_id, Task.status.in_(WAITING)).values(**_ended(REVOKED))
    if not _swapped(session, waiting):
        running = update(Task).where(Task.id == task_id, Task.status == STARTED).values(cancel_requested=True)
        _swapped(session, running)
    task = find(session, task_id)
    if task.status in (SUCCESS, FAILURE):
        raise Conflict(f"the task {task_id} has ended: {task.status}")
    return task


def remove(session: Session, task_id: str) -> None:
    """Forget a task that has ended; its files stay.

    Raises
    ------
    Conflict
        While it waits or runs.
    """
    gone = delete(Task).where(Task.id == task_id, Task.status.in_(ENDED))
    if not _changed(session, gone):
        task = find(session, task_id)
        raise Conflict(f"the task {task_id} has not ended ({task.status}): cancel it first")


def expired(session: Session, limit: int = 100) -> Sequence[Task]:
    """Return tasks whose worker has been silent for longer than its lease."""
    return session.scalars(
        select(Task).where(Task.status == STARTED, Task.lease_until < now()).order_by(Task.lease_until).limit(limit)
    ).all()


def expire(session: Session, task: Task, max_retries: int) -> str | None:
    """Take a task from a worker that lost it: RETRY, or FAILURE after the last attempt; None if it was not lost."""
    losses = task.losses + 1
    if task.cancel_requested:
        values = _ended(REVOKED)
    elif losses > max_retries:
        values = _failed("worker_lost", f"it was begun {_times(losses)}, and its worker was lost each time")
    else:
        values = {"status": RETRY, "lease_until": None, **_sent()}
    lost = update(Task).where(
        Task.id == task.id, Task.attempt == task.attempt, Task.status == STARTED, Task.lease_until < now()
    )
    return values["status"] if _swapped(session, lost.values(losses=losses, **values)) else None


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def unanswered(session: Session, resend_seconds: float, limit: int = 100) -> list[tuple[str, str]]:
    """Return the ids, and Celery's, of waiting tasks whose message seems lost, and note that it is sent again.

    A message is thought lost when it was sent a while ago and either no task was begun for as long, or one sent later
    was. It may also be held by a worker that fetched it and is busy for long: that tasks run does not say that it will
    come. Each further message doubles the wait, so that a long queue does not fill with copies.
    """
    moment = now()
    begun = select(func.max(Task.sent_at)).where(Task.started_at.is_not(None)).scalar_subquery()
    moves = select(Task.id).where(Task.started_at > moment - timedelta(seconds=resend_seconds)).exists()
    overdue = or_(
        *(
            and_(Task.sends == sends, Task.sent_at < moment - timedelta(seconds=resend_seconds * 2 ** (sends - 1)))
            for sends in range(1, 8)
        ),
        Task.sent_at < moment - timedelta(seconds=resend_seconds * 2**7),
    )
    query = select(Task.id, Task.celery_id).where(Task.status.in_(WAITING), overdue, or_(~moves, Task.sent_at < begun))
    lost = [(task_id, celery_id) for task_id, celery_id in session.execute(query.order_by(Task.sent_at).limit(limit))]
    if lost:
        again = (
            update(Task)
            .where(Task.id.in_([task_id for task_id, _ in lost]))
            .values(sent_at=moment, sends=Task.sends + 1)
        )
        session.execute(again.execution_options(synchronize_session=False))
    return lost


def forget_ended(session: Session, older_than: timedelta) -> int:
    """Forget tasks that ended long ago; their files stay."""
    return _changed(session, delete(Task).where(Task.status.in_(ENDED), Task.ended_at < now() - older_than))


def _of(held: Claim) -> Update:
    return update(Task).where(Task.id == held.id, Task.attempt == held.attempt, Task.status == STARTED)


def _ended(status: str) -> dict[str, Any]:
    return {"status": status, "ended_at": now(), "lease_until": None}


def _failed(code: str, message: str) -> dict[str, Any]:
    return {"error_code": code, "error_message": _storable(message, MESSAGE_LENGTH), "doing": "", **_ended(FAILURE)}


def _storable(text: str, length: int) -> str:
    """Return what a database keeps of any text: PostgreSQL has no NUL, and UTF-8 no half of a surrogate pair."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")[:length]


def _sent() -> dict[str, Any]:
    return {"sent_at": now(), "sends": 1}


def _swapped(session: Session, change: Update) -> bool:
    return _changed(session, change) == 1


def _changed(session: Session, change: Any) -> int:
    done = session.execute(change.execution_options(synchronize_session=False))
    session.expire_all()
    assert isinstance(done, CursorResult)  # noqa: S101  # what an UPDATE or DELETE gives
    return int(done.rowcount)
