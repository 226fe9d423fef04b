"""``inlier train``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from serving.cli.options import FILE, Parameter, parameters, progress_bar, refuse_to_replace, share

if TYPE_CHECKING:
    from training.model import Model


@click.command(short_help="Train a detector and write a model file.")
@click.option(
    "--detector",
    required=True,
    metavar="NAME",
    help="Which one; `inlier detectors` lists them. With auto, labels choose, or a series with times does; else it is "
    "iNNE.",
)
@click.option(
    "--features", type=FILE, metavar="FILE", help="Train on this CSV or Parquet file: numbers under a header row."
)
@click.option(
    "--labels", type=FILE, metavar="FILE", help="What is known of its rows: one column, 1 = anomaly, 0 = not."
)
@click.option("--synthetic", type=click.Choice(["demo", "clusters", "series"]), help="Train on generated data instead.")
@click.option("--out", type=FILE, required=True, metavar="FILE", help="The model file; its sidecar is FILE.json.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Of all random numbers.")
@click.option(
    "--param",
    "given",
    type=Parameter(),
    multiple=True,
    help="A parameter of the detector, as JSON or text; repeatable.",
)
@click.option("--parameters", "given_json", metavar="JSON", help="The same as one JSON object.")
@click.option(
    "--search/--no-search",
    default=None,
    help="Let labels choose parameters, scaling and threshold [default: with --labels, unless parameters are given].",
)
def train(
    detector: str,
    features: Path | None,
    labels: Path | None,
    synthetic: str | None,
    out: Path,
    seed: int,
    given: tuple[tuple[str, Any], ...],
    given_json: str | None,
    search: bool | None,
) -> None:
    """Train a detector and write a model file.

    Data comes from a file (--features, perhaps with --labels) or is generated (--synthetic): "clusters" are 3000 rows
    f1..f4 in three clusters and 5 elsewhere, "series" is an hourly series with a daily season, spikes and a level
    shift, "demo" is the one of these that the detector is for, with the parameters of its demo. With --labels the
    parameters of highest F1 are searched, and the F1 to expect on other rows is told. The same data, parameters and
    seed give the same model.

    \b
    inlier train --detector inne --features data.csv --out model.pkl
    inlier train --detector inne --synthetic clusters --param max_samples=[2,4,8,16] --out model.pkl
    """
    if (features is None) == (synthetic is None):
        raise click.UsageError("give one of --features FILE and --synthetic demo|clusters|series")
    if labels is not None and features is None:
        raise click.UsageError("--labels go with --features; generated data has its own")
    if search and features is not None and labels is None:
        raise click.UsageError("--search needs --labels to search by")
    from detectors.registry import find
    from training import train as training
    from training.artifacts import save_model, sidecar_path
    from training.data import read_features, read_labels
    from training.defaults import demo_parameters
    from training.series_choice import is_auto
    from training.synthetic import clusters, series

    refuse_to_replace((features, labels), out, sidecar_path(out))
    chosen = parameters(given, given_json)
    if synthetic == "demo":
        chosen = demo_parameters(detector) | chosen
        synthetic = "series" if not is_auto(detector) and find(detector).kind == "univariate" else "clusters"
    with progress_bar() as report:
        if features is not None:
            report(0.0, f"reading {features.name}")
            rows = read_features(features, **training.reading_options(detector))
            truth = None if labels is None else read_labels(labels, n_rows=len(rows), rows_of=rows.source)
        else:
            rows, truth = clusters(seed=seed) if synthetic == "clusters" else series(seed=seed)
        model = training.train(
            detector,
            rows,
            truth,
            chosen,
            seed,
            lambda done, doing: report(0.1 + 0.8 * done, doing),
            search=search if features is not None else bool(search),
        )
        save_model(model, out)
        report(0.95, "compiling for the first prediction")
        model.warm_up()
    click.echo(_summary(model, out))


def _summary(model: "Model", out: Path) -> str:
    names = ", ".join(model.feature_names[:6]) + (", ..." if len(model.feature_names) > 6 else "")
    scored = model.score_histogram.counts.sum()
    plural = "feature" if len(model.feature_names) == 1 else "features"
    lines = [
        f"{model.title} trained on {model.n_rows} rows of {len(model.feature_names)} {plural} ({names})",
        f"threshold {model.threshold:.6g}: flags {share(model.n_flagged, int(scored))} of the training rows",
    ]
    if model.chosen_because:
        lines.insert(1, f"auto chose {model.title}: {model.chosen_because}")
    flagged = model.n_flagged / scored
    if flagged == 0.0:
        lines.append("note: it flags none of the rows it was trained on")
    elif flagged > 0.5:
        lines.append("note: it flags most of the rows it was trained on; it may not be made for such data")
    if model.metrics:
        of_labels = ("precision", "recall", "f1", "roc_auc", "average_precision")
        shown = ((name, model.metrics[name]) for name in of_labels)
        judged = ", ".join(f"{name} {value:.3f}" for name, value in shown if value is not None)
        lines.append(f"against {model.metrics['n_anomalies']} labelled anomalies: {judged}")
        if found := model.metrics.get("search"):
            best = found["candidates"][0]
            chosen = {name: value for name, value in best["parameters"].items() if name != "random_state"}
            parameters_shown = ", ".join(
                f"{name}={value}" for name, value in {**chosen, "scaling": best["scaling"]}.items()
            )
            lines.append(f"best of {found['n_candidates']} candidates: {model.title} with {parameters_shown}")
            lines.append(_expectation(found))
        elif model.metrics["n_anomalies"] in (0, model.n_rows):
            lines.append("note: all labels are the same, so there was nothing to search by")
    return "\n".join([*lines, f"model file {out} ({out.stat().st_size} bytes), sidecar {out}.json"])


def _expectation(found: dict[str, Any]) -> str:
    expected, interval = found["f1_cross_validated"], found["f1_interval"]
    if expected is None or interval is None:
        return "too few labels to tell what to expect on other rows"
    low, high = interval
    return f"on other rows expect F1 {expected:.3f}, {found['confidence']:.0%} interval {low:.2f} to {high:.2f}"
