"""What /metrics shows of tasks, read from their table by whoever is asked: every proxy says the same.

============================= ===== ========================================================
inlier_tasks                  gauge status: PENDING and RETRY wait, STARTED is being worked on
inlier_tasks_wait_seconds     gauge how long ago the oldest that waits was accepted
============================= ===== ========================================================
"""

from collections.abc import Iterator

from serving.proxy.database import Database
from serving.proxy.metrics import ProxyMetrics
from serving.tasks import store


def register(metrics: ProxyMetrics, database: Database) -> None:
    """Let the metrics tell of tasks."""

    def by_status() -> Iterator[tuple[dict[str, str], float]]:
        with database.browsing() as session:
            counts = store.count_open_by_status(session)
        yield from (({"status": status}, float(count)) for status, count in counts.items())

    def wait() -> Iterator[tuple[dict[str, str], float]]:
        with database.browsing() as session:
            yield {}, store.oldest_waiting(session)

    metrics.add_gauge("inlier_tasks", "Tasks that wait or run, by status.", by_status)
    metrics.add_gauge("inlier_tasks_wait_seconds", "How long ago the oldest task that waits was accepted.", wait)
