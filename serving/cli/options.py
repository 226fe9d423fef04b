"""What several subcommands share: options, progress, and sentences about results."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

FILE = click.Path(path_type=Path)
"""A path that is checked by whoever opens it, in the words of `training.errors`."""


class Parameter(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """``name=value``; the value is JSON where it can be, else text."""

    name = "name=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Any]:
        """Split and read one.

        Parameters
        ----------
        value : str
            As typed.
        param, ctx
            click's.

        Returns
        -------
        tuple
            Name and value.
        """
        if isinstance(value, tuple):
            return value
        name, equals, text = value.partition("=")
        if not equals or not name.strip():
            self.fail(f"{value!r} is not name=value", param, ctx)
        try:
            return name.strip(), json.loads(text, parse_constant=_no_number)
        except ValueError:
            return name.strip(), text
        except RecursionError:
            self.fail(f"{name.strip()} is nested too deeply", param, ctx)


def refuse_to_replace(inputs: Iterable[Path | None], *outputs: Path) -> None:
    """Refuse to write over what is read.

    Parameters
    ----------
    inputs : iterable of Path or None
        Files to be read, there or not.
    outputs : Path
        Files to be written, there or not.

    Raises
    ------
    click.UsageError
        When one is the other, under whatever name.
    """
    there = [each for each in inputs if each is not None and _is_file(each)]
    for output in outputs:
        if _is_file(output) and any(output.samefile(each) for each in there):
            raise click.UsageError(f"--out would replace {output}, which is read: name another file")


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113  # Path.is_file raises for a name that is too long


def _no_number(text: str) -> float:
    raise ValueError(text)


def parameters(given: tuple[tuple[str, Any], ...], given_json: str | None = None) -> dict[str, Any]:
    """Collect the ``--param`` and ``--parameters`` options.

    Parameters
    ----------
    given : tuple of (name, value)
        In the order they were typed.
    given_json : str, optional
        A JSON object of more.

    Returns
    -------
    dict
        By name.

    Raises
    ------
    click.BadParameter
        For a name that is given twice, or for what is not a JSON object.
    """
    collected = _json_object(given_json)
    for name, value in given:
        if name in collected:
            raise click.BadParameter(f"{name} is given twice", param_hint="--param")
        collected[name] = value
    return collected


def _json_object(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        value = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise click.BadParameter(f"not JSON: {error}", param_hint="--parameters") from error
    if not isinstance(value, dict):
        raise click.BadParameter('not a JSON object such as {"n_estimators": 250}', param_hint="--parameters")
    return value


@contextmanager
def progress_bar() -> Iterator[Callable[[float, str], None]]:
    """A progress bar on standard error, where that is a terminal.

    Yields
    ------
    callable
        Takes the share that is done, 0 to 1, and what is being done.
    """
    from tqdm import tqdm

    layout = "{desc} {bar} {percentage:3.0f}% [{elapsed}]"
    shown = sys.stderr is not None and sys.stderr.isatty()
    with tqdm(total=1.0, bar_format=layout, leave=False, disable=not shown, file=sys.stderr) as bar:

        def report(share: float, doing: str) -> None:
            bar.set_description_str(doing, refresh=False)
            bar.update(share - bar.n)
            bar.refresh()

        yield report


def share(part: int, whole: int) -> str:
    """A share for people.

    Parameters
    ----------
    part, whole : int
        Counts.

    Returns
    -------
    str
        E.g. ``"0.17 %"``; 0 and 100 only where they are exact.

    Examples
    --------
    >>> share(5, 3005), share(0, 10), share(1, 10**7)
    ('0.17 %', '0 %', '< 0.01 %')
    """
    if part in (0, whole):
        return "0 %" if part == 0 else "100 %"
    percent = 100.0 * part / whole
    if percent < 0.01:
        return "< 0.01 %"
    return "> 99.99 %" if percent > 99.99 else f"{percent:.2f} %"
