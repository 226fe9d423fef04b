"""What a form or an address says: the ``json`` field that Seldon's clients may send instead of a body."""

from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any
from urllib.parse import parse_qs

import orjson

from serving.errors import BadData

_MAX_FIELDS = 100


def query(text: bytes) -> dict[str, str]:
    """Fields of an address's query or of a urlencoded form; of repeated ones the first.

    Parameters
    ----------
    text : bytes
        ``name=value`` joined by ``&``.

    Returns
    -------
    dict
        Decoded text by name.

    Raises
    ------
    BadData
        For more than 100 fields or what is not UTF-8.

    Examples
    --------
    >>> query(b"json=%7B%7D&explain=1")
    {'json': '{}', 'explain': '1'}
    """
    try:
        fields = parse_qs(text.decode("utf-8"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS)
    except ValueError as error:
        raise BadData(f"the form cannot be read: {error}") from None
    return {name: values[0] for name, values in fields.items()}


def multipart(content_type: bytes, body: bytes) -> dict[str, Any]:
    """A SeldonMessage whose fields came as parts of a form.

    Parameters
    ----------
    content_type : bytes
        The request's header, with the boundary.
    body : bytes
        The request's.

    Returns
    -------
    dict
        Field by name: ``strData`` as it is, ``binData`` of a file as base64, others parsed as JSON.

    Raises
    ------
    BadData
        Names the part that cannot be read.
    """
    import base64

    parsed = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + content_type + b"\r\n\r\n" + body)
    if not parsed.is_multipart():
        raise BadData("the form cannot be read: its boundary does not fit")
    document: dict[str, Any] = {}
    for part in list(parsed.iter_parts())[:_MAX_FIELDS]:
        name, content = _part(part)
        if part.get_filename() is not None and name == "binData":
            document[name] = base64.b64encode(content).decode("ascii")
        elif name == "strData" or part.get_filename() is not None:
            document[name] = _text(name, content)
        else:
            try:
                document[name] = orjson.loads(content)
            except orjson.JSONDecodeError as error:
                raise BadData(f"form field {name} is not JSON: {error}") from None
    return document


def _part(part: Message) -> tuple[str, bytes]:
    name = part.get_param("name", header="content-disposition")
    content = part.get_payload(decode=True)
    if not isinstance(name, str) or not isinstance(content, bytes):
        raise BadData("a part of the form has no name, or parts of its own")
    return name, content


def _text(name: str, content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise BadData(f"form field {name} is not UTF-8") from None
