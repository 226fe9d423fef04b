"""The messages of gRPC: what is written comes back, and no bytes are a fault of ours."""

import contextlib

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from serving.errors import BadData
from serving.protocols import oip, oip_proto, seldon_proto
from serving.protocols.wire import inference_pb2, prediction_pb2

FINITE = st.floats(allow_nan=False, allow_infinity=False, width=64)
MATRICES = hnp.arrays(np.float64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=6), elements=FINITE)
PLAIN = st.recursive(
    st.none() | st.booleans() | FINITE | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(("shape", "values"), [([3], [1]), ([1] * 66, [1]), ([0] + [2**31 - 1] * 4, [])])
def test_a_shape_that_is_not_filled(shape: list[int], values: list[float]) -> None:
    message = prediction_pb2.SeldonMessage(data={"tensor": {"shape": shape, "values": values}})
    with pytest.raises(BadData, match=f"{len(values)} values do not fill the shape"):
        seldon_proto.parse(message)


@given(
    MATRICES,
    st.sampled_from(["ndarray", "tensor"]),
    st.dictionaries(st.text(max_size=5), PLAIN, max_size=3),
)
def test_a_message_of_seldon_comes_back(values: np.ndarray, kind: str, tags: dict[str, object]) -> None:
    names = [f"f{k}" for k in range(values.shape[1])]
    meta = {"puid": "p", "tags": tags}
    sent = seldon_proto.encode(kind, values, names, meta).SerializeToString()
    message = seldon_proto.parse(prediction_pb2.SeldonMessage.FromString(sent))
    assert message.kind == kind
    assert message.payload.astype(np.float64).tobytes() == values.tobytes()
    assert message.meta.get("tags", {}) == tags
    assert message.puid == "p"


@pytest.mark.parametrize("value", [5.0, None, [[1.0, [2.0]]], {"a": 1.0}])
def test_json_comes_back(value: object) -> None:
    sent = seldon_proto.encode("jsonData", value, [], {}).SerializeToString()
    message = seldon_proto.parse(prediction_pb2.SeldonMessage.FromString(sent))
    assert (message.kind, message.payload) == ("jsonData", value)


@given(st.binary(max_size=80))
def test_any_bytes_are_a_message_of_seldon_or_bad_data(data: bytes) -> None:
    with contextlib.suppress(DecodeError, BadData):
        seldon_proto.parse(prediction_pb2.SeldonMessage.FromString(data))
    with contextlib.suppress(DecodeError, BadData):
        seldon_proto.parse_feedback(prediction_pb2.Feedback.FromString(data))


@given(st.data(), st.sampled_from([np.dtype(name) for name in oip.DATATYPES.values()]), st.booleans())
def test_a_tensor_comes_back_bit_by_bit(data: st.DataObject, dtype: np.dtype, raw: bool) -> None:
    shape = hnp.array_shapes(min_dims=2, max_dims=2, max_side=4).filter(lambda shape: shape[1] > 1)
    finite = {"allow_nan": False, "allow_infinity": False} if dtype.kind == "f" else {}
    tensor = data.draw(hnp.arrays(dtype, shape, elements=hnp.from_dtype(dtype, **finite)))
    asked = oip.Inference("i", tensor, [], {}, None, raw)
    answer = oip_proto.encode("m", "1", asked, [("x", tensor)], {"a": 1, "b": "c", "d": True, "e": 0.5})
    found = answer.outputs[0]
    request = inference_pb2.ModelInferRequest(raw_input_contents=answer.raw_output_contents)
    request.inputs.add(name=found.name, datatype=found.datatype, shape=found.shape)
    for kind, values in found.contents.ListFields():
        getattr(request.inputs[0].contents, kind.name).extend(values)
    back = oip_proto.parse(inference_pb2.ModelInferRequest.FromString(request.SerializeToString())).rows
    assert back.dtype == dtype
    assert back.tobytes() == tensor.tobytes()


def test_integers_that_no_float_holds_stay_as_they_are() -> None:
    request = inference_pb2.ModelInferRequest()
    given_input = request.inputs.add(name="x", datatype="UINT64", shape=[1, 3])
    given_input.contents.uint64_contents.extend([2**64 - 1, 2**63 + 1, 3])
    assert oip_proto.parse(request).rows.tolist() == [[2**64 - 1, 2**63 + 1, 3]]


@given(st.binary(max_size=80))
def test_any_bytes_are_an_inference_or_bad_data(data: bytes) -> None:
    with contextlib.suppress(DecodeError, BadData):
        oip_proto.parse(inference_pb2.ModelInferRequest.FromString(data))
