"""The `lab` command. Each module in `harness/commands` brings one subcommand: the function of the module's name."""

from __future__ import annotations

import pkgutil
import sys
import traceback
from importlib import import_module
from typing import Final

import typer
from typer._click.exceptions import ClickException  # of these typer itself gives away two subclasses only

from harness import commands
from harness.errors import Inconclusive, LabError
from harness.verdict import ExitCode

INTERRUPTED: Final = 130
"""What typer makes of Ctrl-C."""
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
    """Run `lab`; whatever goes wrong, it exits with a code of docs/ci.md."""
    raise SystemExit(int(run()))


def run() -> int:
    """The exit code: the command's own, else 3 (2 when nothing could be said).

    An error of the lab and a call that it does not understand are told on stderr. A defect of the lab leaves its trace
    there, and says on stdout, where a verdict would stand, that it is one.
    """
    try:
        code = build()(standalone_mode=False)
    except LabError as error:
        sys.stderr.write(f"lab: {error}\n")
        return ExitCode.INCONCLUSIVE if isinstance(error, Inconclusive) else ExitCode.LAB_FAILED
    except ClickException as error:
        error.show()
        return ExitCode.LAB_FAILED
    except (typer.Abort, SystemExit):  # typer's own, for an input or an output that was closed
        return ExitCode.LAB_FAILED
    except Exception as error:  # noqa: BLE001  # process top: what nobody foresaw must not look like a verdict
        traceback.print_exc()
        words = " ".join(f"{type(error).__name__}: {error}".split())
        sys.stdout.write(f"LAB FAILED: {words}: a defect of the lab; its trace is on stderr\n")
        return ExitCode.LAB_FAILED
    if code == INTERRUPTED:
        sys.stdout.write("LAB FAILED: interrupted\n")
        return ExitCode.LAB_FAILED
    return code or ExitCode.VALID


if __name__ == "__main__":
    main()
