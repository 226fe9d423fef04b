"""Run in the wrapper's environment: its own client and its own tester against a server, the outcome as JSON.

python client.py HTTP_PORT GRPC_PORT
"""

import json
import sys
import tempfile

import numpy as np

ROWS = np.array([[2.1, 2.05, 1.95, 2.01], [0.0, 0.0, 0.0, 0.0]])
NAMES = ["f1", "f2", "f3", "f4"]
CONTRACT = {
    "features": [{"name": "f", "dtype": "FLOAT", "ftype": "continuous", "range": [0, 6], "repeat": 4}],
    "targets": [{"name": "Anomaly_score", "dtype": "FLOAT", "ftype": "continuous", "range": [0, 1]}],
}


def predictions(http, grpc):
    from google.protobuf.json_format import MessageToDict
    from seldon_core.seldon_client import SeldonClient

    found = {}
    for transport, port in (("rest", http), ("grpc", grpc)):
        client = SeldonClient(microservice_endpoint=f"127.0.0.1:{port}")
        for kind in ("ndarray", "tensor"):
            answer = client.microservice(
                data=ROWS, transport=transport, payload_type=kind, method="predict", names=NAMES
            )
            response = answer.response
            if not isinstance(response, dict):
                response = MessageToDict(response)
            data = response["data"]
            values = data["tensor"]["values"] if kind == "tensor" else np.ravel(data["ndarray"]).tolist()
            found[f"{transport} {kind}"] = {"success": answer.success, "values": values, "names": data["names"]}
            told = client.microservice_feedback(answer.request, answer.response, reward=1.0, transport=transport)
            found[f"{transport} {kind}"]["feedback"] = told.success
    return found


def tester(http, grpc):
    from seldon_core import microservice_tester

    with tempfile.NamedTemporaryFile("w", suffix=".json") as contract:
        json.dump(CONTRACT, contract)
        contract.flush()
        for options in ([], ["-t"], ["--grpc", "-t"]):
            port = grpc if "--grpc" in options else http
            sys.argv = ["seldon-core-tester", contract.name, "127.0.0.1", str(port), "-p", "-b", "3", *options]
            microservice_tester.main()


if __name__ == "__main__":
    ports = sys.argv[1:3]
    print(json.dumps(predictions(*ports)))
    tester(*ports)
