"""The `lab` command. Each module in `harness/commands` brings one subcommand: the function of the module's name."""

from __future__ import annotations

import pkgutil
import sys
from importlib import import_module
from typing import Final

import typer

from harness import commands
from harness.errors import Inconclusive, LabError
from harness.verdict import ExitCode

HELP: Final = "Starts the stack, drives it with simulated phones, breaks it on purpose, and proves what became of it."


def build() -> typer.Typer:
    """The command with all its subcommands."""
    app = typer.Typer(name="lab", help=HELP, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
    for module in pkgutil.iter_modules(commands.__path__):
        if module.name.startswith("_"):
            continue
        loaded = import_module(f"harness.commands.{module.name}")
        function = getattr(loaded, module.name, None)
        if callable(function):
            app.command(module.name)(function)
    return app


def main() -> None:
    """Run `lab`. An error of the lab is one line on stderr and exit code 3 (2 when nothing could be said)."""
    try:
        build()()
    except LabError as error:
        sys.stderr.write(f"lab: {error}\n")
        raise SystemExit(
            int(ExitCode.INCONCLUSIVE if isinstance(error, Inconclusive) else ExitCode.LAB_FAILED)
        ) from error


if __name__ == "__main__":
    main()
