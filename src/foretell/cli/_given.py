"""The command line as it was typed, for what is written down."""

import shlex

import click

__all__ = ["given_command"]


def given_command() -> str:
    """The running command with its arguments and the options that were given."""
    context = click.get_current_context()
    words = context.command_path.split()
    for parameter in context.command.params:
        key = parameter.name or ""
        given = context.get_parameter_source(key) == click.core.ParameterSource.COMMANDLINE
        value = context.params.get(key)
        if not given or value is None:
            continue
        for one in value if isinstance(value, tuple) else (value,):
            if not isinstance(parameter, click.Option):
                words.append(str(one))
            elif parameter.is_flag:
                words.append(parameter.opts[0])
            else:
                words += [parameter.opts[0], str(one)]
    return shlex.join(words)
