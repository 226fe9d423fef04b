"""What the gateway adds to a request, and what a variation that dies costs.

    python benchmarks/gateway.py [--requests 5000] [--connections 8] [--repeats 3] [--only cpu|failures]

First the CPU of the proxy's processes for a request, and its latency over asking the microservice itself, over REST and
over gRPC, with breaker, metrics and logs as they are by default. Then two variations of equal ratio under load, one of
which is killed, stopped (it takes connections and never answers), or answers 500: how many requests fail, and for how
long.

The microservices are stand-ins that answer a fixed prediction, so that nothing but the gateway is measured. All are
processes of their own, CPU is read from /proc. The exit status is 1 if a bar is missed.
"""

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

sys.path[0] = str(Path(__file__).resolve().parents[1])  # not this folder, where serving.py is another

from serving.deploy.addresses import free_port  # noqa: E402
from serving.deploy.credentials import LOCAL, Credentials  # noqa: E402
from serving.deploy.first_start import first_start  # noqa: E402
from serving.proxy import store  # noqa: E402
from serving.proxy.anomaly_detection import IMPORT_AFTER_SECONDS  # noqa: E402
from serving.proxy.bodies import VariationBody  # noqa: E402
from serving.proxy.database import Database, sqlite_url  # noqa: E402

BAR_CPU_MS = 1.2
BAR_ERROR_SECONDS = 1.0
BAR_ERROR_SHARE = 0.5
ROW = {"f1": 2.1, "f2": 2.05, "f3": 1.95, "f4": 2.01}
REPLY = {
    "meta": {"tags": {"model_name": "model_inne"}},
    "data": {"names": ["Anomaly_score", "Complementary_score"], "ndarray": [[0.25, 0.75]]},
}
TICK = os.sysconf("SC_CLK_TCK")
IDLE = 0.02  # of a CPU


async def read_message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Return head and body of one HTTP message."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    return head, await reader.readexactly(length)


async def stand_in(port: int) -> None:
    """Answer every message with the same prediction; after a SIGUSR1, with a 500."""
    body = json.dumps(REPLY).encode()
    reply = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    failing = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, failing.set)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await read_message(reader)
                writer.write(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n" if failing.is_set() else reply)
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", port)
    await server.serve_forever()


async def rpc_stand_in(port: int) -> None:
    """Answer every call with the same prediction."""
    import grpc
    from google.protobuf import json_format

    from serving.protocols.wire import prediction_pb2

    reply = json_format.ParseDict(REPLY, prediction_pb2.SeldonMessage()).SerializeToString()

    async def predict(*_: object) -> bytes:
        return reply

    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(predict)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("seldon.protos.Model", {"Predict": handler}),)
    )
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


async def load(port: int, request: bytes, count: int, connections: int) -> list[float]:
    """Send a request many times and return the seconds that each took."""
    seconds: list[float] = []

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while len(seconds) < count:
            began = time.perf_counter()
            writer.write(request)
            assert b"0.25" in (await read_message(reader))[1]
            seconds.append(time.perf_counter() - began)
        writer.close()

    await asyncio.gather(*(client() for _ in range(connections)))
    return seconds


def cpu_seconds(pid: int) -> float:
    """Return what a process and its children have used so far."""
    pids = [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
    fields = [Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split() for each in pids]
    return sum(int(field[11]) + int(field[12]) for field in fields) / TICK


@contextmanager
def running(arguments: list[str], port: int, **environment: str) -> Iterator[int]:
    process = subprocess.Popen([sys.executable, *arguments], env=os.environ | environment, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 60
        while True:
            with suppress(OSError):
                asyncio.run(asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), 1))
                break
            if time.monotonic() > until or process.poll() is not None:
                raise SystemExit(f"{arguments} did not start")
            time.sleep(0.1)
        yield process.pid
    finally:
        process.terminate()
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
        process.wait()


def settle(pid: int) -> None:
    """Wait until a proxy that has just started is idle: after a while it imports what tasks are checked with."""
    time.sleep(IMPORT_AFTER_SECONDS)
    while True:
        before = cpu_seconds(pid)
        time.sleep(1)
        if cpu_seconds(pid) - before < IDLE:
            return


def prepare(home: Path) -> str:
    """Make the database of a home and return the request's query."""
    database, credentials = Database(sqlite_url(home / "inlier.db")), Credentials(home / "credentials")
    first_start(database, credentials)
    database.close()
    pair = credentials.get(LOCAL, "test", "js")
    assert pair is not None
    return urlencode({**pair, "json": json.dumps({"data": ROW})})


def share_out(home: Path, *urls: str) -> None:
    """Put microservices in the place of those that the client has."""
    database = Database(sqlite_url(home / "inlier.db"))
    variations = [
        VariationBody(label=f"v{k}", ratio=1 / len(urls), kind="rpc" if url.startswith("grpc") else "rest", url=url)
        for k, url in enumerate(urls)
    ]
    with database.writing() as session:
        store.replace_variations(session, store.find_client(session, "test"), variations)
    database.close()


@dataclass(frozen=True)
class Answer:
    """How a request ended, and when, in seconds since the load began."""

    began: float
    ended: float
    status: int
    variation: str


