import asyncssh
import pytest

from slurmgate.identity.mapping import Identity, NotMapped
from slurmgate.identity.source import AWAITED, MappingFiles
from slurmgate.ssh.credentials import KeyUnavailable, PrivateKey

ADA = """\
users_id_mapping:
- {mail: ada@example.org, mapped_user: ada, ssh_private_key_secret: {name: ada-key, key: id}}
"""
GRACE = ADA.replace("ada", "grace")


class Secrets:
    """Secrets that change under our feet."""

    def __init__(self) -> None:
        self.data: dict[tuple[str, str], bytes] = {}
        self.reads = 0

    async def read(self, name: str, key: str) -> bytes:
        self.reads += 1
        try:
            return self.data[name, key]
        except KeyError:
            raise KeyUnavailable(f"Secret {name} has no key {key}") from None


def key() -> bytes:
    return asyncssh.generate_private_key("ssh-ed25519").export_private_key()


@pytest.fixture
def secrets() -> Secrets:
    return Secrets()


@pytest.fixture
def source(secrets: Secrets) -> MappingFiles:
    return MappingFiles(["mapping"], secrets.read)


def test_nobody_is_mapped_before_the_first_load(source: MappingFiles) -> None:
    assert isinstance(source.resolve("ada@example.org"), NotMapped)


def test_a_new_text_replaces_the_old_one(source: MappingFiles) -> None:
    assert source.load("mapping", ADA, inline_keys=False) == frozenset()
    assert source.load("mapping", GRACE, inline_keys=False) == {"ada"}
    assert source.resolve("grace@example.org") == Identity("grace")
    assert isinstance(source.resolve("ada@example.org"), NotMapped)


def test_a_text_that_cannot_be_read_leaves_everybody_as_he_was(source: MappingFiles) -> None:
    source.load("mapping", ADA, inline_keys=False)
    assert source.load("mapping", "users_id_mapping: [", inline_keys=False) == frozenset()
    assert source.resolve("ada@example.org") == Identity("ada")
    assert [problem.place for problem in source.mapping.problems] == ["user mapping"]
    source.load("mapping", ADA, inline_keys=False)
    assert not source.mapping.problems


async def test_a_secret_is_read_every_time(source: MappingFiles, secrets: Secrets) -> None:
    source.load("mapping", ADA, inline_keys=False)
    for reads in (1, 2):
        secrets.data["ada-key", "id"] = material = key()
        assert await source.private_key("ada") == PrivateKey.parse(material)
        assert secrets.reads == reads


@pytest.mark.parametrize(
    ("material", "message"),
    [
        (None, "Secret ada-key has no key id"),
        (b"secret!", "Secret ada-key, key id: this is not a private key in OpenSSH or PEM format"),
    ],
)
async def test_what_is_wrong_with_a_secret_is_said(
    source: MappingFiles, secrets: Secrets, material: bytes | None, message: str
) -> None:
    source.load("mapping", ADA, inline_keys=False)
    if material:
        secrets.data["ada-key", "id"] = material
    with pytest.raises(KeyUnavailable) as caught:
        await source.private_key("ada")
    assert str(caught.value).startswith(message)
    assert "secret!" not in str(caught.value)


async def test_a_user_who_is_not_mapped_has_no_key(source: MappingFiles) -> None:
    with pytest.raises(KeyUnavailable, match="no entry of the user mapping has mapped_user ada"):
        await source.private_key("ada")


LOCKED = ADA.replace("key: id", "key: id, passphraseKey: words")


async def test_a_key_with_a_passphrase_is_opened(source: MappingFiles, secrets: Secrets) -> None:
    source.load("mapping", LOCKED, inline_keys=False)
    locked = asyncssh.generate_private_key("ssh-ed25519")
    secrets.data["ada-key", "id"] = locked.export_private_key("pkcs8-pem", passphrase="correct horse")
    secrets.data["ada-key", "words"] = b"correct horse\n"
    assert (await source.private_key("ada")).fingerprint == locked.get_fingerprint()


