import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf import empty_pb2, struct_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from serving.protocols.wire import inference_pb2, prediction_pb2
from tests.serving.microservice.processes import free_port, ours
from training.model import Model

ROWS = np.array([[2.1, 2.05, 1.95, 2.01], [0.0, 0.0, 0.0, 0.0]])


class Stub:
    """Calls by name, without generated stubs."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel

    def __call__(self, method: str, request: Any, answer: Any) -> Any:
        call = self.channel.unary_unary(
            method, request_serializer=type(request).SerializeToString, response_deserializer=answer.FromString
        )
        return call(request, timeout=30)


@pytest.fixture(scope="module")
def target(inne_file: Path) -> Iterator[str]:
    port = free_port()
    with ours(inne_file, "--grpc-port", str(port), INLIER_MAX_BODY_BYTES="100000"):
        yield f"127.0.0.1:{port}"


@pytest.fixture
def stub(target: str) -> Iterator[Stub]:
    with grpc.insecure_channel(target) as channel:
        yield Stub(channel)


def seldon(stub: Stub, message: Any, method: str = "/seldon.protos.Model/Predict") -> Any:
    return stub(method, message, prediction_pb2.SeldonMessage)


def tensor(rows: np.ndarray, **more: Any) -> Any:
    return prediction_pb2.SeldonMessage(
        data={"tensor": {"shape": rows.shape, "values": rows.ravel().tolist()}, **more}, meta={"puid": "mine"}
    )


@pytest.mark.parametrize("service", ["Model", "Seldon"])
def test_a_tensor(stub: Stub, inne: Model, service: str) -> None:
    answer = seldon(stub, tensor(ROWS), f"/seldon.protos.{service}/Predict")
    scores = inne.detector.anomaly_score(ROWS)
    assert list(answer.data.tensor.shape) == [2, 2]
    assert list(answer.data.tensor.values) == np.column_stack([scores, 1 - scores]).ravel().tolist()
    assert list(answer.data.names) == ["Anomaly_score", "Complementary_score"]
    assert answer.meta.puid == "mine"
    assert answer.meta.tags["model_name"].string_value == "model_inne"
    assert [one.key for one in answer.meta.metrics] == ["inlier_rows", "inlier_anomalies"]


def test_an_ndarray_with_names_in_any_order(stub: Stub) -> None:
    expected = list(seldon(stub, tensor(ROWS)).data.tensor.values)
    rows = struct_pb2.ListValue()
    for row in ROWS[:, ::-1].tolist():
        rows.add_list().extend(row)
    message = prediction_pb2.SeldonMessage(data={"names": ["f4", "f3", "f2", "f1"], "ndarray": rows})
    answer = seldon(stub, message)
    found = [one.number_value for row in answer.data.ndarray.values for one in row.list_value.values]
    assert found == expected
    assert len(answer.meta.puid) == 40


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (prediction_pb2.SeldonMessage(), "data is missing"),
        (prediction_pb2.SeldonMessage(data={}), "neither ndarray nor tensor"),
        (prediction_pb2.SeldonMessage(strData="x"), "rows of numbers are needed, not text"),
        (tensor(ROWS[:, :3]), "rows of 4 numbers"),
        (tensor(np.array([[1, 2, np.nan, 4]])), "row 1, feature f3: NaN is not a finite number"),
        (prediction_pb2.SeldonMessage(data={"tensor": {"shape": [2, 2], "values": [1]}}), "do not fill"),
        (prediction_pb2.SeldonMessage(data={"tensor": {"shape": [-1, 1], "values": [1]}}), "list of lengths"),
        (tensor(ROWS, names=["f1", "f2", "f3", "x"]), "'x'"),
    ],
)
def test_the_culprit_is_named(stub: Stub, message: Any, text: str) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        seldon(stub, message)
    assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert text in raised.value.details()


def test_other_calls(stub: Stub, inne: Model) -> None:
    metadata = stub("/seldon.protos.Model/Metadata", empty_pb2.Empty(), prediction_pb2.SeldonModelMetadata)
    assert metadata.name == "model_inne"
    assert list(metadata.versions) == [inne.trained_at]
    assert metadata.inputs[0].messagetype == "tensor"
    feedback = prediction_pb2.Feedback(request=tensor(ROWS), reward=1.0)
    assert stub("/seldon.protos.Seldon/SendFeedback", feedback, prediction_pb2.SeldonMessage).meta.puid == "mine"
    for method in ("/seldon.protos.Router/Route", "/seldon.protos.Combiner/Aggregate"):
        request = tensor(ROWS) if "Route" in method else prediction_pb2.SeldonMessageList(seldonMessages=[tensor(ROWS)])
        with pytest.raises(grpc.RpcError) as raised:
            stub(method, request, prediction_pb2.SeldonMessage)
        assert raised.value.code() == grpc.StatusCode.UNIMPLEMENTED
    with pytest.raises(grpc.RpcError) as raised:
        stub("/seldon.protos.Seldon/GraphMetadata", empty_pb2.Empty(), prediction_pb2.SeldonGraphMetadata)
    assert raised.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_too_large_a_message(stub: Stub) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        seldon(stub, tensor(np.zeros((10_000, 4))))
    assert raised.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection(stub: Stub, version: str) -> None:
    ask = stub.channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        reflection_pb2.ServerReflectionRequest.SerializeToString,
        reflection_pb2.ServerReflectionResponse.FromString,
    )
    asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
    services = {one.name for one in next(ask(asked)).list_services_response.service}
    assert services >= {
        "seldon.protos.Model",
        "seldon.protos.Seldon",
        "seldon.protos.Generic",
        "inference.GRPCInferenceService",
        "grpc.health.v1.Health",
        f"grpc.reflection.{version}.ServerReflection",
    }
    for symbol in ("seldon.protos.Model", "inference.GRPCInferenceService"):
        asked = iter([reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol)])
        assert next(ask(asked)).file_descriptor_response.file_descriptor_proto


def test_health(stub: Stub) -> None:
    health = health_pb2_grpc.HealthStub(stub.channel)
    for name in ("", "seldon.protos.Model"):
        assert health.Check(health_pb2.HealthCheckRequest(service=name)).status == 1


def infer(stub: Stub, **request: Any) -> Any:
    asked = inference_pb2.ModelInferRequest(model_name="model_inne", **request)
    return stub("/inference.GRPCInferenceService/ModelInfer", asked, inference_pb2.ModelInferResponse)


class TestOpenInferenceProtocol:
    def test_raw_and_typed_contents(self, stub: Stub, inne: Model) -> None:
        scores = inne.detector.anomaly_score(ROWS)
        one = {"name": "x", "datatype": "FP64", "shape": [2, 4]}
        raw = infer(stub, inputs=[one], raw_input_contents=[ROWS.tobytes()], id="7")
        assert raw.id == "7"
        assert np.frombuffer(raw.raw_output_contents[0]).tolist() == scores.tolist()
        typed = infer(stub, inputs=[{**one, "contents": {"fp64_contents": ROWS.ravel().tolist()}}])
        assert list(typed.outputs[0].contents.fp64_contents) == scores.tolist()
        assert list(typed.outputs[2].contents.int64_contents) == [0, 1]
        assert typed.parameters["detector"].string_param == "iNNE"

    def test_one_input_a_feature(self, stub: Stub, inne: Model) -> None:
        inputs = [
            {"name": f"f{k + 1}", "datatype": "FP32", "shape": [2], "contents": {"fp32_contents": ROWS[:, k].tolist()}}
            for k in (2, 0, 3, 1)
        ]
        answer = infer(stub, inputs=inputs, outputs=[{"name": "anomaly_score"}])
        expected = inne.detector.anomaly_score(ROWS.astype(np.float32).astype(float))
        assert list(answer.outputs[0].contents.fp64_contents) == expected.tolist()
        assert len(answer.outputs) == 1

    @pytest.mark.parametrize(
        "request_",
        [
            {},
            {"inputs": [{"name": "x", "datatype": "BYTES", "shape": [1]}]},
            {"inputs": [{"name": "x", "datatype": "FP64", "shape": [2, 2]}]},
            {"inputs": [{"name": "x", "datatype": "FP64", "shape": [-1]}]},
            {"inputs": [{"name": "x", "datatype": "FP16", "shape": [0]}]},
            {"inputs": [{"name": "x", "datatype": "FP64", "shape": [1, 4]}], "raw_input_contents": [b"x"]},
            {"inputs": [{"name": "x", "datatype": "FP64", "shape": [1, 4]}], "raw_input_contents": [b"", b""]},
            {"inputs": [{"name": "x", "datatype": "INT8", "shape": [1], "contents": {"int_contents": [300]}}]},
        ],
    )
    def test_wrong_requests(self, stub: Stub, request_: dict[str, Any]) -> None:
        with pytest.raises(grpc.RpcError) as raised:
            infer(stub, **request_)
        assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT

    def test_health_and_metadata(self, stub: Stub) -> None:
        def call(method: str, request: Any, answer: Any) -> Any:
            return stub(f"/inference.GRPCInferenceService/{method}", request, answer)

        assert call("ServerLive", inference_pb2.ServerLiveRequest(), inference_pb2.ServerLiveResponse).live
        assert call("ServerReady", inference_pb2.ServerReadyRequest(), inference_pb2.ServerReadyResponse).ready
        request = inference_pb2.ModelReadyRequest(name="model_inne")
        assert call("ModelReady", request, inference_pb2.ModelReadyResponse).ready
        found = call("ServerMetadata", inference_pb2.ServerMetadataRequest(), inference_pb2.ServerMetadataResponse)
        assert found.name == "inlier"
        model = inference_pb2.ModelMetadataRequest(name="model_inne")
        found = call("ModelMetadata", model, inference_pb2.ModelMetadataResponse)
        assert list(found.inputs[0].shape) == [-1, 4]
        with pytest.raises(grpc.RpcError) as raised:
            call("ModelReady", inference_pb2.ModelReadyRequest(name="x"), inference_pb2.ModelReadyResponse)
        assert raised.value.code() == grpc.StatusCode.NOT_FOUND


def test_a_port_that_shares_is_in_use_nevertheless(inne_file: Path, target: str) -> None:
    command = [sys.executable, "-m", "serving.cli", "serve", "--port", "0", "--grpc-port", target.split(":")[1]]
    found = subprocess.run([*command, str(inne_file)], capture_output=True, text=True, timeout=60)
    assert found.returncode == 2
    assert "Address already in use" in found.stderr


def test_more_calls_than_may_be_open_are_refused(inne_file: Path) -> None:
    port = free_port()
    with (
        ours(inne_file, "--grpc-port", str(port), INLIER_MAX_WAITING="2"),
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        stub, watch = Stub(channel), health_pb2_grpc.HealthStub(channel).Watch
        streams = [watch(health_pb2.HealthCheckRequest(), timeout=60) for _ in range(2 + 64)]
        for stream in streams:
            assert next(stream).status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.RpcError) as refused:
            seldon(stub, tensor(ROWS))
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        streams.pop().cancel()
        end = time.monotonic() + 30
        while not is_answered(stub):  # until the server has heard of it
            assert time.monotonic() < end


def is_answered(stub: Stub) -> bool:
    with contextlib.suppress(grpc.RpcError):
        return len(seldon(stub, tensor(ROWS)).data.tensor.values) == 4
    return False


def test_sigterm_loses_no_call(inne_file: Path) -> None:
    port = free_port()
    answered, failed = [], []
    with ours(inne_file, "--grpc-port", str(port)) as server, grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = Stub(channel)

        def ask() -> None:
            while True:
                try:
                    answered.append(seldon(stub, tensor(ROWS)))
                except grpc.RpcError as error:
                    failed.append(error)
                    return

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        while len(answered) < 30:
            pass
        assert server.terminate() == 0
        for thread in threads:
            thread.join()
    # A call that comes while gRPC stops is refused by gRPC itself, before any of it is handled.
    assert {error.code() for error in failed} <= {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
