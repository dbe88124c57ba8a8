"""Directories as they are: OpenLDAP, and Samba as an Active Directory."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bed.directory import samba as ad
from bed.directory import slapd as openldap
from bed.directory.people import PASSWORD
from bed.directory.samba import Samba
from bed.directory.slapd import Slapd
from bed.keys import server_key
from slurmgate.core.reasons import Reason
from slurmgate.engine.people.directory import DirectoryOracle
from slurmgate.engine.ports import ReferenceProblem
from slurmgate.identity.asked import Account, Unanswered
from slurmgate.identity.ldap import Directory
from slurmgate.identity.mapping import NotMapped
from slurmgate.plugins.thread import PluginThread
from slurmgate.resources.identity import Ldap
from slurmgate.telemetry.metrics import Metrics

KIRBY, DOVAHKIIN = "kirby@example.org", "dovahkiin@example.org"
NOBODY_LISTENS = "ldaps://127.0.0.1:9"


@dataclass
class Secrets:
    """The operator's namespace: a password and an authority."""

    authority: str
    password: str = PASSWORD
    gone: bool = False

    async def of_operator(self, kind: str, name: str, key: str) -> bytes:
        if self.gone:
            raise ReferenceProblem(Reason.REFERENCE_NOT_FOUND, f"{kind} {name} does not exist")
        return {("Secret", "bind"): f"{self.password}\n", ("ConfigMap", "ca"): self.authority}[kind, name].encode()


@dataclass
class Site:
    """A cluster whose people are in a directory. Each question is asked of one that has been asked nothing before."""

    secrets: Secrets
    spec: dict[str, Any]
    opened: list[DirectoryOracle] = field(default_factory=list)

    def oracle(self, **changes: Any) -> DirectoryOracle:
        source = Ldap.model_validate({**self.spec, **changes})
        thread = PluginThread(
            "valhalla", partial(Directory, source), Metrics(version="0").directory_calls, kind="the directory of"
        )
        references: Any = self.secrets
        self.opened.append(DirectoryOracle(source, thread, references))
        return self.opened[-1]

    async def who(self, mail: str = KIRBY, **changes: Any) -> Account | NotMapped:
        return await self.oracle(**changes).account_of(mail)

    async def why_not(self, **changes: Any) -> str:
        """Why it cannot be asked."""
        with pytest.raises(Unanswered) as why:
            await self.who(**changes)
        words = str(why.value)
        assert words.startswith("the directory of valhalla ")
        assert PASSWORD not in words
        return words


def spec(server: Slapd | Samba, name: str, base: str, **fields: Any) -> dict[str, Any]:
    return {
        "servers": [server.tls_url],
        "certificateAuthority": {"configMapKeyRef": {"name": "ca", "key": "ca.crt"}},
        "bind": {"name": name, "passwordSecretRef": {"name": "bind", "key": "password"}},
        "base": base,
        "timeoutSeconds": 2,
        **fields,
    }


async def ended(site: Site) -> AsyncIterator[Site]:
    yield site
    for oracle in site.opened:
        oracle.close()


# OpenLDAP ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def slapd() -> Iterator[Slapd]:
    with openldap.slapd() as running:
        yield running


@pytest.fixture
async def site(slapd: Slapd) -> AsyncIterator[Site]:
    async for each in ended(Site(Secrets(slapd.authority), spec(slapd, openldap.SERVICE_NAME, openldap.PEOPLE))):
        yield each


async def test_a_person_is_found_by_tls(site: Site) -> None:
    assert await site.who() == Account(user="kirby")
    assert await site.who("KIRBY@example.org") == Account(user="kirby")


async def test_a_person_is_found_by_starttls(site: Site, slapd: Slapd) -> None:
    assert await site.who(servers=[slapd.url], startTls=True) == Account(user="kirby")
    assert await site.who(servers=[slapd.url]) == Account(user="kirby"), "it is said in clear without the word"


async def test_home_account_and_key_are_said_by_attributes(site: Site) -> None:
    found = await site.who(
        homeAttribute="homeDirectory", accountAttribute="departmentNumber", keySecretTemplate="slurm-key-{user}"
    )
    assert isinstance(found, Account)
    assert (found.home, found.slurm_account) == ("/home/kirby", "nintendo")
    assert found.key
    assert found.key.name == "slurm-key-kirby"


@pytest.mark.parametrize(
    ("mail", "words"),
    [
        ("luigi@example.org", "luigi@example.org is nobody in the directory"),
        ("twin@example.org", "twin@example.org is several people in the directory: uid=twin1,"),
        ("root@example.org", "user: root is a system account: jobs belong to people"),
        ("*", "is nobody"),
        ("*@example.org", "is nobody"),
        ("kirby*", "is nobody"),
        ("kirby@example.org)(uid=*", "is nobody"),
        ("x@x)(|(uid=kirby", "is nobody"),
        ("\\2a@example.org", "is nobody"),
    ],
)
async def test_nobody_is_anybody_else(site: Site, mail: str, words: str) -> None:
    found = await site.who(mail)
    assert isinstance(found, NotMapped)
    assert words in found.message


