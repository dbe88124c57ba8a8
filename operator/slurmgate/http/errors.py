"""What can go wrong when somebody is asked by HTTP.

    HttpError                    there is an answer, and not the one that was asked for
    ├── TooLargeError            it is more than we take
    ├── UnusableError            an address or a certificate that we were given is none: nothing was asked
    └── UnreachableError         no answer: nobody can say whether it was done

Those who are asked have more of their own, see `jobbergate.errors`.
"""

_LONGEST_MESSAGE = 512


class HttpError(Exception):
    """The answer: HTTP status and its words (0 and our own if there was none)."""

    retryable = True
    """Whether the same request may succeed later without anybody changing what it is about."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class TooLargeError(HttpError):
    """What is answered is more than we take."""

    retryable = False


class UnusableError(HttpError):
    """What we were given cannot be used: an address that is none, a certificate that is none."""

    retryable = False

    def __init__(self, message: str) -> None:
        super().__init__(0, message)


class UnreachableError(HttpError):
    """No answer. What was asked may have been done."""

    def __init__(self, message: str) -> None:
        super().__init__(0, message)


def shortened(words: str) -> str:
    """Somebody else's words as they fit into a message: one line, and not a long one."""
    line = " ".join(words.split())
    return line if len(line) <= _LONGEST_MESSAGE else line[: _LONGEST_MESSAGE - 1] + "…"
