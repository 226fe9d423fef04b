"""What a file may be called: checked in one place, before any storage sees it."""

import unicodedata

from training.errors import InvalidPath

MAX_KEY_BYTES = 800
"""S3 allows 1024 with the prefix of the storage; this leaves room for one."""

MAX_NAME_BYTES = 200
"""File systems allow 255; this leaves room for suffixes such as ``.json``."""

DATA_SUFFIXES = (".csv", ".parquet")
"""What a name may leave out."""

_NOT_IN_NAMES = {"Cc": "a control character", "Cs": "half a surrogate pair", "Zl": "a line break", "Zp": "a line break"}


def check_key(key: str) -> str:
    """Refuse what is not a plain path below the root.

    Parameters
    ----------
    key : str
        Such as ``"project/file/name.csv"``.

    Returns
    -------
    str
        The same.

    Raises
    ------
    InvalidPath
        Names what is wrong with it.

    Examples
    --------
    >>> check_key("testprojectid1/testfileid1/cogen_feature")
    'testprojectid1/testfileid1/cogen_feature'
    >>> check_key("testprojectid1/../other")
    Traceback (most recent call last):
        ...
    training.errors.InvalidPath: 'testprojectid1/../other': '..' is not allowed in a path
    """
    if fault := _fault(key):
        raise InvalidPath(f"{shown(key)}: {fault}")
    return key


def is_key(key: str) -> bool:
    """Whether `check_key` lets it pass.

    Parameters
    ----------
    key : str
        Anything.

    Returns
    -------
    bool
        False for what no method of a storage takes.
    """
    return _fault(key) is None


def shown(key: str) -> str:
    """A key as messages quote it.

    Parameters
    ----------
    key : str
        Of any length, with anything in it.

    Returns
    -------
    str
        In quotes, escaped, 120 characters at most.
    """
    text = ascii(key) if any(unicodedata.category(character) == "Cs" for character in key) else repr(key)
    return text if len(text) <= 120 else f"{text[:117]}..."


def _fault(key: str) -> str | None:
    if not key:
        return "a path is empty"
    if key.startswith("/"):
        return "a path is relative to the storage's root, it does not start with /"
    if "\\" in key:
        return "a backslash is not allowed in a path; folders are separated by /"
    for character in key:
        if fault := _NOT_IN_NAMES.get(unicodedata.category(character)):
            return f"{fault} ({character!a}) is not allowed in a path"
    if len(key.encode()) > MAX_KEY_BYTES:
        return f"a path has at most {MAX_KEY_BYTES} bytes, not {len(key.encode())}"
    return next(filter(None, map(_fault_of_name, key.split("/"))), None)


def _fault_of_name(name: str) -> str | None:
    if not name:
        return "a name in the path is empty (// or / at the end)"
    if name in (".", ".."):
        return f"{name!r} is not allowed in a path"
    if name.startswith("."):
        return f"names that start with a dot are reserved: {name!r}"
    if len(name.encode()) > MAX_NAME_BYTES:
        return f"a name has at most {MAX_NAME_BYTES} bytes, not {len(name.encode())}"
    return None
