"""Triton's clients against a server; a process of their own, as their messages have the names of ours.

python triton.py HTTP_PORT GRPC_PORT
"""

import json
import sys
import warnings

import numpy as np

ROWS = np.array([[2.1, 2.05, 1.95, 2.01], [0.0, 0.0, 0.0, 0.0]])


def scores(library, port, **binary):
    client = library.InferenceServerClient(f"127.0.0.1:{port}")
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("model_inne")
    tensor = library.InferInput("x", list(ROWS.shape), "FP64")
    tensor.set_data_from_numpy(ROWS, **({"binary_data": binary["binary"]} if binary else {}))
    wanted = library.InferRequestedOutput("anomaly_score", **({"binary_data": binary["binary"]} if binary else {}))
    answer = client.infer("model_inne", [tensor], outputs=[wanted], request_id="7")
    client.close()
    return answer.as_numpy("anomaly_score").tolist()


def main(http, grpc):
    warnings.simplefilter("ignore")  # of the clients' own imports
    import tritonclient.grpc
    import tritonclient.http

    found = {
        "http json": scores(tritonclient.http, http, binary=False),
        "http binary": scores(tritonclient.http, http, binary=True),
        "grpc": scores(tritonclient.grpc, grpc),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:3])
