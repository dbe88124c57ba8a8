"""Whom a namespace's submissions may run for."""

import pytest

from slurmgate.core.owners import allows

KIRBY = "kirby@nintendo.example"

RULES = {
    "a namespace without the annotation allows nobody": (None, KIRBY, False),
    "an empty annotation allows nobody": ("", KIRBY, False),
    "blanks and commas alone allow nobody": (" , ,, ", KIRBY, False),
    "the owner himself": (KIRBY, KIRBY, True),
    "one of several, by commas": (f"mario@nintendo.example,{KIRBY}", KIRBY, True),
    "one of several, by lines": (f"mario@nintendo.example\n{KIRBY}\n", KIRBY, True),
    "one of several, by commas and spaces": (f" mario@nintendo.example ,  {KIRBY}", KIRBY, True),
    "somebody else": ("mario@nintendo.example", KIRBY, False),
    "case does not matter in the annotation": ("Kirby@Nintendo.Example", KIRBY, True),
    "case does not matter in the owner": (KIRBY, "KIRBY@NINTENDO.EXAMPLE", True),
    "everybody of a domain": ("*@nintendo.example", KIRBY, True),
    "everybody of a domain, in capitals": ("*@NINTENDO.example", KIRBY, True),
    "a domain does not cover the domains below it": ("*@example", KIRBY, False),
    "a domain does not cover the one above it": ("*@games.nintendo.example", KIRBY, False),
    "a domain that only ends alike is another": ("*@nintendo.example", "kirby@evilnintendo.example", False),
    "a domain that only begins alike is another": ("*@nintendo.example", "kirby@nintendo.example.evil", False),
    "a full stop behind the domain is another domain": ("*@nintendo.example", f"{KIRBY}.", False),
    "a star is not everybody": ("*", KIRBY, False),
    "a star for the domain is nobody": ("*@*", KIRBY, False),
    "a star inside a domain is nobody": ("*@*.example", KIRBY, False),
    "a star inside a name is nobody": ("k*@nintendo.example", KIRBY, False),
    "the domain alone is nobody": ("@nintendo.example nintendo.example", KIRBY, False),
    "a name that only ends alike is another": (KIRBY, f"x{KIRBY}", False),
    "a plus address is another": (KIRBY, "kirby+x@nintendo.example", False),
    "semicolons separate nothing": (f"mario@nintendo.example;{KIRBY}", KIRBY, False),
    "a space that is none in ASCII separates nothing": (f"mario@nintendo.example\N{NO-BREAK SPACE}{KIRBY}", KIRBY, False),
    "quotes are not taken off": (f'"{KIRBY}"', KIRBY, False),
    "a Kelvin sign is no k": (KIRBY, "\N{KELVIN SIGN}irby@nintendo.example", False),
    "a Kelvin sign in the annotation is no k": ("\N{KELVIN SIGN}irby@nintendo.example", KIRBY, False),
    "a dotless i is no i": (KIRBY, "k\N{LATIN SMALL LETTER DOTLESS I}rby@nintendo.example", False),
    "a dotted capital I is no i": ("k\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}rby@nintendo.example", KIRBY, False),
    "a Cyrillic letter is another": (KIRBY, "kirby@nint\N{CYRILLIC SMALL LETTER IE}ndo.example", False),
    "a full-width letter is another": ("*@nintendo.example", "kirby@\N{FULLWIDTH LATIN SMALL LETTER N}intendo.example", False),
    "a long s is no s": ("*@sega.example", "sonic@\N{LATIN SMALL LETTER LONG S}ega.example", False),
    "a combining accent makes another": (KIRBY, "kirby\N{COMBINING ACUTE ACCENT}@nintendo.example", False),
    "a zero-width space makes another": (KIRBY, "kirby\N{ZERO WIDTH SPACE}@nintendo.example", False),
    "the domain is behind the last at sign": ("*@nintendo.example", "x@evil.example@nintendo.example", True),
    "what stands before the last at sign is no domain": ("*@nintendo.example", "x@nintendo.example@evil.example", False),
}


@pytest.mark.parametrize(("annotation", "owner", "allowed"), RULES.values(), ids=RULES.keys())
def test_owners(annotation: str | None, owner: str, *, allowed: bool) -> None:
    assert allows(annotation, owner) is allowed
