"""Messages that a broker loses, and what is no message at all."""

import pytest

from serving.tasks.application import celery_application
from tests.faults.fleet import Fleet

pytestmark = pytest.mark.slow


def test_a_lost_message_is_sent_again(fleet_on_each_broker: Fleet) -> None:
    fleet = fleet_on_each_broker
    fleet.open_gate()
    task_ids = [fleet.submit_training() for _ in range(3)]
    with celery_application(fleet.settings, fleet.home).connection_for_write() as connection:
        assert connection.default_channel.queue_purge(fleet.queue) == 3
    fleet.start_worker()
    for task_id in task_ids:
        assert fleet.wait_for(task_id, "SUCCESS")["attempt"] == 1


def test_a_message_that_comes_twice_is_one_attempt(fleet_on_each_broker: Fleet) -> None:
    fleet = fleet_on_each_broker
    fleet.open_gate()
    task_id = fleet.submit_training()
    app = celery_application(fleet.settings, fleet.home)
    for _ in range(5):
        app.send_task("inlier.run", args=[task_id])
    last = fleet.submit_training()
    fleet.start_worker()
    for each in (task_id, last):
        assert fleet.wait_for(each, "SUCCESS")["attempt"] == 1
    assert len(fleet.outputs()) == 2 * 3


def test_broken_messages_do_not_stop_a_worker(fleet: Fleet) -> None:
    fleet.open_gate()
    task_id = fleet.submit_training()
    queue = fleet.home.home / "broker" / "queues" / fleet.queue
    (message,) = queue.iterdir()
    whole = message.read_bytes()
    for number, content in enumerate((b"", b"{", b"[]", b"null", b"\xff", whole[: len(whole) // 2], b'{"body": 1}')):
        (queue / f"0000-{number}.json").write_bytes(content)
    app = celery_application(fleet.settings, fleet.home)
    app.send_task("inlier.run", args=["no such task"])
    app.send_task("inlier.run", args=[])
    app.send_task("inlier.nothing", args=[1])
    last = fleet.submit_training()
    fleet.start_worker()
    for each in (task_id, last):
        assert fleet.wait_for(each, "SUCCESS")["attempt"] == 1
    assert list(queue.iterdir()) == []


def test_many_tasks_on_two_workers_are_each_done_once(fleet_on_each_broker: Fleet) -> None:
    fleet = fleet_on_each_broker
    fleet.open_gate()
    task_ids = [fleet.submit_training() for _ in range(40)]
    for _ in range(2):
        fleet.start_worker()
    tasks = [fleet.wait_for(task_id, "SUCCESS") for task_id in task_ids]
    assert {task["attempt"] for task in tasks} == {1}
    models = {task["model_path"] for task in tasks}
    assert len(models) == len(tasks)
    assert models <= set(fleet.outputs())
    assert len(fleet.outputs()) == 3 * len(tasks)
