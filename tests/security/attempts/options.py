"""Options of sbatch that change who runs, where, or what Slurmgate hears of it, in every spelling."""

from tests.security.attempt import Ground, Submitting, reached_sbatch
from tests.security.mutants import LITERAL, OBLIVIOUS, PERMISSIVE, TALKATIVE
from tests.world import Submission

FOREIGN = "00000000-0000-4000-8000-000000000000"
REFUSED = "OptionNotAllowed: .*{}.* is refused"

ARGUMENTS = {
    "a user": (["--uid=dovahkiin"], "uid"),
    "a user in the next word": (["--uid", "7003"], "uid"),
    "a group": (["--gid=pc"], "gid"),
    "a directory behind other letters": (["-HkD/tmp"], "chdir|hold"),
    "a program to wrap": (["--wrap=id"], "wrap"),
    "variables from a file": (["--export-file=/etc/passwd"], "export-file"),
    "another cluster": (["--cluster=elsewhere"], "clusters"),
    "silence": (["-Q"], "quiet"),
    "waiting": (["-W"], "wait"),
    "another context": (["--context=system_u"], "context"),
}
DIRECTIVES = {
    "a user": "#SBATCH --uid=7003",
    "a user behind a tabulator": "#SBATCH\t--uid=7003",
    "a user behind another option": "#SBATCH -n 1 --comment='a b' --uid 7003",
    "a user in quotes": '#SBATCH "--uid=7003"',
    "a user half in quotes": "#SBATCH --u'id'=7003",
    "a user behind a backslash": "#SBATCH --ui\\d=7003",
    "a user after comments and blank lines": "# innocent\n\n  \n# more\n#SBATCH --uid=7003",
    "a user of the second component": "#SBATCH -n1\n#SBATCH hetjob\n#SBATCH -n1 --uid=7003",
    "a group": "#SBATCH --gid=0",
    "a directory by its letter": "#SBATCH -n1 -D/tmp",
    "another cluster by its letter": "#SBATCH -Melsewhere",
}
ABBREVIATIONS = {
    "the user": "--ui=7003",
    "the group": "--gi=0",
    "the directory": "--chd=/tmp",
    "the variables from a file": "--export-f=/etc/passwd",
}


def comes_first(ground: Ground, submission: Submission) -> bool:
    """Who looks for the token of Slurm's record finds somebody else's."""
    fields = ("--allocations", "--allusers", "--format=submitline%300")
    told = ground.world.slurm("sacct", "--noheader", "--parsable2", *fields)
    return f"--comment=slurmgate:{FOREIGN} slurmgate:{submission.token}" in told


ATTEMPTS = (
    *(
        Submitting(
            f"{what} as an argument", PERMISSIVE, REFUSED.format(option), reached_sbatch, {"sbatchArguments": list(words)}
        )
        for what, (words, option) in ARGUMENTS.items()
    ),
    *(
        Submitting(
            f"{what} as a directive",
            OBLIVIOUS,
            REFUSED.format("line [0-9]+ of the script: --(uid|gid|chdir|clusters)"),
            reached_sbatch,
            script=f"{lines}\ntrue",
        )
        for what, lines in DIRECTIVES.items()
    ),
    *(
        Submitting(f"{what} abbreviated", LITERAL, REFUSED.format(""), reached_sbatch, {"sbatchArguments": [word]})
        for what, word in ABBREVIATIONS.items()
    ),
    Submitting(
        "somebody's token in the comment",
        TALKATIVE,
        "Completed",
        comes_first,
        {"sbatchArguments": [f"--comment=slurmgate:{FOREIGN}"]},
    ),
)
