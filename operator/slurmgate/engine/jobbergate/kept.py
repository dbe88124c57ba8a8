"""What was compared with Jobbergate and waits to be sent, so that it need not be read again."""

from slurmgate.engine.jobbergate.manifests import Manifest

MOST = 1000
MOST_BYTES = 16 * 1024 * 1024
"""Of scripts."""


class Kept:
    """Manifests by the uid of their JobSubmission, each with when it was read; the oldest go when there is no more room."""

    def __init__(self) -> None:
        self._manifests: dict[str, tuple[Manifest, float]] = {}
        self._bytes = 0

    def get(self, uid: str) -> tuple[Manifest, float] | None:
        """What is kept of this one."""
        return self._manifests.get(uid)

    def keep(self, uid: str, manifest: Manifest, since: float) -> None:
        """Keep it, or what is newer of it."""
        self.drop(uid)
        self._manifests[uid] = manifest, since
        self._bytes += _size(manifest)
        while self._bytes > MOST_BYTES or len(self._manifests) > MOST:
            self.drop(next(iter(self._manifests)))

    def drop(self, uid: str) -> None:
        """It is not needed any more."""
        if kept := self._manifests.pop(uid, None):
            self._bytes -= _size(kept[0])


def _size(manifest: Manifest) -> int:
    return len(manifest.script or b"")
