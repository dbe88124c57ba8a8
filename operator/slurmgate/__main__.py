"""`slurmgate run`: the operator."""

import asyncio
import sys

from slurmgate import app, settings
from slurmgate.kube.errors import UnreachableError
from slurmgate.telemetry import logs

USAGE = "usage: slurmgate run\nThe operator. Configured by SLURMGATE_* variables: docs/reference/settings.md"


def main() -> int:
    """Entry point of the console script."""
    if sys.argv[1:] != ["run"]:
        sys.stderr.write(f"{USAGE}\n")
        return 2
    try:
        chosen = settings.load()
    except settings.SettingsError as error:
        sys.stderr.write(f"slurmgate: {error}\n")
        return 2
    logs.configure(chosen.log_format, chosen.log_level)
    try:
        asyncio.run(app.run(chosen))
    except UnreachableError as error:
        sys.stderr.write(f"slurmgate: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
