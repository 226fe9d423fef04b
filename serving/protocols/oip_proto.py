"""The Open Inference Protocol over gRPC: its messages to arrays, arrays to its messages."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from serving.errors import BadData
from serving.protocols import oip
from serving.protocols.wire import inference_pb2 as pb

_CONTENTS: Final = {
    "BOOL": "bool_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
}
"""Where typed contents of each type are; FP16 comes raw only."""
_HELD: Final = {
    "bool_contents": "?",
    "uint_contents": "u4",
    "uint64_contents": "u8",
    "int_contents": "i4",
    "int64_contents": "i8",
    "fp32_contents": "f4",
    "fp64_contents": "f8",
}
"""numpy's name of what each of them holds: numpy itself takes integers beyond 2**63 for floats, which lose digits."""


def parse(request: pb.ModelInferRequest) -> oip.Inference:
    """Take a request apart.

    Parameters
    ----------
    request : ModelInferRequest
        With raw or typed contents.

    Returns
    -------
    Inference
        As from JSON; ``binary`` says that the contents were raw, as the answer's will be then.

    Raises
    ------
    BadData
        Names the input that is wrong.
    """
    raw = list(request.raw_input_contents)
    if not request.inputs:
        raise BadData("inputs should be a list of tensors")
    if raw and len(raw) != len(request.inputs):
        raise BadData(f"there are {len(raw)} raw_input_contents for {len(request.inputs)} inputs")
    tensors = []
    for index, given in enumerate(request.inputs):
        dtype = oip.DATATYPES.get(given.datatype)
        if dtype is None:
            names = ", ".join(oip.DATATYPES)
            raise BadData(f"input {given.name}: datatype should be one of {names}, not {given.datatype!r}")
        if any(length < 0 for length in given.shape):
            raise BadData(f"input {given.name}: shape should be a list of lengths")
        tensor = oip.from_bytes(given.name, raw[index], dtype, given.shape) if raw else _typed(given, dtype)
        tensors.append((given.name, tensor))
    rows, names_of_columns = oip.side_by_side(tensors)
    wanted = [oip.Wanted(one.name, binary=bool(raw)) for one in request.outputs] or None
    return oip.Inference(request.id, rows, names_of_columns, _plain(request.parameters), wanted, bool(raw))


def _typed(given: Any, dtype: str) -> npt.NDArray[Any]:
    field = _CONTENTS.get(given.datatype)
    if field is None:
        raise BadData(f"input {given.name}: {given.datatype} is taken in raw_input_contents only")
    values = np.array(getattr(given.contents, field), _HELD[field])
    limits = np.iinfo(dtype) if np.dtype(dtype).kind in "iu" else None
    if limits is not None and values.size and (values.min() < limits.min or values.max() > limits.max):
        raise BadData(f"input {given.name}: not all values are of type {given.datatype}")
    try:
        return values.astype(dtype).reshape(list(given.shape))
    except ValueError:
        raise BadData(f"input {given.name}: {values.size} values do not fill the shape {list(given.shape)}") from None


def _plain(parameters: Any) -> dict[str, Any]:
    found = {}
    for name, value in parameters.items():
        choice = value.WhichOneof("parameter_choice")
        if choice is not None:
            found[name] = getattr(value, choice)
    return found


def encode(
    name: str, version: str, inference: oip.Inference, outputs: oip.Outputs, parameters: dict[str, Any]
) -> pb.ModelInferResponse:
    """Write an answer.

    Parameters
    ----------
    name, version : str
        Of the model.
    inference : Inference
        The request; the contents are raw if its were.
    outputs : list of (name, ndarray)
        All there are.
    parameters : dict
        Text, numbers and truth values.

    Returns
    -------
    ModelInferResponse
        To be sent.

    Raises
    ------
    BadData
        For an output that there is not.
    """
    answer = pb.ModelInferResponse(model_name=name, model_version=version, id=inference.id)
    for key, value in parameters.items():
        _set(answer.parameters[key], value)
    for output, values, binary in oip.choose(outputs, inference.wanted, inference.binary):
        datatype = oip.datatype(values)
        one = answer.outputs.add(name=output, datatype=datatype, shape=values.shape)
        if binary or datatype not in _CONTENTS:
            answer.raw_output_contents.append(np.ascontiguousarray(values).tobytes())
        else:
            getattr(one.contents, _CONTENTS[datatype]).extend(values.ravel().tolist())
    return answer


def _set(target: pb.InferParameter, value: Any) -> None:
    if isinstance(value, bool):
        target.bool_param = value
    elif isinstance(value, int):
        target.int64_param = value
    elif isinstance(value, float):
        target.double_param = value
    else:
        target.string_param = str(value)
