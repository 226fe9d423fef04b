"""Our microservice against Seldon Core's wrapper, MLServer and KServe: one worker each, the same model, in one run.

    python benchmarks/serving.py [--rounds 3] [--seconds 3] [--only inlier wrapper] [--model inne trivial]

Two models: the iNNE of the demo, for which all four call the same class, `serving.models.INNE`, so that our kernel's
time is in everybody's figures; and one that returns its first column. Rows are drawn anew from the demo's three
clusters. Everything of ours is switched on: REST, gRPC, metrics with histograms and drift, limits, reload. `empty` is
an ASGI application on the same uvicorn that reads the body and sends a constant. Needs wrk. The peers are installed
into `.venvs`, from locked requirements where there are some (the wrapper's), else as PyPI has them at the version named
here. CPU seconds are those of the whole process tree. Every server is started anew in each round; the figures are
medians over the rounds.
"""

import argparse
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import psutil  # noqa: E402

from tests.environments import environment  # noqa: E402
from tests.serving.microservice.processes import free_port  # noqa: E402
from training.defaults import DEMO_PARAMETERS  # noqa: E402
from training.synthetic import clusters  # noqa: E402

BARS = {
    "cpu ms 1": {"wrapper": 10, "mlserver": 8, "kserve": 8},
    "cpu ms 1000": {"wrapper": 7, "mlserver": 3, "kserve": 3},
    "p99 ms 1": {"wrapper": 1, "mlserver": 1, "kserve": 1},
    "p99 ms 1000": {"wrapper": 1, "mlserver": 1, "kserve": 1},
    "pss MB": {"wrapper": 2},
    "start s": {"wrapper": 1},
}
"""How many times less than a peer's ours should be."""

PEERS = {"mlserver": ["mlserver==1.7.1"], "kserve": ["kserve==0.21.0"]}
EMPTY = """
import sys, uvicorn
BODY = b'{"data":{"names":["a","b"],"ndarray":[[0.5,0.5]]}}'
HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]
async def app(scope, receive, send):
    more = True
    while more:
        more = (await receive()).get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})
uvicorn.run(app, port=int(sys.argv[1]), loop="uvloop", http="httptools", access_log=False, log_level="error")
"""
TRIVIAL = """
import numpy as np
class Trivial:
    def predict(self, X, names=None, meta=None):
        return np.asarray(X)[:, :1]
"""
MLSERVER = """
import numpy as np
from mlserver import MLModel
from mlserver.types import InferenceResponse
from mlserver.codecs import NumpyCodec
class Model(MLModel):
    async def load(self):
        import bench_model
        self.user = bench_model.make()
        return True
    async def predict(self, payload):
        X = NumpyCodec.decode_input(payload.inputs[0])
        scores = self.user.predict(X, [])
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("y", scores)])
"""
KSERVE = """
import sys, numpy as np, bench_model
from kserve import Model, ModelServer
class Served(Model):
    def __init__(self):
        super().__init__("m")
        self.user = bench_model.make()
        self.ready = True
    def predict(self, payload, headers=None):
        return {"predictions": self.user.predict(np.array(payload["instances"], dtype=float), []).tolist()}
ModelServer(http_port=int(sys.argv[1]), enable_grpc=False, workers=1).start([Served()])
"""


