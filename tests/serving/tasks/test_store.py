from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from serving.errors import Conflict, NotFound
from serving.proxy.database import Database
from serving.proxy.tables import Task
from serving.tasks import store
from serving.tasks.store import Claim
from tests.serving.tasks.conftest import Add, look


def claim(database: Database, task_id: str, lease: float = 30.0) -> Claim | None:
    with database.writing() as session:
        return store.claim(session, task_id, lease)


def claimed(database: Database, task_id: str, lease: float = 30.0) -> Claim:
    held = claim(database, task_id, lease)
    assert held is not None
    return held


def test_only_one_worker_gets_a_task(database: Database, add: Add) -> None:
    task_id = add()
    with ThreadPoolExecutor(8) as pool:
        held = [each for each in pool.map(lambda _: claim(database, task_id), range(16)) if each]
    assert len(held) == 1
    assert (held[0].attempt, held[0].previous_stamp) == (1, None)
    assert look(database, task_id).status == "STARTED"
    assert claim(database, "no such task") is None


def test_stamps_never_repeat(database: Database, add: Add) -> None:
    before = int(store.now().timestamp())
    with ThreadPoolExecutor(8) as pool:
        held = list(pool.map(lambda task_id: claimed(database, task_id), [add() for _ in range(30)]))
    stamps = sorted(each.stamp for each in held)
    assert len(set(stamps)) == 30
    assert stamps[0] >= before
    with database.writing() as session:
        store.succeed(session, held[0], {})
        store.remove(session, held[0].id)
    assert claimed(database, add()).stamp > stamps[-1]


def test_a_late_attempt_changes_nothing(database: Database, add: Add) -> None:
    task_id = add()
    late = claimed(database, task_id, lease=-1.0)
    with database.writing() as session:
        assert [task.id for task in store.expired(session)] == [task_id]
        assert store.expire(session, look(database, task_id), 3) == "RETRY"
        assert store.expire(session, look(database, task_id), 3) is None
    held = claimed(database, task_id)
    assert (held.attempt, held.previous_stamp) == (2, late.stamp)
    with database.writing() as session:
        assert store.renew(session, late, 30.0, 0.9, "late") is None
        assert not store.succeed(session, late, {"late": True})
        assert not store.fail(session, late, "late", "late")
        assert not store.revoke(session, late)
        assert not store.give_back(session, late)
        assert store.renew(session, held, 30.0, 0.5, "x" * 500) is True
    task = look(database, task_id)
    assert (task.progress, task.doing) == (0.5, "x" * 200)
    with database.writing() as session:
        assert store.succeed(session, held, {"done": True})
        assert store.succeed(session, held, {"again": True})  # the confirmation of the first may have been lost
        assert not store.fail(session, held, "late", "late")
    task = look(database, task_id)
    assert (task.status, task.result, task.lease_until) == ("SUCCESS", {"done": True}, None)


def test_a_worker_that_renews_is_not_taken_for_lost(database: Database, add: Add) -> None:
    task_id = add()
    held = claimed(database, task_id, lease=-1.0)
    expiring = look(database, task_id)
    with database.writing() as session:
        assert store.renew(session, held, 30.0, 0.0, "") is True
    with database.writing() as session:
        assert store.expire(session, expiring, 3) is None


def test_after_so_many_losses_it_fails(database: Database, add: Add) -> None:
    task_id = add()
    for expected in ("RETRY", "RETRY", "RETRY", "FAILURE"):
        claimed(database, task_id, lease=-1.0)
        with database.writing() as session:
            assert store.expire(session, look(database, task_id), 3) == expected
    task = look(database, task_id)
    assert (task.error_code, task.attempt) == ("worker_lost", 4)
    assert task.error_message == "it was begun 4 times, and its worker was lost each time"


def test_a_task_that_was_given_back_has_lost_nothing(database: Database, add: Add) -> None:
    task_id = add()
    for _ in range(6):
        held = claimed(database, task_id)
        with database.writing() as session:
            assert store.give_back(session, held)
    assert (look(database, task_id).status, look(database, task_id).losses) == ("RETRY", 0)