async def test_a_star_in_an_address_is_a_star(site: Site) -> None:
    assert await site.who("a*b@example.org") == Account(user="star")


async def test_an_authority_that_did_not_sign_is_not_believed(site: Site, tmp_path: Path) -> None:
    site.secrets.authority = server_key(tmp_path / "key.pem", "127.0.0.1").public
    assert "certificate verify failed" in await site.why_not()


async def test_without_an_authority_those_of_the_system_are_asked(site: Site) -> None:
    assert "certificate verify failed" in await site.why_not(certificateAuthority=None)


async def test_an_authority_that_is_none_is_said_to_be_none(site: Site) -> None:
    site.secrets.authority = "not a certificate"
    assert "cadata does not contain a certificate" in await site.why_not()


@pytest.mark.parametrize("by", ["tls_url", "url"])
async def test_a_server_has_to_be_whom_its_certificate_names(site: Site, slapd: Slapd, by: str) -> None:
    elsewhere = getattr(slapd, by).replace("127.0.0.1", "localhost")
    assert "certificate is not valid for 'localhost'" in await site.why_not(servers=[elsewhere], startTls=True)


async def test_a_wrong_password_is_tried_once_and_a_new_one_at_once(site: Site, slapd: Slapd) -> None:
    """Directories lock accounts after a few."""
    oracle = site.oracle(servers=[slapd.tls_url, slapd.url])
    site.secrets.password = "wrong"
    for _ in range(3):
        with pytest.raises(Unanswered, match=r"refuses the password of cn=slurmgate,dc=example,dc=org: invalidCredentials"):
            await oracle.account_of(KIRBY)
    site.secrets.password = PASSWORD
    assert await oracle.account_of(KIRBY) == Account(user="kirby")


async def test_an_empty_password_is_no_bind_as_nobody(site: Site) -> None:
    site.secrets.password = ""
    assert "the password is empty" in await site.why_not()


async def test_a_secret_that_is_not_there_is_waited_for(site: Site) -> None:
    site.secrets.gone = True
    assert "cannot be asked: Secret bind does not exist" in await site.why_not()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"base": "ou=nobody,dc=example,dc=org"}, "ou=nobody,dc=example,dc=org: noSuchObject"),
        ({"base": "people"}, "people: invalidDNSyntax"),
        ({"filter": "(&(mail={mail})"}, "invalid filter"),
        ({"restrictToGroup": {"name": openldap.group("gone")}}, "cn=gone,ou=groups,dc=example,dc=org: noSuchObject"),
        ({"servers": [NOBODY_LISTENS]}, f"{NOBODY_LISTENS}: socket connection error while opening: [Errno 111]"),
        ({"servers": ["ldaps://nobody.invalid"]}, "ldaps://nobody.invalid: invalid server address"),
    ],
)
async def test_a_mistake_in_the_cluster_is_nobodys_fault(site: Site, changes: dict[str, Any], words: str) -> None:
    assert words in await site.why_not(**changes)


@pytest.mark.parametrize(
    ("mail", "group", "is_in"),
    [
        (KIRBY, "gamers", True),
        (KIRBY, "everybody", True),
        (KIRBY, "adventurers", False),
        (DOVAHKIIN, "everybody", True),
        (DOVAHKIIN, "outer", True),
        (DOVAHKIIN, "gamers", False),
    ],
)
async def test_only_a_group_and_the_groups_in_it(site: Site, mail: str, group: str, *, is_in: bool) -> None:
    found = await site.who(mail, restrictToGroup={"name": openldap.group(group)})
    assert isinstance(found, Account) is is_in


async def test_the_next_server_is_asked_if_one_is_down_and_first_from_then_on(site: Site, slapd: Slapd) -> None:
    oracle = site.oracle(servers=[NOBODY_LISTENS, slapd.url, slapd.tls_url])
    assert await oracle.account_of(KIRBY) == Account(user="kirby")
    assert await oracle.account_of(DOVAHKIIN) == Account(user="dovahkiin")


async def test_one_that_comes_back_is_asked_again(site: Site, slapd: Slapd) -> None:
    oracle = site.oracle()
    slapd.kill()
    try:
        with pytest.raises(Unanswered, match="Connection refused"):
            await oracle.account_of(KIRBY)
    finally:
        slapd.start()
    assert await eventually(oracle) == Account(user="kirby")


async def eventually(oracle: DirectoryOracle) -> Account | NotMapped:
    """What it says once it says something: after a failure there is a pause."""
    async with asyncio.timeout(10):
        while True:
            try:
                return await oracle.account_of(KIRBY)
            except Unanswered:
                await asyncio.sleep(0.1)