def pinned(name: str) -> Path:
    """An environment with a peer, as PyPI has it today at that version."""
    folder = ROOT / ".venvs" / f"bench-{name}"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        print(f"making {folder} ...", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        needs = [*PEERS[name], "numba", "scikit-learn>=1.6", "pandas", "joblib", "click", "tqdm", "orjson"]
        subprocess.run([python, "-m", "pip", "install", "--quiet", *needs], check=True)
        (folder / "complete").touch()
    return python


def body(server: str, n_rows: int) -> tuple[str, bytes]:
    """Path and body of a request."""
    features, _ = clusters(seed=5)
    chosen = np.random.default_rng(5).permutation(len(features.values))[:n_rows]
    rows = features.values[chosen].tolist()
    if server == "mlserver":
        data = [value for row in rows for value in row]
        tensor = {"name": "x", "shape": [n_rows, 4], "datatype": "FP64", "data": data}
        return "/v2/models/m/infer", json.dumps({"inputs": [tensor]}).encode()
    if server == "kserve":
        return "/v1/models/m:predict", json.dumps({"instances": rows}).encode()
    return "/predict", json.dumps({"data": {"ndarray": rows}}).encode()


def command(server: str, model: str, folder: Path, port: int) -> tuple[list[str], dict[str, str]]:
    """How a server is started, and with which environment."""
    target = str(folder / "model.pkl") if model == "inne" else "bench_trivial.Trivial"
    if server == "inlier":
        return [
            sys.executable,
            "-m",
            "serving.cli",
            "serve",
            "--port",
            str(port),
            "--grpc-port",
            str(free_port()),
            target,
        ], {}
    if server == "empty":
        return [sys.executable, str(folder / "empty.py"), str(port)], {}
    if server == "wrapper":
        python = environment("seldon-1.17.1", ROOT / "requirements" / "seldon.txt")
        parameters = [{"name": "model_uri", "value": target, "type": "STRING"}] if model == "inne" else []
        ports = {f"PREDICTIVE_UNIT_{kind}_SERVICE_PORT": str(free_port()) for kind in ("GRPC", "METRICS")}
        return [
            str(python.with_name("seldon-core-microservice")),
            "serving.models.INNE" if model == "inne" else target,
        ], {
            "PREDICTIVE_UNIT_HTTP_SERVICE_PORT": str(port),
            "PREDICTIVE_UNIT_PARAMETERS": json.dumps(parameters),
            **ports,
        }
    python = pinned(server)
    if server == "mlserver":
        (folder / "settings.json").write_text(
            json.dumps(
                {"http_port": port, "grpc_port": free_port(), "metrics_port": free_port(), "parallel_workers": 0}
            )
        )
        (folder / "model-settings.json").write_text(json.dumps({"name": "m", "implementation": "bench_mlserver.Model"}))
        return [str(python.with_name("mlserver")), "start", str(folder)], {}
    return [str(python), str(folder / "bench_kserve.py"), str(port)], {}


def prepare(folder: Path, model: str) -> None:
    from training.artifacts import save_model
    from training.train import train

    trained = train("inne", clusters(seed=0)[0], parameters=DEMO_PARAMETERS["inne"], seed=0)
    save_model(trained, folder / "model.pkl")
    make = (
        f"from serving.models import INNE\ndef make():\n    user = INNE({str(folder / 'model.pkl')!r})\n"
        "    user.load()\n    return user\n"
        if model == "inne"
        else "from bench_trivial import Trivial\ndef make():\n    return Trivial()\n"
    )
    for name, text in (
        ("empty", EMPTY),
        ("bench_trivial", TRIVIAL),
        ("bench_model", make),
        ("bench_mlserver", MLSERVER),
        ("bench_kserve", KSERVE),
    ):
        (folder / f"{name}.py").write_text(text)


def tree(pid: int) -> list[psutil.Process]:
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def cpu(pid: int) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in tree(pid))


def wait_until_it_answers(url: str, raw: bytes, process: subprocess.Popen, log: Path) -> None:
    end = time.monotonic() + 180
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            request = urllib.request.Request(url, raw, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.02)
    raise SystemExit(f"{url} does not answer: {log.read_text()[-3000:]}")


def ask(url: str, raw: bytes, seconds: float, folder: Path) -> tuple[float, float]:
    """Requests per second and the 99th percentile in milliseconds."""
    (folder / "body.json").write_bytes(raw)
    (folder / "wrk.lua").write_text(
        f'local f = io.open("{folder}/body.json", "rb")\nwrk.body = f:read("*all")\nwrk.method = "POST"\n'
        'wrk.headers["Content-Type"] = "application/json"\n'
    )
    wrk = ["wrk", "-t1", "-c8", f"-d{seconds:g}s", "--latency", "-s", str(folder / "wrk.lua"), url]
    text = subprocess.run(wrk, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in text:
        raise SystemExit(text)
    value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", text).groups()
    factor = {"us": 1e-3, "ms": 1.0, "s": 1e3}[unit]
    return float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]), float(value) * factor


