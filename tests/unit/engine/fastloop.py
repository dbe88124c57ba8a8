"""An event loop whose time passes at once: hours of back-off take milliseconds, and always the same way."""

import asyncio
import selectors

from typing_extensions import override


class _Impatient(selectors.SelectSelector):
    """Never waits. What would have been waited for is put on the loop's clock."""

    def __init__(self) -> None:
        super().__init__()
        self.waited = 0.0

    @override
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("nothing will ever happen any more: a test waits for what does not come")
            self.waited += timeout
        return ready


class FastLoop(asyncio.SelectorEventLoop):
    """Its `time()` begins at 0 and jumps to whatever comes next."""

    def __init__(self) -> None:
        self._impatient = _Impatient()
        super().__init__(self._impatient)

    @override
    def time(self) -> float:
        return self._impatient.waited
