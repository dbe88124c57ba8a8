"""docs/security-model.md names for each claim the tests that try to break it: they exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "security-model.md").read_text()
CLAIMS = TEXT.partition("\n## Claims\n")[2].partition("\n## ")[0]
ROWS = [line for line in CLAIMS.splitlines() if line.startswith("|")][2:]
REFERENCE = re.compile(r"`((?:\w+/)+test_\w+)(?:::(\w+))?`")


def test_each_claim_has_a_test() -> None:
    assert len(ROWS) > 20
    assert not [row for row in ROWS if not REFERENCE.search(row.rsplit("|", 2)[1])]


@pytest.mark.parametrize(("file", "test"), sorted({match.groups("") for match in REFERENCE.finditer(TEXT)}))
def test_what_is_named_is_there(file: str, test: str) -> None:
    content = (ROOT / "tests" / f"{file}.py").read_text()
    assert f"def {test}(" in content if test else "def test_" in content


def test_links_within_the_page_lead_somewhere() -> None:
    headings = re.findall(r"^#+ (.*)$", TEXT, flags=re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]*)\)", TEXT)) <= anchors


def test_pages_that_it_leads_to_are_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", TEXT):
        assert (ROOT / "docs" / target).exists()
