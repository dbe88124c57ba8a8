"""Naming somebody else as the owner, or somebody who looks like one who may be named."""

from tests.security.attempt import LAB, NOBODYS, Submitting, ran, ran_as
from tests.security.mutants import GENEROUS, OWNERLESS

NOT_ALLOWED = "may not be named in (this )?namespace.*slurmgate.dev/owners"
"""By the API server at the door, or by the operator where there is none."""
NOT_MAPPED = "UserNotMapped: .* not .*in the user mapping"

ATTEMPTS = (
    Submitting("the owner of another namespace", OWNERLESS, NOT_ALLOWED, ran_as("dovahkiin"), owner="dovahkiin@example.org"),
    Submitting(
        "an annotation of his own that allows the owner",
        OWNERLESS,
        NOT_ALLOWED,
        ran_as("dovahkiin"),
        owner="dovahkiin@example.org",
        metadata={"annotations": {"slurmgate.dev/owners": "dovahkiin@example.org"}},
    ),
    Submitting(
        "a label of his own that allows the owner",
        OWNERLESS,
        NOT_ALLOWED,
        ran_as("dovahkiin"),
        owner="dovahkiin@example.org",
        metadata={"labels": {"slurmgate.dev/owners": "any", "slurmgate.dev/jobbergate-cluster": "valhalla"}},
    ),
    Submitting("a namespace that may name nobody", OWNERLESS, NOT_ALLOWED, ran, namespace=NOBODYS),
    *(
        Submitting(f"an owner with {what}", GENEROUS, NOT_ALLOWED, ran_as("kirby"), owner=owner)
        for what, owner in {
            "a kelvin sign": "\u212airby@example.org",
            "full width letters": "ｋｉｒｂｙ@example.org",
            "a cyrillic letter": "k\u0456rby@example.org",
            "mathematical letters": "𝐤𝐢𝐫𝐛𝐲@example.org",
            "a joiner of no width": "kir\u200dby@example.org",
            "a soft hyphen": "kir\u00adby@example.org",
        }.items()
    ),
    *(
        Submitting(f"an owner of {what}", GENEROUS, NOT_ALLOWED, ran_as("dovahkiin"), owner=owner, namespace=LAB)
        for what, owner in {
            "a domain below the allowed one": "dovahkiin@evil.example.org",
            "a domain that ends like the allowed one": "dovahkiin@notexample.org",
        }.items()
    ),
    *(
        Submitting(f"an owner that is {what}", GENEROUS, NOT_MAPPED, ran, owner=owner, namespace=LAB)
        for what, owner in {
            "a star": "*@example.org",
            "a letter and a star": "dov*@example.org",
            "the end of a filter": "*)(uid=*@example.org",
            "a filter within a filter": "dovahkiin*)(|(mail=*@example.org",
        }.items()
    ),
)
