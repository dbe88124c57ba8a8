"""`slurmgate` with anything but `run`: what people do by hand."""

from pathlib import Path
from typing import Annotated

import typer
import yaml

from slurmgate.cli import agent, envfile, lint

# With its locals, a traceback would show secrets.
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
jobbergate = typer.Typer(no_args_is_help=True)
mapping = typer.Typer(no_args_is_help=True)
app.add_typer(mapping, name="mapping", help="The user mapping.")
app.add_typer(jobbergate, name="jobbergate", help="In place of the Jobbergate Agent.")

_HEAD = """\
This is a part of a SlurmCluster: connect the cluster first (docs/how-to/connect-a-cluster.md), and read what is said below.
Then (docs/how-to/replace-the-jobbergate-agent.md says when)
  kubectl apply --server-side --filename=-
Where Helm has the SlurmCluster, put spec into the chart's value `clusters` instead.
It holds the client's secret: keep it where you keep secrets.
"""


@app.callback()
def slurmgate() -> None:
    """Kubernetes and Slurm. `slurmgate run` is the operator."""


@mapping.command("lint")
def lint_mapping(
    files: Annotated[
        list[Path], typer.Argument(help="All files of one SlurmCluster, in their order.", exists=True, dir_okay=False)
    ],
    *,
    secret: Annotated[
        bool, typer.Option("--secret", help="They go into Secrets, where keys may stand in the entries (ssh_private_key_b64).")
    ] = False,
    certificates: Annotated[
        bool, typer.Option("--certificates", help="The cluster has spec.ssh.certificates: entries need no key.")
    ] = False,
) -> None:
    """Look for entries that would not be used. Exit status 1 if there are any, for the checks of a GitOps repository."""
    found = lint.lint(files, inline_keys=secret, certified=certificates)
    for problem in found.problems:
        typer.echo(problem)
    typer.echo(found.summary, err=True)
    raise typer.Exit(1 if found.problems else 0)


@jobbergate.command("import-env")
def import_env(
    file: Annotated[typer.FileText, typer.Argument(help="The Agent's .env file; - for standard input.", encoding="utf-8")],
    *,
    cluster: Annotated[str | None, typer.Option(help="The SlurmCluster.", show_default="the OIDC client's id")] = None,
    namespace: Annotated[str, typer.Option(help="Where JobSubmissions are made: spec.jobbergate.namespace.")] = "jobbergate",
    operator_namespace: Annotated[str, typer.Option(help="Where the operator and its Secrets are.")] = "slurmgate-system",
) -> None:
    """Print the manifests that do what the settings of a Jobbergate Agent did."""
    try:
        found = envfile.read(file.read())
        settings = agent.settings(found)
        destination = agent.Destination(namespace, operator_namespace, cluster)
        manifests = agent.manifests(settings, destination)
    except (agent.AgentError, envfile.EnvFileError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    except UnicodeDecodeError as error:
        typer.echo(f"{file.name} is not UTF-8: {error.reason}", err=True)
        raise typer.Exit(1) from None
    remarks = [*_HEAD.splitlines(), "", *agent.remarks(found, settings)]
    typer.echo("\n".join(f"# {remark}".rstrip() for remark in remarks))
    typer.echo(yaml.safe_dump_all(manifests, sort_keys=False, explicit_start=True, allow_unicode=True), nl=False)
