"""The JSON Schema of the user mapping file, for editors and for CI.

It cannot say that somebody is written twice, nor whether a key is one, nor that there has to be one, which clusters with SSH
certificates do not need: `slurmgate mapping lint` can.
"""

from typing import Any, Final

from slurmgate.identity.entry import Written
from slurmgate.identity.mapping import ROOT

Json = dict[str, Any]

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_KEYS: Final = ("ssh_private_key_secret", "ssh_private_key_b64")


def schema() -> Json:
    """The schema."""
    entry = Written.model_json_schema()
    definitions = entry.pop("$defs")
    given = [{"required": [key], "properties": {key: {"not": {"type": "null"}}}} for key in _KEYS]
    one_at_most = {"not": {"allOf": given}}
    return {
        "$schema": _DIALECT,
        "title": "The user mapping file of Slurmgate",
        "description": "Who is who on a Slurm cluster. ssh_mapping.example.yaml explains it.",
        "type": "object",
        "required": [ROOT],
        "additionalProperties": False,
        "properties": {
            ROOT: {
                "description": "An entry for each person.",
                "type": ["array", "null"],
                "items": {**entry, **one_at_most},
            }
        },
        "$defs": definitions,
    }