@pytest.mark.parametrize("words", [None, b"another horse"])
async def test_what_is_wrong_with_a_passphrase_is_said_without_it(
    source: MappingFiles, secrets: Secrets, words: bytes | None
) -> None:
    source.load("mapping", LOCKED, inline_keys=False)
    locked = asyncssh.generate_private_key("ssh-ed25519")
    secrets.data["ada-key", "id"] = locked.export_private_key("pkcs8-pem", passphrase="correct horse")
    if words:
        secrets.data["ada-key", "words"] = words
    with pytest.raises(KeyUnavailable) as caught:
        await source.private_key("ada")
    assert str(caught.value) == (
        "Secret ada-key, key id: the passphrase does not open the private key" if words else "Secret ada-key has no key words"
    )


def test_with_certificates_who_is_mapped_is_confirmed_and_nobody_else(source: MappingFiles) -> None:
    source.load("mapping", ADA, inline_keys=False, certified=True)
    source.confirm("ada")
    with pytest.raises(KeyUnavailable, match="no entry of the user mapping has mapped_user grace"):
        source.confirm("grace")


@pytest.fixture
def teams(secrets: Secrets) -> MappingFiles:
    return MappingFiles(["physics", "chemistry"], secrets.read)


def test_nothing_is_said_before_every_file_was_looked_for(teams: MappingFiles) -> None:
    teams.load("physics", ADA, inline_keys=False)
    assert teams.unsaid("ada@example.org") == AWAITED
    assert not teams.lost
    teams.lack("chemistry", "it is not there")
    assert teams.unsaid("ada@example.org") == ""
    assert teams.missing == ("it is not there",)


def test_a_file_that_is_missing_harms_nobody_in_another(teams: MappingFiles) -> None:
    teams.load("physics", ADA, inline_keys=False)
    teams.load("chemistry", GRACE, inline_keys=False)
    teams.lack("chemistry", "it is not there")
    assert teams.unsaid("ada@example.org") == ""
    assert teams.resolve("ada@example.org") == Identity("ada")


def test_who_is_in_a_missing_file_or_may_be_is_waited_for(teams: MappingFiles) -> None:
    teams.load("physics", ADA, inline_keys=False)
    teams.load("chemistry", GRACE, inline_keys=False)
    teams.lack("chemistry", "it is not there")
    assert teams.unsaid("grace@example.org") == teams.unsaid("marie@example.org") == "it is not there"
    teams.load("chemistry", GRACE, inline_keys=False)
    assert teams.unsaid("grace@example.org") == teams.unsaid("marie@example.org") == ""


def test_what_a_missing_file_said_still_counts_against_the_others(teams: MappingFiles) -> None:
    teams.load("physics", ADA, inline_keys=False)
    teams.load("chemistry", GRACE, inline_keys=False)
    teams.lack("chemistry", "it is not there")
    teams.load("physics", ADA + GRACE.replace("grace,", "ada,").splitlines()[1], inline_keys=False)
    found = teams.resolve("grace@example.org")
    assert isinstance(found, NotMapped)
    assert "is written 2 times" in found.message
    assert teams.unsaid("grace@example.org") == ""


async def test_keys_of_a_missing_file_are_used_on(teams: MappingFiles, secrets: Secrets) -> None:
    teams.load("physics", ADA, inline_keys=False)
    teams.load("chemistry", GRACE, inline_keys=False)
    teams.lack("chemistry", "it is not there")
    secrets.data["grace-key", "id"] = material = key()
    assert await teams.private_key("grace") == PrivateKey.parse(material)


def test_a_conflict_takes_the_connections_of_both_away(teams: MappingFiles) -> None:
    teams.load("physics", ADA, inline_keys=False)
    theirs = GRACE.replace("mapped_user: grace", "mapped_user: ada")
    assert teams.load("chemistry", theirs, inline_keys=False) == {"ada"}


def test_a_file_that_never_could_be_read_is_missing(teams: MappingFiles) -> None:
    teams.load("physics", ADA, inline_keys=False)
    teams.load("chemistry", "users_id_mapping: [", inline_keys=False)
    assert teams.unsaid("ada@example.org") == ""
    assert teams.unsaid("grace@example.org").startswith("chemistry: line 2: not YAML")
    assert teams.resolve("ada@example.org") == Identity("ada")
