"""The files a job makes: staged one by one, all of them forgotten if it fails."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

from training.errors import JobStopped
from training.jobs.requests import OUTPUT_FOLDER, Job, Outcome, Result
from training.storage import StagedFile


class Outputs:
    """Stages the files of one job.

    Parameters
    ----------
    job : Job
        Its storage and stamp.
    feature_file : str
        The key beside which they go.
    detector : str
        The key of the detector, which is in their names.
    """

    def __init__(self, job: Job, feature_file: str, detector: str) -> None:
        folder = feature_file.rpartition("/")[0]
        self._start = f"{folder}/{OUTPUT_FOLDER}/" if folder else f"{OUTPUT_FOLDER}/"
        self._start += f"{job.stamp}_{detector}_"
        self._storage = job.storage
        self._files: list[StagedFile] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is not None:
            for file in self._files:
                file.discard()

    def stage(self, name: str) -> StagedFile:
        """Begin a file.

        Parameters
        ----------
        name : str
            The end of its name, such as ``"model.pkl"``.

        Returns
        -------
        StagedFile
            To be written to.
        """
        file = self._storage.stage(self._start + name)
        self._files.append(file)
        return file

    def outcome(self, result: Result) -> Outcome:
        """Hand over what was staged.

        Parameters
        ----------
        result : Result
            What is told of it.

        Returns
        -------
        Outcome
            To be published or discarded.
        """
        return Outcome(self._storage, tuple(self._files), result)


class Steps:
    """Tells how far a job is, and ends it between two steps when it is to stop.

    Parameters
    ----------
    job : Job
        Whom to tell, and whom to ask.
    """

    def __init__(self, job: Job) -> None:
        self._job = job

    def at(self, share: float, doing: str) -> None:
        """Begin a step.

        Parameters
        ----------
        share : float
            How much of the job is done, 0 to 1.
        doing : str
            What is done now.

        Raises
        ------
        JobStopped
            When it is to stop.
        """
        if self._job.stopped():
            raise JobStopped
        self._job.progress(share, doing)

    def between(self, first: float, last: float) -> Callable[[float, str], None]:
        """Make a part of the job tell its progress as the job's.

        Parameters
        ----------
        first, last : float
            The job's shares at the beginning and at the end of the part.

        Returns
        -------
        callable
            Takes the share of the part, and what is being done.
        """
        return lambda share, doing: self.at(first + share * (last - first), doing)
