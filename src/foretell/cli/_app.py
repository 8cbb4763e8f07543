"""The `foretell` command: finds its sub-commands by name, turns errors into one sentence."""

import contextlib
import errno
import importlib
import json
import math
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TextIO

import click

from foretell import __version__
from foretell.errors import ForetellError, ForetellWarning, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from click.shell_completion import CompletionItem

__all__ = ["FilePath", "app", "document", "examples", "main"]


class FilePath(click.ParamType["Path"]):
    """The path of a file or folder, which may begin with a tilde; never an empty text."""

    name = "path"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> "Path":
        """The path.

        Raises:
            UsageError: it is empty, or names an unknown user's home.
        """
        from foretell.files import user_path

        return user_path(value)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> "list[CompletionItem]":
        """Leave it to the shell."""
        from click.shell_completion import CompletionItem

        return [CompletionItem(incomplete, type="file")]


def examples(*lines: str) -> str:
    """The end of a command's help: command lines as they are typed, never wrapped."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def _commands() -> dict[str, str]:
    """Name -> one line: the first of the file NAME.py beside this one, which is not imported."""
    folder = os.path.dirname(__file__)  # pathlib would cost the help a tenth of its time
    found = {}
    for file in sorted(os.listdir(folder)):
        name, ending = os.path.splitext(file)
        if ending == ".py" and not name.startswith("_"):
            with open(os.path.join(folder, file), encoding="utf-8") as text:
                found[name] = text.readline().strip().strip('"')
    return found


COMMANDS = _commands()
"""Name -> one line. The command NAME is the click command `NAME_command` of cli/NAME.py."""


class LazyGroup(click.Group):
    """A group that imports a command's file only when the command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The click command of a name."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"foretell.cli.{cmd_name}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Names and lines from the table: no command is imported for the help."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Suggest the nearest command where a name is unknown."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, 1) or list(COMMANDS)
            raise click.UsageError(f"There is no command {args[0]!r}: try {' or '.join(near)}.")
        return super().resolve_command(ctx, args)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples("foretell search", "foretell score --sample 5", "foretell list proxies")
    + "\n\nThe first needs no data, no GPU and about two minutes.",
)
@click.version_option(__version__, prog_name="foretell")
def app() -> None:
    """Know how good a neural network will be before you train it.

    foretell scores untrained networks, searches for the best one that you can afford, trains it,
    attacks it and exports it: on your own network, data, device and budget.
    """


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line; exit code 0, 2 for an error with its sentence, 130 for Ctrl-C.

    Matrices of predictors are small: on a busy machine, or one of many cores, threads that wait
    for each other cost more than they do. PyTorch has threads of its own.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    warnings.showwarning = _show_warning
    argv = list(sys.argv[1:] if args is None else args)
    sys.exit(run(argv))


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning; foretell's own are sentences without a line of code."""
    text = warnings.formatwarning(message, category, filename, lineno, line).rstrip("\n")
    own = issubclass(category, ForetellWarning)
    print(f"warning: {message}" if own else text, file=file or sys.stderr)


def run(argv: list[str]) -> int:
    """Run one command line and return its exit code.

    With ``--json`` standard output holds one JSON document and nothing else, however the command
    ends: what networks and libraries print meanwhile goes to standard error.
    """
    if "--json" not in argv or {"-h", "--help", "--version"} & set(argv):
        return _run(argv)
    from foretell.files import standard_output_to

    _answers.append([])
    try:
        with standard_output_to(2), contextlib.redirect_stdout(sys.stderr):
            code = _run(argv)
    except BaseException as error:  # a fault of ours: its traceback follows the document
        document({"error": type(error).__name__, "message": str(error)})
        raise
    finally:
        answer = _answers.pop()
        with contextlib.suppress(BrokenPipeError):
            click.echo(answer[0] if answer else json.dumps(None))
    return code


def document(value: object) -> None:
    """Answer with one JSON document; numbers that JSON does not have become null.

    Args:
        value: what ``json.dumps`` takes. Of several, the first is the command's answer.
    """
    text = json.dumps(_finite(value), allow_nan=False)
    if _answers:
        _answers[-1].append(text)
    else:
        click.echo(text)


_answers: list[list[str]] = []
"""What the running command lines have answered; they are printed when the lines end."""


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _run(argv: list[str]) -> int:
    try:
        if any("\0" in word for word in argv):
            raise UsageError("An argument holds a NUL character, which no name can: leave it out.")
        code = app.main(args=argv, prog_name="foretell", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.exceptions.Abort:
        return _interrupted(argv)
    except KeyboardInterrupt:
        return _interrupted(argv)
    except click.ClickException as error:
        if "--json" in argv:
            return _fail(argv, error.format_message())
        error.show()
        return 2
    except ForetellError as error:
        if os.environ.get("FORETELL_DEBUG"):
            traceback.print_exc()
        return _fail(argv, str(error), type(error).__name__)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except MemoryError as error:
        if os.environ.get("FORETELL_DEBUG"):
            traceback.print_exc()
        detail = f" ({error})" if str(error) else ""
        return _fail(
            argv,
            f"There is not enough memory for what was asked for{detail}: ask for smaller images, "
            f"batches, networks or counts.",
            "MemoryError",
        )
    except OSError as error:
        if os.environ.get("FORETELL_DEBUG"):
            traceback.print_exc()
        return _fail(argv, _os_sentence(error), type(error).__name__)


def _interrupted(argv: list[str]) -> int:
    sentence = "Stopped. Finished work is kept: run the same command again to go on."
    if "--json" in argv:
        document({"error": "Interrupted", "message": sentence})
    click.echo(f"\n{sentence}", err=True)
    return 130


def _os_sentence(error: OSError) -> str:
    place = f" {str(error.filename)!r}" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk is full while writing{place}: free some space and run again."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"No permission to write or read{place}: choose another folder or mend its rights."
    return f"The operating system says {error.strerror or error}{place}: mend that and run again."


def _fail(argv: list[str], sentence: str, kind: str = "UsageError") -> int:
    if "--json" in argv:
        document({"error": kind, "message": sentence})
    click.echo(f"error: {sentence}", err=True)
    return 2
