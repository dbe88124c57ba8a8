"""Which JobSubmission stands for which submission in Jobbergate."""

from collections.abc import Callable, Iterator

from slurmgate.core.record import Record


class Roster:
    """The submissions in Jobbergate that have a JobSubmission, by their numbers there."""

    def __init__(self, record_of: Callable[[str], Record | None]) -> None:
        """`record_of` knows the record with a token, if it is held."""
        self._record_of = record_of
        self._tokens: dict[int, str] = {}
        self._first: dict[int, str] = {}
        """Those that were recognised, and first."""

    def __contains__(self, number: int) -> bool:
        return number in self._tokens

    def __iter__(self) -> Iterator[int]:
        return iter(self._tokens)

    def __len__(self) -> int:
        return len(self._tokens)

    def enter(self, number: int, token: str) -> None:
        """There is this JobSubmission for it now; its record may still be on its way to us."""
        self._tokens[number] = token

    def recognise(self, number: int, token: str) -> None:
        """This is its JobSubmission."""
        self._first.setdefault(number, token)
        self._tokens[number] = token

    def strike(self, number: int, token: str) -> bool:
        """This JobSubmission does not stand for it any more; whether it did."""
        if self._first.get(number) == token:
            del self._first[number]
        if self._tokens.get(number) != token:
            return False
        del self._tokens[number]
        return True

    def held(self, number: int) -> Record | None:
        """The record of a submission in Jobbergate, whether it has been recognised already or not."""
        return self._record_of(self._tokens.get(number, ""))

    def recognised(self, number: int) -> Record | None:
        """The record, once it is known to be that submission's."""
        record = self.held(number)
        return record if record and record.status.jobbergate else None

    def other(self, number: int, record: Record) -> Record | None:
        """Another JobSubmission of the same submission: of before the namespace that is configured was changed."""
        first = self._record_of(self._first.get(number, ""))
        return first if first and first.token != record.token else None