async def watch(port: int, request: bytes, seconds: float, connections: int) -> list[Answer]:
    """Send a request again and again and return how each ended."""
    answers: list[Answer] = []
    start = time.perf_counter()

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (began := time.perf_counter() - start) < seconds:
            writer.write(request)
            head, body = await read_message(reader)
            variation = json.loads(body).get("meta", {}).get("variation", "")
            answers.append(Answer(began, time.perf_counter() - start, int(head.split()[1]), variation))
        writer.close()

    await asyncio.gather(*(client() for _ in range(connections)))
    return answers


def cpu_of_the_gateway(
    name: str, proxy: tuple[int, int], direct: int, get: bytes, arguments: argparse.Namespace
) -> bool:
    """Measure the CPU of a request; ``direct`` is a REST microservice's port, 0 for one that speaks gRPC."""
    port, pid = proxy
    body = json.dumps({"meta": {}, "data": {"names": list(ROW), "ndarray": [list(ROW.values())]}}).encode()
    post = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    asyncio.run(load(port, get, 500, arguments.connections))
    results = []
    for _ in range(arguments.repeats):
        before, began = cpu_seconds(pid), time.perf_counter()
        through = asyncio.run(load(port, get, arguments.requests, arguments.connections))
        rate = len(through) / (time.perf_counter() - began)
        cpu = (cpu_seconds(pid) - before) / len(through) * 1000
        results.append(cpu)
        p50, p99 = (1000 * each for each in (statistics.median(through), statistics.quantiles(through, n=100)[-1]))
        line = f"{name}: CPU {cpu:.3f} ms a request; {rate:.0f} requests/s; p50 {p50:.2f} ms, p99 {p99:.2f} ms"
        if direct:
            alone = asyncio.run(load(direct, post, arguments.requests, arguments.connections))
            line += f" (the stand-in itself: p50 {1000 * statistics.median(alone):.2f} ms)"
        print(line, flush=True)
    median = statistics.median(results)
    held = median <= BAR_CPU_MS
    print(f"{name}: median {median:.3f} ms of CPU a request; bar {BAR_CPU_MS} ms: {'held' if held else 'MISSED'}")
    return held


FAILURES = {"killed": signal.SIGKILL, "stopped": signal.SIGSTOP, "answers 500": signal.SIGUSR1}


def one_of_two_fails(what: str, proxy_port: int, victim: int, get: bytes, arguments: argparse.Namespace) -> bool:
    """Let one of two variations fail under load and say what it cost."""
    healthy = asyncio.run(watch(proxy_port, get, 1.0, arguments.connections))
    assert {answer.status for answer in healthy} == {200}
    assert len({answer.variation for answer in healthy}) == 2
    os.kill(victim, FAILURES[what])
    answers = asyncio.run(watch(proxy_port, get, arguments.seconds, arguments.connections))
    failed = [answer for answer in answers if answer.status != 200]
    if not failed:
        print(f"one of two {what}: {len(answers)} requests in {arguments.seconds:g} s, none failed: held")
        return True
    # From the first answer that is an error to the last; a share of those that ended in between
    first, last = min(answer.ended for answer in failed), max(answer.ended for answer in failed)
    ended = sum(first <= answer.ended <= last for answer in answers)
    lost = max(answer.began for answer in failed) - min(answer.began for answer in failed)
    held = last - first <= BAR_ERROR_SECONDS and len(failed) <= BAR_ERROR_SHARE * len(answers)
    statuses = dict(Counter(answer.status for answer in failed))
    print(
        f"one of two {what}: {len(answers)} requests in {arguments.seconds:g} s, {len(failed)} failed ({statuses}), "
        f"within {last - first:.2f} s (sent within {lost:.2f} s), {100 * len(failed) / ended:.0f} % of the requests; "
        f"bar {BAR_ERROR_SECONDS:g} s: {'held' if held else 'MISSED'}",
        flush=True,
    )
    return held


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0, help="How long a failure is watched.")
    parser.add_argument("--only", choices=["cpu", "failures"])
    parser.add_argument("--stand-in", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--rpc-stand-in", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.stand_in:
        asyncio.run(stand_in(arguments.stand_in))
    if arguments.rpc_stand_in:
        asyncio.run(rpc_stand_in(arguments.rpc_stand_in))
    port, held = free_port(), []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        home = Path(folder)
        query = prepare(home)
        get = f"GET /js/predict?{query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        pid = stack.enter_context(running(["-m", "serving.proxy", "--port", str(port)], port, INLIER_HOME=folder))
        settle(pid)
        for kind in ("rest", "rpc") if arguments.only != "failures" else ():
            at = free_port()
            with running([__file__, f"--{'rpc-' if kind == 'rpc' else ''}stand-in", str(at)], at):
                share_out(home, f"grpc://127.0.0.1:{at}" if kind == "rpc" else f"http://127.0.0.1:{at}/predict")
                print(urllib.request.urlopen(f"http://127.0.0.1:{port}/js/predict?{query}").read().decode())
                direct = at if kind == "rest" else 0
                held.append(cpu_of_the_gateway(kind, (port, pid), direct, get, arguments))
        for what in FAILURES if arguments.only != "cpu" else ():
            one, other = free_port(), free_port()
            with (
                running([__file__, "--stand-in", str(one)], one) as victim,
                running([__file__, "--stand-in", str(other)], other),
            ):
                share_out(home, *(f"http://127.0.0.1:{at}/predict" for at in (one, other)))
                held.append(one_of_two_fails(what, port, victim, get, arguments))
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
