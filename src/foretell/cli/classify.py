"""Say what is on images, by a network that a search exported."""

from pathlib import Path
from typing import Literal

import click

from foretell.cli._app import FilePath, document, examples

__all__ = ["classify_command"]


@click.command(
    epilog=examples(
        "foretell classify runs/photos/best image.png",
        "foretell classify runs/photos/best new_photos --json",
    ),
)
@click.argument("folder", type=FilePath(), metavar="FOLDER")
@click.argument("images", nargs=-1, required=True, type=FilePath())
@click.option(
    "--runtime", type=click.Choice(["auto", "torch", "onnx"]), default="auto", show_default=True,
    help="What runs the network; auto takes model.onnx where it can.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--trust", is_flag=True, help="Run its files though you did not export it here.")
def classify_command(
    folder: Path,
    images: tuple[Path, ...],
    runtime: Literal["auto", "torch", "onnx"],
    trust: bool,
    as_json: bool,
) -> None:
    """Classify IMAGES, files or folders of them, by the network in FOLDER (RUN/best).

    Images are resized and normalised as in training. Prints the most probable class of each and its
    probability, as the network sees it.
    """
    from foretell.export.classify import classify

    result = classify(folder, images, runtime=runtime, trust=trust)
    rows = list(zip(result.files, result.best, result.probabilities, strict=True))
    if as_json:
        rows_of_images = [
            {"file": str(file), "error": result.failures[i]}
            if i in result.failures
            else {
                "file": str(file),
                "class": name,
                "probability": float(p.max()),
                "probabilities": dict(zip(result.class_names, map(float, p), strict=True)),
            }
            for i, (file, name, p) in enumerate(rows)
        ]
        document({"runtime": result.runtime, "images": rows_of_images})
    else:
        width = max(len(str(file)) for file in result.files)
        for i, (file, name, p) in enumerate(rows):
            if i not in result.failures:
                click.echo(f"{file!s:{width}}  {p.max():7.2%}  {name}")
    for why in result.failures.values():
        click.echo(f"error: {why}", err=True)
    if len(result.failures) == len(result.files):
        raise click.exceptions.Exit(2)
