"""The help of every command ends with command lines that can be typed as they stand."""

import shlex

import click
import pytest

from foretell.cli import app
from foretell.cli._app import examples

WIDTH = 100  # of help texts, at most


def commands(command=app, path=("foretell",)):
    """(path, command) of the group, its commands and theirs."""
    yield path, command
    if isinstance(command, click.Group):
        ctx = click.Context(command)
        for name in command.list_commands(ctx):
            yield from commands(command.get_command(ctx, name), (*path, name))


COMMANDS = dict(commands())


def shown(path, command, width=80):
    ctx = click.Context(command, info_name=" ".join(path), terminal_width=width)
    _, _, block = command.get_help(ctx).partition("\n  Examples:\n")
    return [line.strip() for line in block.partition("\n\n")[0].splitlines()]


def parse(line):
    """The path of the command that a line calls, after all its options are parsed; nothing runs."""
    words = shlex.split(line)
    ctx = app.make_context(words[0], words[1:])
    path = [words[0]]
    while isinstance(ctx.command, click.Group):
        name, command, rest = ctx.command.resolve_command(ctx, [*ctx._protected_args, *ctx.args])
        path.append(name)
        ctx = command.make_context(name, list(rest), parent=ctx)
    return tuple(path)


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_the_help_has_examples_whose_options_parse(path):
    lines = shown(path, COMMANDS[path])
    assert lines
    for line in lines:
        assert line.startswith("foretell ")
        assert parse(line)[: len(path)] == path


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_examples_are_not_wrapped(path):
    assert shown(path, COMMANDS[path], 40) == shown(path, COMMANDS[path], WIDTH)


def test_a_wrong_option_does_not_parse():
    with pytest.raises(click.NoSuchOption):
        parse("foretell evaluate proxies digits-nb201 --speed 3")


def test_examples_stand_one_a_line():
    assert examples("foretell a", "foretell b") == "\b\nExamples:\n  foretell a\n  foretell b"
