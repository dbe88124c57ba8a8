"""Variables that steer Slurm, the shell or the loader: see also tests/operated/test_refused.py."""

from tests.security.attempt import CANARY, Ground, Submitting, canary, reached_sbatch
from tests.security.mutants import STEERED

WORDS = "this name steers Slurm, the shell or the loader"
VARIABLES = {
    "LD_PRELOAD": "/tmp/evil.so",
    "LD_LIBRARY_PATH": "/tmp",
    "LD_AUDIT": "/tmp/evil.so",
    "SLURM_CONF": "/tmp/slurm.conf",
    "SBATCH_PARTITION": "night",
    "SBATCH_EXPORT": "NONE",
    "SRUN_EXPORT_ENV": "NONE",
    "SALLOC_ACCOUNT": "pc",
    "ENV": "/tmp/evil.sh",
    "PS4": "$(id)",
    "IFS": "/",
    "SHELLOPTS": "xtrace",
}


def start_file(ground: Ground) -> None:
    """What bash is to read before the script."""
    ground.world.write(f"/tmp/start-{ground.round}.sh", 'touch "$TRACE"\n', user="kirby", mode="0644")


ATTEMPTS = (
    *(
        Submitting(f"variable {name}", STEERED, WORDS, reached_sbatch, {"environment": [{"name": name, "value": value}]})
        for name, value in VARIABLES.items()
    ),
    Submitting(
        "a start file by BASH_ENV",
        STEERED,
        WORDS,
        canary,
        {"environment": [{"name": "BASH_ENV", "value": "/tmp/start-ROUND.sh"}, {"name": "TRACE", "value": CANARY}]},
        prepare=start_file,
    ),
)