def test_cancel(database: Database, add: Add) -> None:
    waiting, running, lost, done = add(), add(), add(), add()
    held = claimed(database, running)
    claimed(database, lost, lease=-1.0)
    finished = claimed(database, done)
    with database.writing() as session:
        assert store.cancel(session, waiting).status == "REVOKED"
        assert store.cancel(session, waiting).status == "REVOKED"
        assert store.cancel(session, running).status == "STARTED"
        assert store.renew(session, held, 30.0, 0.0, "") is False
        assert store.revoke(session, held)
        store.cancel(session, lost)
        store.succeed(session, finished, {})
        with pytest.raises(Conflict, match="has ended: SUCCESS"):
            store.cancel(session, done)
        with pytest.raises(NotFound):
            store.cancel(session, "nothing")
    assert claim(database, waiting) is None
    with database.writing() as session:
        assert store.expire(session, look(database, lost), 3) == "REVOKED"
    assert look(database, running).status == "REVOKED"


def unanswered(database: Database, seconds: float = 10.0) -> set[str]:
    with database.writing() as session:
        return {task_id for task_id, _ in store.unanswered(session, seconds)}


def test_a_message_is_sent_again_when_it_seems_lost(database: Database, add: Add) -> None:
    new, old = add(sent_seconds_ago=5), add(sent_seconds_ago=11)
    assert unanswered(database) == {old}
    assert unanswered(database) == set()  # it was sent just now
    assert look(database, old).sends == 2
    assert look(database, new).sends == 1


def test_each_further_message_waits_twice_as_long(database: Database, add: Add) -> None:
    task_id = add(sent_seconds_ago=11)
    for sends, wait in ((1, 10), (2, 20), (3, 40)):
        with database.writing() as session:
            task = store.find(session, task_id)
            assert task.sends == sends
            task.sent_at = store.now() - timedelta(seconds=wait - 2)
        assert unanswered(database) == set()
        with database.writing() as session:
            store.find(session, task_id).sent_at = store.now() - timedelta(seconds=wait + 1)
        assert unanswered(database) == {task_id}


def test_a_queue_that_is_being_worked_on_is_left_alone(database: Database, add: Add) -> None:
    running = add(sent_seconds_ago=200)
    waiting = add(sent_seconds_ago=100)
    claimed(database, running)
    assert unanswered(database) == set()
    claimed(database, add(sent_seconds_ago=50))  # a later message came through: the earlier one did not
    assert unanswered(database) == {waiting}


def test_a_task_that_runs_for_long_is_no_sign_that_messages_come(database: Database, add: Add) -> None:
    running, waiting = add(sent_seconds_ago=200), add(sent_seconds_ago=100)
    claimed(database, running)
    with database.writing() as session:
        store.find(session, running).started_at = store.now() - timedelta(seconds=11)
    assert unanswered(database) == {waiting}
    assert unanswered(database) == set()


def test_old_tasks_are_forgotten(database: Database, add: Add) -> None:
    old, new, waiting = add(), add(), add()
    for task_id in (old, new):
        held = claimed(database, task_id)
        with database.writing() as session:
            store.succeed(session, held, {})
    with database.writing() as session:
        store.find(session, old).ended_at = store.now() - timedelta(days=31)
    with database.writing() as session:
        assert store.forget_ended(session, timedelta(days=30)) == 1
    with database.browsing() as session:
        assert {task.id for task in store.browse(session)} == {new, waiting}


def test_messages_of_any_kind_are_kept(database: Database, add: Add) -> None:
    held = claimed(database, add())
    with database.writing() as session:
        assert store.renew(session, held, 30.0, 0.5, "a\0b\ud800")
    assert look(database, held.id).doing == "a\\0b\\ud800"
    with database.writing() as session:
        assert store.fail(session, held, "x", "a\0b\ud800" + "c" * 10_000)
    task: Task = look(database, held.id)
    assert task.error_message is not None
    assert task.error_message.startswith("a\\0b\\ud800c")
    assert len(task.error_message) == store.MESSAGE_LENGTH
