"""What can go wrong between files and models.

::

    InlierError
    └── TrainingError           a model cannot be made: wrong parameters, rows a detector cannot learn from
        ├── DataError           a feature, label or prediction file: names the file, and where it can row and column
        │   ├── EmptyFile       there are no rows in it
        │   ├── NotNumbers      a cell is no number, or is missing, infinite or no label
        │   ├── LabelsDoNotMatch    there are not as many labels as rows
        │   ├── NoTimeColumn    a series without times
        │   └── TooLarge        there are more rows or columns than a limit allows
        ├── ModelFileError      a model file
        │   ├── ModelNotFound   there is none
        │   ├── ModelDamaged    it is not what was written, or not a model at all
        │   └── ModelUntrusted  its signature is missing or wrong
        ├── StorageError        a file by its key
        │   ├── InvalidPath     no file may be called that
        │   ├── FileMissing     there is none
        │   ├── FileExists      there is one already
        │   └── StorageUnavailable  the disk or the bucket fails
        └── JobError            what is asked for does not go together
            ├── WrongKind       a detector or model of the other kind
            ├── NotInstalled    an extra of the package is missing
            └── JobStopped      somebody asked to stop
"""

from detectors.errors import InlierError


class TrainingError(InlierError):
    """The model cannot be made."""

    code = "cannot_train"


class DataError(TrainingError):
    """The file cannot be read as numbers.

    Attributes
    ----------
    file : str or None
        What the file is called.
    row : int or None
        The line of a text file, counted from 1 with the header; the row of a Parquet file, counted from 1.
    column : str or None
        The name of the column.
    """

    code = "unreadable_data"

    def __init__(
        self, message: str | None = None, file: str | None = None, row: int | None = None, column: str | None = None
    ) -> None:
        place = ", ".join(
            part for part in (file, f"row {row}" if row else None, f"column {column!r}" if column else None) if part
        )
        text = message or type(self).__doc__ or ""
        super().__init__(f"{place}: {text}" if place else text)
        self.reason = text
        self.file = file
        self.row = row
        self.column = column


class EmptyFile(DataError):
    """The file has no rows."""

    code = "empty_file"


class NotNumbers(DataError):
    """A cell is not the number that is expected there."""

    code = "not_numbers"


class LabelsDoNotMatch(DataError):
    """There are not as many labels as rows."""

    code = "labels_do_not_match"


class NoTimeColumn(DataError):
    """A series needs a column of times."""

    code = "no_time_column"


class TooLarge(DataError):
    """The file has more rows or columns than are read."""

    code = "too_large"


class ModelFileError(TrainingError):
    """The model file cannot be used."""

    code = "unusable_model"


class ModelNotFound(ModelFileError):
    """There is no such model file."""

    code = "model_not_found"


class ModelDamaged(ModelFileError):
    """The model file is not what was written."""

    code = "model_damaged"


class ModelUntrusted(ModelFileError):
    """The model file is not signed with the key in force."""

    code = "model_untrusted"


class StorageError(TrainingError):
    """The file cannot be reached."""

    code = "storage_failed"


class InvalidPath(StorageError):
    """No file may have this path."""

    code = "invalid_path"


class FileMissing(StorageError):
    """There is no such file."""

    code = "file_not_found"


class FileExists(StorageError):
    """There is such a file already."""

    code = "file_exists"


class StorageUnavailable(StorageError):
    """The disk or the bucket fails."""

    code = "storage_unavailable"


class JobError(TrainingError):
    """The job cannot be done as it was asked for."""

    code = "invalid_job"


class WrongKind(JobError):
    """The detector or model is of the other kind."""

    code = "wrong_kind"


class NotInstalled(JobError):
    """An extra of the package is missing."""

    code = "not_installed"


class JobStopped(JobError):
    """The job was stopped."""

    code = "stopped"
