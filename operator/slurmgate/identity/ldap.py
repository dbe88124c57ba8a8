"""A directory, asked with ldap3. Everything here blocks: whoever asks does so in a thread of its own."""

import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeVar
from urllib.parse import urlsplit

from ldap3 import BASE, DEREF_NEVER, LEVEL, NONE, SUBTREE, Connection, Server, Tls
from ldap3.core.exceptions import LDAPExceptionError
from ldap3.core.results import RESULT_INVALID_CREDENTIALS, RESULT_SIZE_LIMIT_EXCEEDED, RESULT_SUCCESS
from ldap3.protocol.sasl.sasl import send_sasl_negotiation
from ldap3.utils.ntlm import NtlmClient
from typing_extensions import override

from slurmgate.identity import directory
from slurmgate.identity.asked import Account
from slurmgate.identity.directory import Hit
from slurmgate.identity.mapping import NotMapped
from slurmgate.resources.identity import Bind, BindMethod, DirectoryGroup, Ldap, Membership, Scope
from slurmgate.ssh.breaker import LOGIN_NODE, REFUSED

_Scope = Literal["BASE", "LEVEL", "SUBTREE"]
_SCOPES: Final[dict[Scope, _Scope]] = {Scope.SUBTREE: SUBTREE, Scope.ONE_LEVEL: LEVEL}
_PORTS: Final = {"ldap": 389, "ldaps": 636}
_TWO: Final = 2
"""Entries are asked for at most: then it is known that it is not one, and no server has more than a page to say."""
_MOST_WORDS: Final = 300

T = TypeVar("T")


class DirectoryDown(Exception):  # noqa: N818 - a state of affairs, read as a sentence where it is caught
    """The directory could not be asked. The message says why, and nothing about who somebody is."""


class _PasswordRefused(DirectoryDown):
    """It does not take our password. No other server of the same directory does."""


@dataclass(frozen=True, slots=True)
class Access:
    """What the directory is asked with, as it is now."""

    password: str = field(repr=False)
    authorities: str | None = field(repr=False)
    """Certificates (PEM) to trust, None for those of the system."""


@dataclass(frozen=True, slots=True)
class _Pause:
    """It is not asked until then: many who ask at once are one failure, and accounts are locked after a few wrong passwords."""

    why: str
    access: Access
    until: float


