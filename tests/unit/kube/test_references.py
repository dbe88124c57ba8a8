import pytest

from slurmgate.core.reasons import Reason
from slurmgate.kube.content import Kind
from slurmgate.kube.errors import UnreachableError
from slurmgate.kube.references import ReferenceNotAllowedError, ReferenceNotFoundError, ReferenceReader
from slurmgate.kube.session import ApiSession
from tests.unit.kube.fake import FakeApi, Trouble


@pytest.fixture
def references(api: ApiSession) -> ReferenceReader:
    return ReferenceReader(api)


async def test_text_bytes_and_secrets_are_read_as_they_are(fake: FakeApi, references: ReferenceReader) -> None:
    fake.put("configmaps", "team", "c", data={"text": "naïve\r\n"}, binaryData={"bytes": "AP8="})
    fake.put("secrets", "team", "s", data={"key": "czNjcmV0", "empty": ""})
    assert await references.read(Kind.CONFIG_MAP, "team", "c", "text") == "naïve\r\n".encode()
    assert await references.read(Kind.CONFIG_MAP, "team", "c", "bytes") == b"\x00\xff"
    assert await references.read(Kind.SECRET, "team", "s", "key") == b"s3cret"
    assert await references.read(Kind.SECRET, "team", "s", "empty") == b""


async def test_nothing_is_kept(fake: FakeApi, references: ReferenceReader) -> None:
    for text in ("a", "b"):
        fake.put("configmaps", "team", "c", data={"k": text})
        assert await references.read(Kind.CONFIG_MAP, "team", "c", "k") == text.encode()


@pytest.mark.parametrize("fields", [{}, {"data": None}, {"data": {"other": "x"}}])
async def test_a_missing_key_is_named(
    fake: FakeApi, references: ReferenceReader, fields: dict[str, dict[str, str] | None]
) -> None:
    fake.put("configmaps", "team", "c", **fields)
    with pytest.raises(ReferenceNotFoundError, match="ConfigMap team/c has no key 'k'") as raised:
        await references.read(Kind.CONFIG_MAP, "team", "c", "k")
    assert raised.value.reason is Reason.REFERENCE_NOT_FOUND


async def test_a_missing_object_is_named(references: ReferenceReader) -> None:
    with pytest.raises(ReferenceNotFoundError, match="Secret team/s does not exist"):
        await references.read(Kind.SECRET, "team", "s", "k")


@pytest.mark.parametrize("labels", [{}, {"slurmgate.dev/use": "false"}, {"use": "true"}])
async def test_a_secret_without_the_label_is_not_for_submissions(
    fake: FakeApi, references: ReferenceReader, labels: dict[str, str]
) -> None:
    fake.put("secrets", "team", "s", metadata={"labels": labels}, data={"k": "czNjcmV0"})
    with pytest.raises(ReferenceNotAllowedError, match=r"slurmgate\.dev/use") as raised:
        await references.read(Kind.SECRET, "team", "s", "k", require_use_label=True)
    assert raised.value.reason is Reason.REFERENCE_NOT_ALLOWED
    fake.put("secrets", "team", "s", metadata={"labels": {"slurmgate.dev/use": "true"}}, data={"k": "czNjcmV0"})
    assert await references.read(Kind.SECRET, "team", "s", "k", require_use_label=True) == b"s3cret"


async def test_config_maps_need_no_label(fake: FakeApi, references: ReferenceReader) -> None:
    fake.put("configmaps", "team", "c", data={"k": "v"})
    assert await references.read(Kind.CONFIG_MAP, "team", "c", "k", require_use_label=True) == b"v"


async def test_a_refusal_says_what_an_admin_has_to_do(fake: FakeApi, references: ReferenceReader) -> None:
    fake.troubles.append(Trouble(403))
    with pytest.raises(ReferenceNotAllowedError, match=r"may not read Secret team/s: .* submissionNamespaces"):
        await references.read(Kind.SECRET, "team", "s", "k")


async def test_an_api_server_that_does_not_answer_is_no_missing_object(fake: FakeApi, references: ReferenceReader) -> None:
    fake.troubles.extend([Trouble(cut=True)] * 2)  # aiohttp repeats a GET whose kept connection was dead
    with pytest.raises(UnreachableError):
        await references.read(Kind.SECRET, "team", "s", "k")
