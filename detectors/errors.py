"""What can go wrong in a detector.

::

    InlierError                 every error that Inlier raises on purpose
    └── DetectorError           (also a ValueError)
        ├── InvalidState        a fitted detector from a file is damaged
        ├── UnknownDetector     no detector of that name
        ├── UnknownFeatures     rows name other features than the detector was trained on
        └── TooLittle           there is too little to learn from

Wrong parameters and wrong arrays raise scikit-learn's own ``InvalidParameterError`` and ``ValueError``.
"""

from typing import ClassVar


class InlierError(Exception):
    """Something Inlier was asked for cannot be done."""

    code: ClassVar[str] = "failed"
    """For programs: it stays the same when the message changes."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)


class DetectorError(InlierError, ValueError):
    """A detector cannot do what it was asked for."""

    code = "detector_failed"


class InvalidState(DetectorError):
    """The state of a fitted detector is damaged."""

    code = "invalid_state"


class UnknownDetector(DetectorError):
    """There is no detector of that name."""

    code = "unknown_detector"


class UnknownFeatures(DetectorError):
    """The rows name other features than the detector was trained on."""

    code = "unknown_features"


class TooLittle(DetectorError):
    """There is too little to learn from.

    Attributes
    ----------
    plainly : str
        What is missing, for whoever knows the file and not the array; it goes on after the detector's name.
    column : int or None
        Where, if it is one column.
    """

    code = "too_little"

    def __init__(self, message: str | None = None, plainly: str = "", column: int | None = None) -> None:
        super().__init__(message)
        self.plainly = plainly or str(self)
        self.column = column
