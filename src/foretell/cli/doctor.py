"""Print versions, devices and extras, for bug reports."""

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, requires, version

import click

from foretell import __version__
from foretell.cli._app import document, examples
from foretell.types import Json

__all__ = ["doctor_command", "examine"]


@click.command(
    epilog=examples(
        "foretell doctor",
        "foretell doctor --json",
    ),
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def doctor_command(as_json: bool) -> None:
    """Print versions, devices and extras, for bug reports."""
    info = examine()
    if as_json:
        document(info)
        return
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for title, rows in info.items():
        table = Table(title=title, title_justify="left", show_header=False, box=None)
        table.add_column(style="bold")
        table.add_column()
        for name, value in rows.items():
            table.add_row(name, str(value))
        console.print(table)
        console.print()


def examine() -> dict[str, dict[str, Json]]:
    """Sections of name -> value: foretell, packages, extras, devices."""
    import re

    packages: dict[str, Json] = {}
    extras: dict[str, Json] = {}
    for line in requires("foretell") or []:
        match = re.match(r"([A-Za-z0-9_.-]+)", line)
        name = match.group(1) if match else line
        if name == "foretell":
            continue
        extra = re.search(r"extra == ['\"]([^'\"]+)['\"]", line)
        if extra is None:
            packages[name] = _version(name)
        elif extra.group(1) not in ("test", "docs", "all"):
            known = extras.setdefault(extra.group(1), [])
            known.append(f"{name} {_version(name)}")
    return {
        "foretell": {
            "version": __version__,
            "python": sys.version.split()[0],
            "platform": platform.platform(),
            "cpu cores": os.cpu_count(),
        },
        "packages": packages,
        "extras": {name: ", ".join(found) for name, found in extras.items()},
        "devices": _devices(),
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _devices() -> dict[str, Json]:
    try:
        import torch
    except ImportError as error:
        return {"torch": f"cannot be imported: {error}"}
    found: dict[str, Json] = {
        "torch": torch.__version__,
        "torch threads": torch.get_num_threads(),
        "cpu capability": torch.backends.cpu.get_cpu_capability(),
        "cuda": torch.version.cuda or "not in this build",
    }
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        facts = torch.cuda.get_device_properties(index)
        found[f"cuda:{index}"] = f"{facts.name}, {facts.total_memory / 2**30:.0f} GiB"
    return found
