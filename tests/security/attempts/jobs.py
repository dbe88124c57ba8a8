"""Other people's jobs: following, adopting and claiming them."""

import json
from dataclasses import dataclass

from typing_extensions import override

from bed import valhalla
from tests.security.attempt import LAB, Ground, Submitting
from tests.security.mutants import GREEDY, GULLIBLE, ONE_FOR_ALL
from tests.world import Submission

SERVED = "served"
"""A cluster whose service user sees everybody's jobs."""


@dataclass(frozen=True)
class Following(Submitting):
    """A job that somebody else has submitted himself."""

    @override
    def set_out(self, ground: Ground) -> None:
        job_id = ground.world.slurm("sbatch", "--parsable", "--hold", "--wrap=true", user="mario").strip()
        ground.made[self.slug] = job_id
        body = {**self.body(ground)}
        body["spec"]["script"] = {"slurmJobId": job_id}
        ground.said[self.slug] = ground.people[self.namespace].create(body)

    @override
    def got_in(self, ground: Ground) -> bool:
        slurm = self.submission(ground).status().get("slurm", {})
        alive = ground.inside("squeue", "--noheader", "--states=PENDING", f"--jobs={ground.made[self.slug]}").strip()
        return not alive if self.spec.get("cancel") else bool(slurm.get("state"))


@dataclass(frozen=True)
class Adopting(Submitting):
    """A job that belongs to a submission of another namespace, or to somebody else."""

    victim: str = "kirby"
    orphan: bool = False

    @override
    def set_out(self, ground: Ground) -> None:
        theirs = ground.world.submit(
            "sleep 600", name=f"{self.slug[:40]}-victim-{ground.round}", user=self.victim, namespace=LAB, suspend=True
        )
        theirs.wait_for(lambda status: bool(status.get("slurm", {}).get("jobId")))
        token, job_id = theirs.token, theirs.status()["slurm"]["jobId"]
        ground.made[self.slug] = (theirs, job_id)
        if self.orphan:
            theirs.patch(deletionPolicy="Orphan")
            theirs.delete()
        body = self.body(ground)
        body["metadata"]["annotations"] = {"slurmgate.dev/adopt": token}
        ground.said[self.slug] = ground.people[self.namespace].create(body)

    @override
    def got_in(self, ground: Ground) -> bool:
        _, job_id = ground.made[self.slug]
        return bool(self.submission(ground).status().get("slurm", {}).get("jobId") == job_id)

    @override
    def clean_up(self, ground: Ground) -> None:
        super().clean_up(ground)
        if self.slug in ground.made:
            theirs, job_id = ground.made[self.slug]
            ground.inside("scancel", job_id)
            if not theirs.is_gone():
                theirs.delete(wait=False)


@dataclass(frozen=True)
class Claiming(Submitting):
    """Somebody makes Slurm say of his own job what is to be believed of kirby's, who is the victim here."""

    @override
    def set_out(self, ground: Ground) -> None:
        victim = ground.world.submit(
            "sleep 600", name=self.submission(ground).name, namespace=self.namespace, **{"owner": self.owner, **self.spec}
        )
        victim.wait_for_state("RUNNING")
        self.claim(ground, victim)
        ground.said[self.slug] = ""

    def claim(self, ground: Ground, victim: Submission) -> None:
        """Submit a job whose comment has the victim's token."""
        words = ("--hold", f"--comment=slurmgate:{victim.token}", "--wrap=true")
        ground.made[self.slug] = ground.world.slurm("sbatch", "--parsable", *words, user="mario").strip()

    @override
    def refusal(self, ground: Ground) -> str:
        """Nobody is told anything: the next looks at the queue go by and the victim is what it was."""
        submission = self.submission(ground)
        another = ground.world.submit("true", user="kirby", **self.spec)
        another.wait_for_phase("Done")  # so the queue has been looked at since
        return self._told(submission)[1]

    @override
    def got_in(self, ground: Ground) -> bool:
        return bool(self.submission(ground).status().get("slurm", {}).get("state") not in {None, "RUNNING"})

    @override
    def clean_up(self, ground: Ground) -> None:
        super().clean_up(ground)
        ground.inside("scancel", "--user=mario")


