"""``inlier detectors``."""

import inspect

import click


@click.command(short_help="List the detectors there are, and what they can be told.")
def detectors() -> None:
    """List the detectors there are: name, what it judges, and its parameters with their defaults."""
    from detectors.registry import DETECTORS
    from training.defaults import training_parameters

    what = {"multivariate": "rows", "univariate": "series"}
    width = max(len(name) for name in DETECTORS)
    click.echo(f"{'NAME':<{width}}  JUDGES  PARAMETERS")
    for name, made_of in DETECTORS.items():
        chosen = training_parameters(name)
        own = {parameter.name: parameter.default for parameter in inspect.signature(made_of).parameters.values()}
        scaling = {"scaling": "none"} if made_of.kind == "multivariate" else {}
        parameters = ", ".join(f"{name}={value!r}" for name, value in {**own, **scaling, **chosen}.items())
        click.echo(f"{name:<{width}}  {what[made_of.kind]:<6}  {parameters}")
