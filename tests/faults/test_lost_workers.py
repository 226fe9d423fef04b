"""Workers that are killed, cut off or stopped with a task in flight."""

import signal

import psutil
import pytest

from tests.faults.fleet import Fleet, until

pytestmark = pytest.mark.slow


def assert_one_result(fleet: Fleet, task_id: str, attempt: int) -> None:
    task = fleet.task(task_id)
    assert task["attempt"] == attempt
    stamp = task["model_path"].rpartition("/")[2].partition("_")[0]
    assert fleet.outputs() == [
        f"p/f/anomaly_detection/{stamp}_inne_{name}" for name in ("model.pkl", "model.pkl.json", "predictions.csv")
    ]


def runs_again_after_kill(fleet: Fleet) -> None:
    first = fleet.start_worker()
    task_id = fleet.submit_training()
    child = fleet.in_flight(task_id)
    family = first.family()
    assert child in [process.pid for process in family]
    first.kill()
    fleet.start_worker()
    fleet.open_gate()
    fleet.wait_for(task_id, "SUCCESS")
    assert_one_result(fleet, task_id, attempt=2)
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []


def test_a_killed_workers_task_runs_again(fleet_on_each_broker: Fleet) -> None:
    runs_again_after_kill(fleet_on_each_broker)


def test_a_killed_workers_task_runs_again_on_many_machines(fleet_of_servers: Fleet) -> None:
    runs_again_after_kill(fleet_of_servers)


@pytest.mark.parametrize("everything", [True, False], ids=["with its child", "alone"])
def test_a_worker_that_was_cut_off_publishes_nothing(fleet: Fleet, everything: bool) -> None:
    first = fleet.start_worker()
    task_id = fleet.submit_training()
    fleet.in_flight(task_id)
    if everything:
        first.signal_all(signal.SIGSTOP)
    else:
        first.process.send_signal(signal.SIGSTOP)
    fleet.start_worker()
    fleet.open_gate()
    fleet.wait_for(task_id, "SUCCESS")
    done = fleet.task(task_id)
    first.signal_all(signal.SIGCONT)
    until("the first worker sees that it lost the task", lambda: first.said("is not this worker's any more"))
    assert fleet.task(task_id) == done
    assert_one_result(fleet, task_id, attempt=2)


def test_after_the_last_attempt_it_fails(fleet: Fleet) -> None:
    fleet.environment["INLIER_TASK_MAX_RETRIES"] = "1"
    task_id = fleet.submit_training()
    for _ in range(2):
        for arrived in fleet.gate.glob("arrived-*"):
            arrived.unlink()
        worker = fleet.start_worker()
        fleet.in_flight(task_id)
        worker.kill()
    fleet.start_worker()
    task = fleet.wait_for(task_id, "FAILURE")
    assert task["error"] == {
        "code": "worker_lost",
        "message": "it was begun 2 times, and its worker was lost each time",
    }
    assert task["attempt"] == 2
    assert fleet.outputs() == []


def test_a_worker_that_stops_gives_its_task_back(fleet: Fleet) -> None:
    first = fleet.start_worker()
    task_id = fleet.submit_training()
    fleet.in_flight(task_id)
    first.process.send_signal(signal.SIGTERM)
    assert first.process.wait(30) == 0
    assert fleet.task(task_id)["status"] == "RETRY"
    fleet.open_gate()
    fleet.start_worker()
    fleet.wait_for(task_id, "SUCCESS")
    assert_one_result(fleet, task_id, attempt=2)


def test_a_running_task_is_cancelled(fleet: Fleet) -> None:
    fleet.start_worker()
    task_id = fleet.submit_training()
    child = fleet.in_flight(task_id)
    assert fleet.http.post(f"/anomaly_detection/tasks/{task_id}/cancel").json["status"] == "STARTED"
    fleet.wait_for(task_id, "REVOKED")
    until("its process is gone", lambda: not psutil.pid_exists(child))
    assert fleet.outputs() == []


def test_a_child_that_is_killed_fails_its_task_and_not_the_worker(fleet: Fleet) -> None:
    fleet.start_worker()
    task_id = fleet.submit_training()
    psutil.Process(fleet.in_flight(task_id)).kill()
    task = fleet.wait_for(task_id, "FAILURE")
    assert task["error"]["code"] == "killed"
    fleet.open_gate()
    fleet.wait_for(fleet.submit_training(), "SUCCESS")


def test_a_task_that_takes_too_long_fails(fleet: Fleet) -> None:
    fleet.environment["INLIER_TASK_RUN_SECONDS"] = "1"
    fleet.start_worker()
    task = fleet.wait_for(fleet.submit_training(), "FAILURE")
    assert task["error"] == {"code": "time_limit", "message": "it took longer than the 1 seconds that it may"}
