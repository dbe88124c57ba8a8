"""`slurmgate run`: the operator. With anything else, the command line for people."""

import asyncio
import sys

from slurmgate import app, dumps, settings
from slurmgate.kube.errors import UnreachableError
from slurmgate.plugins.installed import NotInstalledError
from slurmgate.telemetry import logs

USAGE = """\
usage: slurmgate run
The operator. Configured by SLURMGATE_* variables: docs/reference/settings.md
There are more commands where it is installed for people: pip install 'slurmgate[cli]'
"""


def main() -> int:
    """Entry point of the console script."""
    return _run() if sys.argv[1:] == ["run"] else _command_line()


def _command_line() -> int:
    try:
        # Not in the operator's image, and not for the operator to wait for.
        from slurmgate.cli.commands import app as people  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name != "typer":
            raise
        sys.stderr.write(USAGE)
        return 2
    people(prog_name="slurmgate")
    return 0


def _run() -> int:
    dumps.refuse()
    try:
        chosen = settings.load()
    except settings.SettingsError as error:
        sys.stderr.write(f"slurmgate: {error}\n")
        return 2
    logs.configure(chosen.log_format, chosen.log_level)
    try:
        asyncio.run(app.run(chosen))
    except (UnreachableError, NotInstalledError) as error:
        sys.stderr.write(f"slurmgate: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
