"""A worker whose jobs tell that they have begun and then wait for a gate to open: so a test knows what is in flight.

Children run this file again before they work, as multiprocessing has it, so the gate is theirs too.
"""

import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

from serving.tasks import child

GATE = Path(os.environ["INLIER_TEST_GATE"])
DOING = "waiting at the gate"
_run = child.run


def _gated(kind: str, storage: Any, asked: Any, stamp: int, limits: Any, progress: Any) -> Any:
    progress(0.0, DOING)
    (GATE / f"arrived-{stamp}").write_text(str(os.getpid()))
    while not (GATE / "open").exists():
        time.sleep(0.02)
    return _run(kind, storage, asked, stamp, limits, progress)


child.run = _gated

if __name__ == "__main__":
    from serving.tasks.worker import Worker

    logging.basicConfig(level=logging.INFO)
    sys.exit(Worker.from_settings().serve())
