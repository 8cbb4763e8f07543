"""Encode architectures, any nn.Module or ONNX files as numbers to learn from."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from foretell.cli._app import FilePath, examples

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["encode_command"]


@click.command(
    epilog=examples(
        "foretell encode --sample 5 --encoding graf+onehot --out encodings.csv",
        "foretell encode tutorials/my_net.py:small --input-shape 1x8x8",
    ),
)
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
@click.option("--space", default="nb201", show_default=True, help="Name, or my_space.py:space.")
@click.option(
    "--arch", default="arch", show_default=True, help="Column of the architectures in tables."
)
@click.option("--skip-unknown", is_flag=True, help="Leave out entries that name no architecture.")
@click.option("--sample", type=int, help="Also describe this many random architectures.")
@click.option(
    "--encoding", default="graf", show_default=True, metavar="A+B+...",
    help="Encodings that need no images; see foretell list encodings.",
)  # fmt: skip
@click.option("--input-shape", metavar="CxHxW", help="Of one image [default: 3x32x32].")
@click.option("--classes", type=int, help="Number of outputs [default: 10].")
@click.option("--data", help="Take shape and classes from these data, such as digits.")
@click.option(
    "--skip-broken", is_flag=True, help="Leave out images that cannot be decoded, and list them."
)
@click.option("--preset", help="Skeleton of the space, such as small.")
@click.option("--seed", default=0, show_default=True, help="Of the sample.")
@click.option("--timeout", type=float, help="Seconds that one network may take.")
@click.option("--out", type=FilePath(), help="Table as .csv, .json or .parquet.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
@click.option("--quiet", is_flag=True, help="No progress bars.")
def encode_command(
    targets: tuple[str, ...],
    space: str,
    arch: str,
    skip_unknown: bool,
    sample: int | None,
    encoding: str,
    input_shape: str | None,
    classes: int | None,
    data: str | None,
    skip_broken: bool,
    preset: str | None,
    seed: int,
    timeout: float | None,
    out: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Describe TARGETs by numbers that a predictor can learn from.

    A TARGET is an architecture's text, a file of them, my_net.py:function for any nn.Module, or a
    file net.onnx.
    """
    from foretell.api import encode
    from foretell.cli._items import gather
    from foretell.cli._progress import progress
    from foretell.cli._tables import show
    from foretell.data import skipping_broken
    from foretell.errors import UsageError
    from foretell.tables import check_table_path, write_table

    if out is not None:
        check_table_path(out)
    if data is not None and (input_shape is not None or classes is not None):
        raise UsageError("--data gives shape and classes: leave --input-shape and --classes out.")
    if classes is not None and classes < 2:
        raise UsageError(f"--classes must be at least 2, but is {classes}.")
    files = [t for t in targets if t.endswith(".onnx")]
    others = [t for t in targets if t not in files]
    wanted = (
        gather(others, space, sample, seed, arch, skip_unknown)
        if others or sample or not files
        else []
    )
    with progress(quiet or as_json) as tell:
        columns = encode(
            [*wanted, *files],
            encoding,
            space=space,
            input_shape=_shape(input_shape or "3x32x32"),
            classes=classes or 10,
            data=skipping_broken(data) if data is not None and skip_broken else data,
            preset=preset,
            timeout=timeout,
            on_progress=tell,
        )
    if out is not None:
        write_table(out, columns)
        click.echo(f"Wrote {len(columns['arch'])} rows to {out}.", err=True)
    if as_json or out is None:
        shown = columns if as_json else _varied(columns)
        show(shown, as_json, title=f"{encoding}; columns of zeros only are left out")


def _shape(text: str) -> tuple[int, int, int]:
    from foretell.errors import UsageError

    parts = text.lower().split("x")
    if len(parts) != 3 or not all(p.isdecimal() and int(p) > 0 for p in parts):
        raise UsageError(f"Expected --input-shape such as 3x32x32, but got {text!r}.")
    c, h, w = map(int, parts)
    return c, h, w


def _varied(columns: "dict[str, Sequence[object]]") -> "dict[str, Sequence[object]]":
    return {k: v for k, v in columns.items() if k == "arch" or any(v)}