class Directory:
    """A directory with all its servers. A connection lasts for one question: nothing is kept that could have gone stale."""

    def __init__(self, source: Ldap, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._clock = clock
        self._first = 0
        """The server that answered last."""
        self._failures = 0
        """In a row."""
        self._pause: _Pause | None = None

    def account_of(self, mail: str, access: Access) -> Account | NotMapped:
        """Who this e-mail address is. Raises DirectoryDown."""
        return self._ask(access, lambda connection: self._find(connection, mail))

    def try_out(self, access: Access) -> None:
        """See whether it can be asked. Raises DirectoryDown."""
        self._ask(access, lambda connection: _read(connection, self._source.base, []))

    def _find(self, connection: Connection, mail: str) -> Account | NotMapped:
        source = self._source
        hits = _search(
            connection,
            source.base,
            directory.search_filter(source.filter, mail),
            scope=_SCOPES[source.scope],
            attributes=directory.attributes(source),
        )
        hit = directory.the_one(mail, hits)
        if isinstance(hit, NotMapped):
            return hit
        if source.restrict_to_group and not _belongs(connection, hit, source.restrict_to_group):
            return NotMapped(f"{mail} is not in {source.restrict_to_group.name}")
        return directory.account_of(mail, hit, source)

    # Servers -----------------------------------------------------------------------------------------------------

    def _ask(self, access: Access, question: Callable[[Connection], T]) -> T:
        pause = self._pause
        if pause and pause.access == access and self._clock() < pause.until:
            raise DirectoryDown(pause.why)
        try:
            answer = self._ask_in_turn(access, question)
        except DirectoryDown as down:
            self._failures += 1
            pace = REFUSED if isinstance(down, _PasswordRefused) else LOGIN_NODE
            self._pause = _Pause(str(down), access, self._clock() + pace.pause(self._failures, 0))
            raise
        self._failures, self._pause = 0, None
        return answer

    def _ask_in_turn(self, access: Access, question: Callable[[Connection], T]) -> T:
        servers, troubles = self._source.servers, []
        for number in range(self._first, self._first + len(servers)):
            url = servers[number % len(servers)]
            try:
                with _bound(url, self._source, access) as connection:
                    answer = question(connection)
            except _PasswordRefused:
                raise
            except Exception as error:  # noqa: BLE001 - ldap3 raises whatever the garbage of a broken server leads it into
                troubles.append(f"{url}: {_one_line(str(error) or type(error).__name__)}")
                continue
            self._first = number % len(servers)
            return answer
        raise DirectoryDown("; ".join(troubles))


class _Verified(Tls):
    """TLS with a server that has proven by its certificate who it is, names and addresses alike.

    ldap3's own checks nothing by default, and no addresses.
    """

    def __init__(self, authorities: str | None) -> None:
        super().__init__(validate=ssl.CERT_REQUIRED)
        self._context = ssl.create_default_context(cadata=authorities)

    @override
    def wrap_socket(self, connection: Connection, do_handshake: bool = False) -> None:
        connection.socket = self._context.wrap_socket(connection.socket, server_hostname=connection.server.host)


@contextmanager
def _bound(url: str, source: Ldap, access: Access) -> Iterator[Connection]:
    """A connection over which the directory knows us. `ldap://` begins with StartTLS, whatever the resource says."""
    address = urlsplit(url)
    server = Server(
        address.hostname or "",
        port=address.port or _PORTS[address.scheme],
        use_ssl=address.scheme == "ldaps",
        tls=_Verified(access.authorities),
        get_info=NONE,
        connect_timeout=source.timeout_seconds,
    )
    connection = Connection(
        server,
        user=source.bind.name,
        password=access.password,
        authentication="SIMPLE",
        auto_referrals=False,
        auto_escape=False,  # filters are escaped before
        check_names=False,
        read_only=True,
        receive_timeout=source.timeout_seconds,
    )
    try:
        connection.open(read_server_info=False)
        if not server.ssl:
            connection.start_tls(read_server_info=False)
        if not isinstance(connection.socket, ssl.SSLSocket):
            raise DirectoryDown("TLS has not begun, so that nothing is said")
        _bind(connection, source.bind, access.password)
        yield connection
    except LDAPExceptionError as error:  # which has its words wrapped up twice, or more often
        raise DirectoryDown(_one_line(connection.last_error or str(error))) from None
    finally:
        with suppress(Exception):
            connection.unbind()
        with suppress(Exception):  # what never was really open is left to us
            connection.socket.close()


def _bind(connection: Connection, bind: Bind, password: str) -> None:
    if not password:
        raise DirectoryDown("the password is empty")  # for LDAP that is a bind as nobody, which is answered with success
    if bind.method is BindMethod.NTLM:
        _bind_by_ntlm(connection, bind.name, password)
    else:
        connection.bind(read_server_info=False)
    result = connection.result
    if result["result"] == RESULT_INVALID_CREDENTIALS:
        raise _PasswordRefused(f"the directory refuses the password of {bind.name}: {_said(result)}")
    _check(result)


def _bind_by_ntlm(connection: Connection, name: str, password: str) -> None:
    """NTLMSSP's three messages as SASL GSS-SPNEGO, which Samba and Microsoft take; ldap3's own way only Microsoft takes."""
    domain, _, user = name.partition("\\")
    negotiate: Any = send_sasl_negotiation  # it has no types, nor has what follows
    client: Any = NtlmClient(domain=domain, user_name=user, password=password)
    connection.sasl_mechanism = "GSS-SPNEGO"
    connection.sasl_in_progress = True
    try:
        answer = negotiate(connection, None, client.create_negotiate_message())
        if not answer.get("saslCreds"):
            return  # refused; the result says so
        client.parse_challenge_message(answer["saslCreds"])
        negotiate(connection, None, client.create_authenticate_message())
    finally:
        connection.sasl_in_progress = False


# Questions -----------------------------------------------------------------------------------------------------------


def _belongs(connection: Connection, person: Hit, group: DirectoryGroup) -> bool:
    there = _read(connection, group.name, [])  # a group that is not there is a mistake in the SlurmCluster, and nobody's fault
    if group.membership is Membership.IN_CHAIN:
        return bool(_search(connection, person.name, directory.in_chain(there.name), scope=BASE, attributes=[]))

    def groups_of(name: str) -> Sequence[str]:
        return _read(connection, name, [directory.MEMBER_OF]).of(directory.MEMBER_OF)

    return directory.belongs(person, there.name, groups_of=groups_of)


def _read(connection: Connection, name: str, attributes: Sequence[str]) -> Hit:
    """The entry of this name."""
    hits = _search(connection, name, "(objectClass=*)", scope=BASE, attributes=attributes)
    if not hits:
        raise DirectoryDown(f"{name} may not be read")
    return hits[0]


def _search(connection: Connection, base: str, query: str, *, scope: _Scope, attributes: Sequence[str]) -> list[Hit]:
    connection.search(
        base,
        query,
        search_scope=scope,
        dereference_aliases=DEREF_NEVER,
        attributes=[*attributes] or None,
        size_limit=_TWO,
    )
    if connection.result["result"] != RESULT_SIZE_LIMIT_EXCEEDED:
        _check(connection.result, about=base)
    return [
        Hit(entry["dn"], {name.lower(): _texts(values) for name, values in entry["raw_attributes"].items()})
        for entry in connection.response or ()
        if entry["type"] == "searchResEntry"  # and no reference to another server, which is not followed
    ]


def _texts(values: Sequence[bytes]) -> tuple[str, ...]:
    return tuple(value.decode(errors="replace") for value in values)


def _check(result: dict[str, object], *, about: str = "") -> None:
    if result["result"] != RESULT_SUCCESS:
        raise DirectoryDown(f"{about}: {_said(result)}" if about else _said(result))


def _said(result: dict[str, object]) -> str:
    return _one_line(f"{result['description']} {result['message'] or ''}")


def _one_line(text: str) -> str:
    words = " ".join(text.replace("\0", "").split())
    return words if len(words) <= _MOST_WORDS else f"{words[:_MOST_WORDS]}..."
