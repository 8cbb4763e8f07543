"""Count parameters, multiply-adds and peak memory, without running anything."""

from pathlib import Path

import click

from foretell.cli._app import FilePath, examples

__all__ = ["cost_command"]


@click.command(
    epilog=examples(
        "foretell cost --sample 5 --out costs.csv",
        "foretell cost tutorials/my_net.py:small --input 1x8x8 --json",
    ),
)
@click.argument("items", nargs=-1, metavar="[ITEM]...")
@click.option("--space", default="nb201", show_default=True, help="Name, or my_space.py:space.")
@click.option(
    "--arch", default="arch", show_default=True, help="Column of the architectures in tables."
)
@click.option("--skip-unknown", is_flag=True, help="Leave out entries that name no architecture.")
@click.option("--sample", type=int, help="Also count this many random architectures.")
@click.option("--input", "shape", default="3x32x32", show_default=True, metavar="CxHxW")
@click.option("--classes", default=10, show_default=True, help="Number of outputs.")
@click.option("--preset", help="Skeleton of the space, such as small.")
@click.option("--seed", default=0, show_default=True, help="Of the sample.")
@click.option("--timeout", type=float, help="Seconds that one network may take.")
@click.option("--out", type=FilePath(), help="Table as .csv, .json or .parquet.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
def cost_command(
    items: tuple[str, ...],
    space: str,
    arch: str,
    skip_unknown: bool,
    sample: int | None,
    shape: str,
    classes: int,
    preset: str | None,
    seed: int,
    timeout: float | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Count parameters, multiply-adds and peak activation memory of ITEMs for one image.

    An ITEM is an architecture's text, a file of them, or my_net.py:function for any nn.Module.
    """
    from foretell.api import cost
    from foretell.cli._items import gather
    from foretell.cli._tables import show
    from foretell.errors import UsageError
    from foretell.tables import check_table_path, write_table

    parts = shape.lower().split("x")
    if len(parts) != 3 or not all(p.isdecimal() and 0 < int(p) < 2**31 for p in parts):
        raise UsageError(f"Expected --input such as 3x32x32, but got {shape!r}.")
    if not 2 <= classes < 2**31:
        raise UsageError(f"--classes must be at least 2 and below 2^31, but is {classes}.")
    if out is not None:
        check_table_path(out)
    c, h, w = map(int, parts)
    columns = cost(
        gather(items, space, sample, seed, arch, skip_unknown),
        space=space,
        input_shape=(c, h, w),
        classes=classes,
        preset=preset,
        timeout=timeout,
    )
    if out is not None:
        write_table(out, columns)
        click.echo(f"Wrote {len(columns['arch'])} rows to {out}.", err=True)
    if as_json or out is None:
        show(columns, as_json, title=f"One image of {shape}, {classes} classes; memory in bytes")
