"""Where InfluxDB is and who asks there, in one line: `https+influxdb://user:password@host:8086/database`.

The format is that of the library influxdb (InfluxDBClient.from_dsn), and so of the Jobbergate Agent's INFLUX_DSN.
"""

from dataclasses import dataclass, field
from typing import Final, Self
from urllib.parse import unquote, urlsplit

from yarl import URL

_PORT: Final = 8086
_SCHEMES: Final = {"influxdb": "http", "https+influxdb": "https"}
_UDP: Final = "udp+influxdb"
_EXAMPLE: Final = "https+influxdb://user:password@host:8086/database"


class UnusableDsnError(ValueError):
    """No InfluxDB can be asked by it. The message says why, and has no word of the DSN: there is a password in it."""

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"the DSN of InfluxDB {problem}; it should look like {_EXAMPLE}, with what is special in user and password "
            "percent-encoded"
        )


@dataclass(frozen=True, slots=True)
class Dsn:
    """A DSN that has been understood."""

    server: URL
    """Scheme, host and port."""
    database: str
    user: str
    """Empty: InfluxDB asks nobody who he is."""
    password: str = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a DSN.

        Raises:
            UnusableDsnError: it is none, or one that cannot be asked by.
        """
        line = text.strip()
        if not line.isprintable() or " " in line:
            raise UnusableDsnError("has spaces or control characters in it")
        try:
            parts = urlsplit(line)
            port = parts.port or _PORT
            user, password = unquote(parts.username or "", errors="strict"), unquote(parts.password or "", errors="strict")
            database = unquote(parts.path.removeprefix("/"), errors="strict")
        except ValueError:  # its words are of the DSN
            raise UnusableDsnError("is no address") from None
        if parts.scheme == _UDP:
            raise UnusableDsnError("begins with udp+influxdb://, by which InfluxDB can be written to, but not read from")
        if parts.scheme not in _SCHEMES:
            raise UnusableDsnError("begins with neither https+influxdb:// nor influxdb://")
        if not parts.hostname:
            raise UnusableDsnError("names no host")
        if not database or "/" in parts.path.removeprefix("/"):
            raise UnusableDsnError("does not end in the name of a database")
        if parts.query or parts.fragment:
            raise UnusableDsnError("has a ? or a # in it")
        if ":" in user:
            raise UnusableDsnError("names a user with a colon, whom HTTP does not know")
        try:
            server = URL.build(scheme=_SCHEMES[parts.scheme], host=parts.hostname, port=port)
        except ValueError:
            raise UnusableDsnError("names a host that cannot be one") from None
        return cls(server, database, user, password)
