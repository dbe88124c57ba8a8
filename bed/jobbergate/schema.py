"""Makes the API's tables from its own models. Run by the API's Python, with the API's environment.

The wheel has no migrations in it, and those of the repository want TimescaleDB, which Debian has not. Without its views
the API does everything but show people their jobs' metrics.
"""

import asyncio
from importlib import import_module

_APPS = ("clusters", "job_script_templates", "job_scripts", "job_submissions")


async def _create() -> None:
    for app in _APPS:
        import_module(f"jobbergate_api.apps.{app}.models")
    tables = import_module("jobbergate_api.apps.models").Base.metadata
    engine = import_module("jobbergate_api.storage").engine_factory.get_engine()
    async with engine.begin() as connection:
        await connection.run_sync(tables.create_all)
    await engine.dispose()


if __name__ == "__main__":
    asyncio.run(_create())