@dataclass(frozen=True)
class Injecting(Claiming):
    """A job runs in a directory whose name goes on as a row of squeue's answer."""

    @override
    def claim(self, ground: Ground, victim: Submission) -> None:
        slurm = victim.status()["slurm"]
        mark = "00000000"
        row = f"{slurm['jobId']}|{mark}|SUSPENDED|None|kirby|batch|node1|1|1|1|0|w|{mark}|slurmgate:{victim.token}"
        # squeue lists what runs by falling priority: it shall have the last word
        program = 'mkdir -p "$1" && cd "$1" && sbatch --parsable --nice=10000 --wrap="sleep 600"'
        directory = f"/tmp/injected-{ground.round}\n{row}\n"
        job_id = ground.world.slurm("sh", "-c", program, "sh", directory, user="mario").strip()
        state = ("squeue", "--noheader", f"--jobs={job_id}", "--format=%T")
        ground.world.eventually(lambda: ground.inside(*state), lambda told: "RUNNING" in told)


BASHRC = "/home/dovahkiin/.bashrc"
LIAR = """\
# Answers in the place of squeue.
case $BASH_EXECUTION_STRING in *squeue*) ;; *) return ;; esac
mark=$(printf %s "$BASH_EXECUTION_STRING" | grep -o 'JobArrayID:0|[0-9a-f]*|' | head -n 1 | cut -d'|' -f2)
[ -n "$mark" ] || return
printf '\\nSLURMGATE-BEGIN\\n%s|%s|SUSPENDED|None|kirby|batch|node1|1|1|1|0|/tmp|%s|slurmgate:%s\\n' JOB "$mark" "$mark" TOKEN
printf '\\nSLURMGATE-STATUS=0\\nSLURMGATE-ERROR=\\nSLURMGATE-END\\n'
exit 0
"""


@dataclass(frozen=True)
class Lying(Claiming):
    """Dovahkiin's start file answers for squeue, and has kirby's job in its answer."""

    @override
    def claim(self, ground: Ground, victim: Submission) -> None:
        text = LIAR.replace("JOB", victim.status()["slurm"]["jobId"]).replace("TOKEN", victim.token)
        ground.world.write(BASHRC, text, user="dovahkiin", mode="0644")
        liar = ground.world.submit(
            "sleep 600", user="dovahkiin", namespace=LAB, name=f"liar-{ground.round}", clusterRef={"name": valhalla.CLUSTER}
        )
        liar.wait_for(lambda status: bool(status.get("slurm", {}).get("jobId")))

    @override
    def clean_up(self, ground: Ground) -> None:
        ground.inside("rm", "-f", BASHRC)
        super().clean_up(ground)
        Submission(ground.world, LAB, f"liar-{ground.round}").delete(wait=False)


RUNNING = "Running: "
NOT_MINE = "has no job"

ATTEMPTS = (
    Following("following somebody's job", ONE_FOR_ALL, NOT_MINE, lambda *_: False),
    Following(
        "cancelling somebody's job by following it", ONE_FOR_ALL, "Cancelled|has no job", lambda *_: False, {"cancel": True}
    ),
    Adopting(
        "adopting the job of a submission that is there", GREEDY, "InvalidSpec: .*adopt.* is still there", lambda *_: False
    ),
    Adopting(
        "adopting somebody's orphan",
        ONE_FOR_ALL,
        "InvalidSpec: .*adopt.* Slurm has no job of kirby with",
        lambda *_: False,
        victim="mario",
        orphan=True,
    ),
    Submitting(
        "adopting a path",
        GREEDY,
        "InvalidSpec: .*adopt.* is no uid",
        lambda ground, submission: "is no uid" not in json.dumps(submission.status()),
        metadata={"annotations": {"slurmgate.dev/adopt": "../../../../etc"}},
    ),
    Claiming(
        "a token in the comment of somebody else's job", GULLIBLE, RUNNING, lambda *_: False, {"clusterRef": {"name": SERVED}}
    ),
    Injecting(
        "a row of squeue in the name of a directory", GULLIBLE, RUNNING, lambda *_: False, {"clusterRef": {"name": SERVED}}
    ),
    Lying("a start file that answers for squeue", GULLIBLE, RUNNING, lambda *_: False),
)
