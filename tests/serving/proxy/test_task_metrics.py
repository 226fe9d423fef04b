"""The queue in /metrics: what an autoscaler goes by."""

from datetime import timedelta

import pytest
from flask.testing import FlaskClient

from serving.proxy.database import Database
from serving.proxy.tables import Task
from serving.tasks import store
from tests.serving.proxy.test_metrics import sample


def put(database: Database, status: str, number: int, seconds_ago: float = 0.0) -> None:
    moment = store.now()
    with database.writing() as session:
        for place in range(number):
            name = f"{status}-{place}"
            task = Task(id=name, kind="train", body_digest="x", parameters={}, status=status, celery_id=name)
            task.created_at, task.sent_at = moment - timedelta(seconds=seconds_ago), moment
            session.add(task)


def test_a_new_system_has_a_queue_of_none(http: FlaskClient) -> None:
    text = http.get("/metrics").text
    for status in store.OPEN:
        assert sample(text, "inlier_tasks", status=status) == 0
    assert sample(text, "inlier_tasks_wait_seconds") == 0
    assert "# TYPE inlier_tasks gauge" in text


def test_tasks_that_wait_or_run_are_counted(http: FlaskClient, database: Database) -> None:
    put(database, "PENDING", 3, seconds_ago=10)
    put(database, "RETRY", 1, seconds_ago=90)
    put(database, "STARTED", 2, seconds_ago=1000)
    put(database, "SUCCESS", 5, seconds_ago=5000)
    text = http.get("/metrics").text
    assert [sample(text, "inlier_tasks", status=status) for status in ("PENDING", "RETRY", "STARTED")] == [3, 1, 2]
    assert 'status="SUCCESS"' not in text
    assert sample(text, "inlier_tasks_wait_seconds") == pytest.approx(90, abs=30)


def test_without_a_database_the_rest_is_shown(http: FlaskClient, database: Database) -> None:
    with database.writing() as session:
        session.connection().exec_driver_sql("ALTER TABLE tasks RENAME TO elsewhere")
    answer = http.get("/metrics")
    assert answer.status_code == 200
    assert "inlier_tasks{" not in answer.text
    assert "process_start_time_seconds" in answer.text


def test_the_count_reads_no_more_than_what_is_open(database: Database) -> None:
    """By the index: a table of many ended tasks costs no more."""
    with database.reading() as connection:
        plan = connection.exec_driver_sql(
            "EXPLAIN QUERY PLAN SELECT status, count(*) FROM tasks "
            "WHERE status IN ('PENDING', 'RETRY', 'STARTED') GROUP BY status"
        ).all()
    assert "USING COVERING INDEX ix_tasks_status_sent_at" in str(plan)
