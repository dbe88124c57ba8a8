"""The real test bed: a Slurm cluster behind sshd and a Kubernetes API server, on this machine, for as long as wanted.

For people: `python -m bed up`. For programs: `bed.up()`.
"""

from bed.errors import BedError
from bed.life import Bed, down, find, up
from bed.slurm.options import Options

__all__ = ["Bed", "BedError", "Options", "down", "find", "up"]