def measure(server: str, model: str, seconds: float, folder: Path) -> dict[str, float]:
    port = free_port()
    line, extra = command(server, model, folder, port)
    path, raw = body(server, 1)
    url = f"http://127.0.0.1:{port}{path}"
    log = folder / f"{server}.log"
    began = time.monotonic()
    with log.open("wb") as out:
        process = subprocess.Popen(
            line,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=os.environ | {"PYTHONPATH": f"{ROOT}:{folder}", "SELDON_LOG_LEVEL": "WARNING"} | extra,
            start_new_session=True,
        )
    try:
        wait_until_it_answers(url, raw, process, log)
        found = {"start s": time.monotonic() - began}
        ask(url, raw, 1, folder)
        for n_rows in (1, 1000):
            _, raw = body(server, n_rows)
            before = cpu(process.pid)
            rate, slowest = ask(url, raw, seconds, folder)
            requests = rate * seconds
            found[f"cpu ms {n_rows}"] = (cpu(process.pid) - before) / requests * 1e3
            found[f"p99 ms {n_rows}"] = slowest
            found[f"rps {n_rows}"] = rate
        found["pss MB"] = sum(one.memory_full_info().pss for one in tree(process.pid)) / 2**20
        found["processes"] = len(tree(process.pid))
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return found


def report(results: dict[str, dict[str, float]]) -> None:
    """Print each bar: the peer's figure, ours, how many times better ours is, and whether that is enough."""
    ours = results["inlier"]
    peers = [server for server in ("wrapper", "mlserver", "kserve") if server in results]
    print(f"{'bar':24s}{'peer':>12s}{'ours':>12s}{'times':>9s}{'wanted':>9s}")
    for what, wanted in BARS.items():
        for server in peers:
            if server in wanted:
                line(
                    f"{what}, {server}",
                    results[server][what],
                    ours[what],
                    results[server][what] / ours[what],
                    wanted[server],
                )
    if peers:
        best = max(results[server]["rps 1"] for server in peers)
        line("rps 1, best of the peers", best, ours["rps 1"], ours["rps 1"] / best, 8)
    if "empty" in results:
        for n_rows in (1, 1000):
            left = ours[f"cpu ms {n_rows}"] - results["empty"][f"cpu ms {n_rows}"]
            print(f"CPU over an empty application, {n_rows} rows: {left * 1e3:.0f} us")


def line(what: str, peer: float, ours: float, times: float, wanted: float) -> None:
    verdict = "holds" if times >= wanted else "MISSED"
    print(f"{what:24s}{peer:12.3f}{ours:12.3f}{times:8.1f}x{wanted:8.1f}x  {verdict}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--model", choices=["inne", "trivial"], nargs="+", default=["inne", "trivial"])
    servers = ["empty", "inlier", "wrapper", "mlserver", "kserve"]
    parser.add_argument("--only", choices=servers, nargs="+", default=servers)
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is needed: apt install wrk")
    for model in arguments.model:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            prepare(folder, model)
            rounds = [
                {server: measure(server, model, arguments.seconds, folder) for server in arguments.only}
                for _ in range(arguments.rounds)
            ]
        columns = list(rounds[0][arguments.only[0]])
        results = {
            server: {column: statistics.median(one[server][column] for one in rounds) for column in columns}
            for server in arguments.only
        }
        print(f"{model:10s}" + "".join(f"{column:>13s}" for column in columns))
        for server, found in results.items():
            print(f"{server:10s}" + "".join(f"{found[column]:13.3f}" for column in columns))
        if "inlier" in results:
            report(results)
        print(flush=True)


if __name__ == "__main__":
    main()
