"""What runs in a child process: one attempt at a job, within limits, and the conversation with the worker about it.

The child tells (``"progress"``, share, doing), then (``"ready"``, keys) when everything is staged and waits; the worker
makes sure that the attempt still counts and says ``"publish"``; then (``"done"``, result). Or (``"failed"``, code,
message) at any time. A child is forked from a process that has imported this module and nothing more is imported later.
"""

import gc
import logging
import os
import re
import resource
import signal
import sys
import threading
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from pathlib import Path

from detectors.errors import InlierError
from serving.tasks.jobs import run
from serving.tasks.orders import PUBLISH, Order
from training.storage import open_storage

log = logging.getLogger(__name__)

OUT_OF_MEMORY = "out_of_memory"
CRASHED = "internal_error"


def main(order: Order, worker: Connection) -> None:
    """Run one attempt."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; it is the worker's to decide
    threading.Thread(target=_die_with_worker, daemon=True).start()
    limit_memory(order.memory_bytes)
    try:
        _attempt(order, worker)
    except MemoryError:
        # what fills the memory hangs on the traceback; the sentence needs room
        failure = OUT_OF_MEMORY, f"it needs more memory than the {order.memory_bytes} bytes that a task may take"
    except InlierError as error:
        failure = error_code(error), str(error)
    except Exception as error:
        log.exception("a %s task failed in an unforeseen way", order.kind)
        failure = CRASHED, f"{type(error).__name__}: {error}"
    else:
        return
    gc.collect()
    worker.send(("failed", *failure))


def _attempt(order: Order, worker: Connection) -> None:
    def progress(share: float, doing: str) -> None:
        worker.send(("progress", share, doing))

    storage = open_storage(order.storage_url, order.storage.endpoint_url, order.storage.region)
    outcome = run(order.kind, storage, order.parameters, order.stamp, order.limits, progress)
    try:
        worker.send(("ready", [file.key for file in outcome.files]))
        if worker.recv() == PUBLISH:
            outcome.publish()
            worker.send(("done", outcome.result.as_dict()))
    finally:
        outcome.discard()


def error_code(error: InlierError) -> str:
    """Return the code of an error: its own, or the name of its class.

    Examples
    --------
    >>> from detectors.errors import UnknownFeatures
    >>> error_code(UnknownFeatures("x"))
    'unknown_features'
    """
    if error.code != InlierError.code:
        return error.code
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(error).__name__).lower()


def limit_memory(extra_bytes: int) -> None:
    """Let this process take that many bytes more than it has; a request beyond that is a MemoryError.

    The limit is on data, not on addresses: compilers and thread stacks reserve far more than they use.
    """
    if sys.platform != "linux":
        return
    held = re.search(r"VmData:\s+(\d+) kB", Path("/proc/self/status").read_text())
    if held is None:
        return
    soft = int(held[1]) * 1024 + extra_bytes
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def _die_with_worker() -> None:
    """End at once when the worker is gone: nobody would take the result."""
    worker = parent_process()
    if worker is not None:
        worker.join()
        os._exit(1)