@pytest.mark.parametrize("by", ["tls_url", "url"])
async def test_one_that_hangs_holds_nobody_up_and_is_waited_for(site: Site, slapd: Slapd, by: str) -> None:
    oracle = site.oracle(servers=[getattr(slapd, by)], startTls=True, timeoutSeconds=1)
    longest = 0.0
    slapd.freeze()
    try:
        asking = asyncio.gather(*(oracle.account_of(KIRBY) for _ in range(50)), return_exceptions=True)
        began = time.monotonic()
        while not asking.done():
            before = time.monotonic()
            await asyncio.sleep(0.01)
            longest = max(longest, time.monotonic() - before)
        answers = await asking
    finally:
        slapd.thaw()
    assert all(isinstance(answer, Unanswered) for answer in answers)
    assert time.monotonic() - began < 2 * 2
    assert longest < 0.5, "the event loop was held up"
    assert await eventually(oracle) == Account(user="kirby")


async def test_one_that_hangs_is_passed_over(site: Site, slapd: Slapd) -> None:
    with openldap.slapd() as other:
        site.secrets.authority += other.authority
        oracle = site.oracle(servers=[other.tls_url, slapd.tls_url], timeoutSeconds=1)
        other.freeze()
        assert await oracle.account_of(KIRBY) == Account(user="kirby")
        began = time.monotonic()
        assert await oracle.account_of(DOVAHKIIN) == Account(user="dovahkiin")
        assert time.monotonic() - began < 1


async def test_what_is_changed_there_holds_from_the_next_question_on(site: Site, slapd: Slapd) -> None:
    oracle = site.oracle()
    mario = f"dn: uid=mario,{openldap.PEOPLE}\nchangetype: modify\nreplace: mail\nmail: "
    slapd.change(f"{mario}jumpman@example.org\n")
    try:
        assert await oracle.account_of("jumpman@example.org") == Account(user="mario")
        assert isinstance(await oracle.account_of("mario@example.org"), NotMapped)
    finally:
        slapd.change(f"{mario}mario@example.org\n")


async def test_a_reference_to_another_server_is_not_followed(site: Site, slapd: Slapd) -> None:
    """It could be anybody's, and would be told our password."""
    base = openldap.SUFFIX
    slapd.change(
        f"dn: ou=elsewhere,{base}\nchangetype: add\nobjectClass: referral\nobjectClass: extensibleObject\n"
        f"ou: elsewhere\nref: ldap://127.0.0.1:9/{base}\n"
    )
    assert await site.who(base=base) == Account(user="kirby")
    assert "referral" in await site.why_not(base=f"ou=elsewhere,{base}")


# Active Directory ----------------------------------------------------------------------------------------------------

NTLM = {"method": "NTLM", "name": f"{ad.DOMAIN}\\slurmgate", "passwordSecretRef": {"name": "bind", "key": "password"}}


@pytest.fixture(scope="module")
def samba() -> Iterator[Samba]:
    with ad.samba() as running:
        yield running


@pytest.fixture
async def domain(samba: Samba) -> AsyncIterator[Site]:
    found = spec(samba, ad.SERVICE_NAME, ad.SUFFIX, userAttribute="sAMAccountName")
    async for each in ended(Site(Secrets(samba.authority), found)):
        yield each


Ask = Callable[[Site], Any]


@pytest.mark.slow
async def test_an_active_directory_knows_people_by_mail_and_by_principal_name(domain: Site, samba: Samba) -> None:
    assert await domain.who(homeAttribute="unixHomeDirectory") == Account(user="kirby", home="/home/kirby")
    assert await domain.who(servers=[samba.url], startTls=True) == Account(user="kirby")
    both = "(&(objectClass=user)(|(mail={mail})(userPrincipalName={mail})))"
    assert await domain.who("kirby@ad.example.org", filter=both) == Account(user="kirby")
    assert await domain.who("a*b@example.org") == Account(user="star")
    for nobody in ("luigi@example.org", "*@example.org", "twin@example.org", "root@example.org"):
        assert isinstance(await domain.who(nobody), NotMapped)


@pytest.mark.slow
@pytest.mark.parametrize("membership", ["InChain", "MemberOf"])
async def test_groups_in_groups_of_an_active_directory(domain: Site, membership: str) -> None:
    async def is_in(mail: str, group: str) -> bool:
        found = await domain.who(mail, restrictToGroup={"name": ad.name_of(group), "membership": membership})
        return isinstance(found, Account)

    assert [await is_in(KIRBY, group) for group in ("gamers", "everybody", "adventurers")] == [True, True, False]
    assert [await is_in(DOVAHKIIN, group) for group in ("gamers", "everybody", "outer")] == [False, True, True]
    assert "noSuchObject" in await domain.why_not(restrictToGroup={"name": ad.name_of("gone"), "membership": membership})


@pytest.mark.slow
async def test_a_wrong_password_is_said_in_the_words_of_the_active_directory(domain: Site) -> None:
    domain.secrets.password = "wrong"
    assert "invalidCredentials 80090308: LdapErr:" in await domain.why_not()


@pytest.mark.slow
async def test_ntlm_is_spoken_only_where_it_is_chosen(domain: Site, samba: Samba) -> None:
    assert await domain.who(bind=NTLM) == Account(user="kirby")
    assert await domain.who(bind=NTLM, servers=[samba.url], startTls=True) == Account(user="kirby")
    domain.secrets.password = "wrong"
    assert "refuses the password of VALHALLA\\slurmgate: invalidCredentials" in await domain.why_not(bind=NTLM)
