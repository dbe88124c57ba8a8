"""How much room a submission takes while it is on its way: in memory, with all that it names, and on the login node. Pure."""

from slurmgate.resources.submission import JobSubmissionSpec

LOOK_UP_WEIGHT = 8
"""A look-up is four commands, squeue and sacct among them; what is sent shares two with others."""
_SMALL_BYTES = 64 * 1024


def weight(spec: JobSubmissionSpec) -> int:
    """A small submission weighs 1; each 64 KiB, and each thing that is yet to be read, whatever its size, as much again."""
    contents = [spec.script.inline, *(content for file in spec.files for content in (file.inline, file.inline_base64))]
    size = sum(len(content) for content in contents if content)
    to_be_read = (spec.script.inline is None) + sum(file.inline is None and file.inline_base64 is None for file in spec.files)
    return 1 + size // _SMALL_BYTES + to_be_read
