"""Text for a shell in whatever ends up on the login node, and line ends in every field that is text."""

import re

from tests.api import Json
from tests.security.attempt import CANARY, Submitting, canary, taken
from tests.security.mutants import EVALUATING, UNPATTERNED, UNQUOTED

AS_IT_IS = "Completed"
"""It is taken for the text that it is."""
AT_THE_DOOR = "is invalid: .*spec"

WORDS: dict[str, Json] = {
    "a command in a job name": {"sbatchArguments": [f"--job-name=a$(touch {CANARY})"]},
    "backticks in a job name": {"sbatchArguments": [f"--job-name=a`touch {CANARY}`"]},
    "a pipe in a comment": {"sbatchArguments": [f"--comment=a | touch {CANARY} # "]},
    "a background process in a comment": {"sbatchArguments": [f"--comment=a & touch {CANARY} &"]},
    "a redirection in a comment": {"sbatchArguments": [f"--comment=a >{CANARY}"]},
    "quotes in a comment": {"sbatchArguments": [f'--comment=a" $(touch {CANARY}) "b']},
    "a command in a variable": {"environment": [{"name": "A", "value": f"$(touch {CANARY})"}]},
    "the end of a variable": {"environment": [{"name": "A", "value": f"'\"; touch {CANARY}; \"'"}]},
}
PATHS: dict[str, Json] = {
    "a command in the directory": {"executionDirectory": f"~/d-ROUND$(touch {CANARY})"},
    "another command behind the directory": {"executionDirectory": f"~/e-ROUND;touch {CANARY};"},
    "a command in a file name": {"files": [{"name": f"a$(touch ${{HOME%/*/*}}{CANARY})", "inline": "1"}]},
}
REFERENCE = {"name": "somewhere", "key": "it"}
LINE_ENDS: dict[str, Json] = {
    "clusterRef.name": {"clusterRef": {"name": "val\nhalla"}},
    "owner": {"owner": "kirby@example.org\nmario@example.org"},
    "script.configMapKeyRef.name": {"script": {"configMapKeyRef": {"name": "a\nb", "key": "it"}}},
    "script.configMapKeyRef.key": {"script": {"configMapKeyRef": {"name": "somewhere", "key": "a\nb"}}},
    "script.remotePath": {"script": {"remotePath": "/bin/true\n/bin/false"}},
    "script.slurmJobId": {"script": {"slurmJobId": "1\n2"}},
    "files[].name": {"files": [{"name": "a\nb", "inline": "1"}]},
    "files[].inlineBase64": {"files": [{"name": "a", "inlineBase64": "MQ==\n;"}]},
    "files[].configMapKeyRef.name": {"files": [{"name": "a", "configMapKeyRef": {"name": "a\nb", "key": "it"}}]},
    "files[].configMapKeyRef.key": {"files": [{"name": "a", "configMapKeyRef": {"name": "somewhere", "key": "a\nb"}}]},
    "files[].secretKeyRef.name": {"files": [{"name": "a", "secretKeyRef": {"name": "a\nb", "key": "it"}}]},
    "files[].secretKeyRef.key": {"files": [{"name": "a", "secretKeyRef": {"name": "somewhere", "key": "a\nb"}}]},
    "sbatchArguments[]": {"sbatchArguments": ["--comment=a\n--uid=0"]},
    "partition": {"partition": "batch\n--uid=0"},
    "account": {"account": "nintendo\n--uid=0"},
    "qos": {"qos": "normal\n--uid=0"},
    "nodes": {"nodes": "1\n2"},
    "memory": {"memory": "1\n2"},
    "gpus": {"gpus": "1\n2"},
    "timeLimit": {"timeLimit": "1\n2"},
    "array": {"array": "1\n2"},
    "executionDirectory": {"executionDirectory": "~/a\nb"},
    "environment[].name": {"environment": [{"name": "A\nB", "value": "1"}]},
    "environment[].valueFrom.configMapKeyRef.name": {
        "environment": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "a\nb", "key": "it"}}}]
    },
    "environment[].valueFrom.configMapKeyRef.key": {
        "environment": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "somewhere", "key": "a\nb"}}}]
    },
    "environment[].valueFrom.secretKeyRef.name": {
        "environment": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "a\nb", "key": "it"}}}]
    },
    "environment[].valueFrom.secretKeyRef.key": {
        "environment": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "somewhere", "key": "a\nb"}}}]
    },
    "launch.srunArguments[]": {"launch": {"mode": "Srun", "srunArguments": ["--mpi=none\n--uid=0"]}},
}
MAY_HAVE_LINES = {"script.inline", "files[].inline", "environment[].value", "files[].jobbergate.filename"}
"""Content; and what the API server takes from nobody but the operator."""


def _line_end(field: str, spec: Json) -> Submitting:
    leaf = field.rsplit(".", maxsplit=1)[-1].removesuffix("[]")
    script = spec.get("script", "true")
    rest = {name: value for name, value in spec.items() if name not in {"script", "owner"}}
    return Submitting(
        f"a line end in {re.sub(r'[^a-zA-Z.]', '', field)}",
        UNPATTERNED,
        f"{AT_THE_DOOR}.*{leaf}",
        taken,
        rest,
        owner=spec.get("owner", "kirby@example.org"),
        script=script,
    )


ATTEMPTS = (
    *(Submitting(what, UNQUOTED, AS_IT_IS, canary, spec) for what, spec in WORDS.items()),
    *(Submitting(what, EVALUATING, AS_IT_IS, canary, spec) for what, spec in PATHS.items()),
    *(_line_end(field, spec) for field, spec in LINE_ENDS.items()),
)
