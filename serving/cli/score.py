"""``inlier score``."""

import sys
from pathlib import Path

import click

from serving.cli.options import FILE, progress_bar, refuse_to_replace, share


@click.command(short_help="Score the rows of a file with a trained model.")
@click.argument("model", type=FILE)
@click.argument("file", type=FILE)
@click.option(
    "--out", type=FILE, metavar="FILE", help="Where the scores go, CSV or .parquet; standard output if not given."
)
@click.option(
    "--continue",
    "continued",
    is_flag=True,
    help="Series only: FILE continues the training series, whose end counts as what came before.",
)
def score(model: Path, file: Path, out: Path | None, continued: bool) -> None:
    """Score the rows of FILE with the trained MODEL.

    The columns of FILE are found by name, in any order. What is written has its rows in their order: the time if there
    was one, anomaly_score (0 to 1, higher is more anomalous), complementary_score (1 minus it), label (1 = anomaly),
    and for several series a score for each.
    """
    if out is None and sys.stdout is None:
        raise click.UsageError("standard output is closed; name a file with --out")
    from training.artifacts import load_model, sidecar_path
    from training.data import read_features
    from training.predictions import check_suffix, predict, print_predictions, write_predictions
    from training.train import reading_options

    if out is not None:
        refuse_to_replace((file, model, sidecar_path(model)), out)
        check_suffix(out)
    with progress_bar() as report:
        trained = load_model(model)
        if continued and trained.kind != "univariate":
            raise click.UsageError(f"--continue is for series, {trained.title} judges rows that stand alone")
        report(0.05, f"reading {file.name}")
        rows = read_features(file, **reading_options(trained.detector_name))
        report(0.4, f"scoring {len(rows)} rows")
        predictions = predict(trained, rows, history="fitted" if continued else None)
        report(0.8, "writing scores")
        if out is not None:
            write_predictions(out, predictions, rows)
    if out is None:
        print_predictions(sys.stdout, predictions, rows)
        sys.stdout.flush()
    flagged = int(predictions.labels.sum())
    unknown = 0 if predictions.missing is None else int(predictions.missing.sum())
    click.echo(
        f"{trained.title}: {flagged} of {len(rows)} rows flagged ({share(flagged, len(rows))}), "
        + (f"{unknown} without a verdict, " if unknown else "")
        + f"threshold {trained.threshold:.6g}"
        + (f"; scores in {out}" if out else ""),
        err=out is None,
    )
