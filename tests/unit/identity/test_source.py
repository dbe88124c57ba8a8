import asyncssh
import pytest

from slurmgate.identity.mapping import Identity, NotMapped
from slurmgate.identity.source import IdentitySource, MappingFile
from slurmgate.ssh.credentials import KeySource, KeyUnavailable, PrivateKey

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
def source(secrets: Secrets) -> MappingFile:
    return MappingFile(secrets.read)


def test_it_is_an_identity_source_and_a_key_source(source: MappingFile) -> None:
    identities: IdentitySource = source
    keys: KeySource = source
    assert identities is keys


def test_nobody_is_mapped_before_the_first_load(source: MappingFile) -> None:
    assert isinstance(source.resolve("ada@example.org"), NotMapped)


def test_a_new_text_replaces_the_old_one(source: MappingFile) -> None:
    assert source.load(ADA, inline_keys=False) == frozenset()
    assert source.load(GRACE, inline_keys=False) == {"ada"}
    assert source.resolve("grace@example.org") == Identity("grace")
    assert isinstance(source.resolve("ada@example.org"), NotMapped)


def test_a_text_that_cannot_be_read_leaves_everybody_as_he_was(source: MappingFile) -> None:
    source.load(ADA, inline_keys=False)
    assert source.load("users_id_mapping: [", inline_keys=False) == frozenset()
    assert source.resolve("ada@example.org") == Identity("ada")
    assert [problem.place for problem in source.mapping.problems] == ["user mapping"]
    source.load(ADA, inline_keys=False)
    assert not source.mapping.problems


async def test_a_secret_is_read_every_time(source: MappingFile, secrets: Secrets) -> None:
    source.load(ADA, inline_keys=False)
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
    source: MappingFile, secrets: Secrets, material: bytes | None, message: str
) -> None:
    source.load(ADA, inline_keys=False)
    if material:
        secrets.data["ada-key", "id"] = material
    with pytest.raises(KeyUnavailable) as caught:
        await source.private_key("ada")
    assert str(caught.value).startswith(message)
    assert "secret!" not in str(caught.value)


async def test_a_user_who_is_not_mapped_has_no_key(source: MappingFile) -> None:
    with pytest.raises(KeyUnavailable, match="no entry of the user mapping has mapped_user ada"):
        await source.private_key("ada")
