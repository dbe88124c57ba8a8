"""Lives that are told: what happens, one after the other."""

from slurmgate.core.outcomes import NotNow, Refused
from slurmgate.core.reasons import Reason
from slurmgate.core.record import Step
from tests.unit.core.build import (
    NEVER_SENT,
    OTHER_TOKEN,
    REFUSED,
    UNCERTAIN,
    UNREACHABLE,
    at,
    pending,
    record_of,
    row,
)
from tests.unit.core.life import (
    Life,
)


def ran() -> Life:
    return Life().known().wait(5).queue(pending()).wait(5).queue(row("RUNNING"))


def success() -> Life:
    return ran().wait(10).queue(row("COMPLETED")).account(record_of("COMPLETED"))


def exit_3() -> Life:
    return ran().wait(10).queue(row("FAILED")).account(record_of("FAILED", exit_code=3))


def signal_9() -> Life:
    return ran().wait(10).queue(row("FAILED")).account(record_of("FAILED", signal=9))


def out_of_memory() -> Life:
    return ran().queue(row("OUT_OF_MEMORY")).account(record_of("OUT_OF_MEMORY", signal=125))


def time_limit() -> Life:
    return ran().queue(row("COMPLETING")).wait(5).queue(row("TIMEOUT")).account(record_of("TIMEOUT"))


def cancelled_while_it_ran() -> Life:
    life = ran().cancel()
    assert life.next_step is Step.CANCEL
    return life.control(Step.CANCEL).wait(5).queue(row("CANCELLED")).account(record_of("CANCELLED"))


def cancelled_by_an_admin() -> Life:
    return ran().queue(row("CANCELLED")).account(record_of("CANCELLED"))


def cancelled_before_it_was_sent() -> Life:
    return Life().cancel()


def cancelled_between_acceptance_and_sbatch() -> Life:
    return Life().admit().cancel()


def cancelled_while_nobody_knew() -> Life:
    return Life().admit().submit(UNCERTAIN).cancel().find(NEVER_SENT)


def rejected_by_sbatch() -> Life:
    return Life().admit().submit(REFUSED)


def rejected_by_sbatch_as_a_look_up_says() -> Life:
    return Life().admit().submit(UNCERTAIN).find(REFUSED)


def unmapped() -> Life:
    refused = Refused(Reason.USER_NOT_MAPPED, "spec.owner: kirby@nintendo.example has no entry")
    return Life().admit(refused).wait(10).admit(refused)


def cluster_comes_back() -> Life:
    life = Life().admit(UNREACHABLE).wait(10).admit(UNREACHABLE).wait(10)
    return life.admit().submit(UNREACHABLE).wait(10).admit().submit()


def lost_answer() -> Life:
    life = Life().admit().submit(UNCERTAIN).wait(10).find(UNCERTAIN).wait(10).find(NEVER_SENT)
    assert life.next_step is Step.SUBMIT
    return life.submit()


def long_epilog() -> Life:
    life = ran().queue(row("COMPLETING")).wait(31).queue(row("COMPLETING")).wait(600)
    return life.queue(row("COMPLETED")).account(record_of("COMPLETED"))


def requeued_then_success() -> Life:
    life = ran().queue(row("COMPLETING")).wait(5)
    life.queue(pending("BeginTime", restarts=1, submit_time=at(60))).wait(60)
    life.queue(row("RUNNING", restarts=1, submit_time=at(60), start_time=at(70))).wait(10)
    return life.queue(row("COMPLETED", restarts=1, submit_time=at(60))).account(record_of("COMPLETED", submit_time=at(60)))


def node_failure_then_final() -> Life:
    life = ran().queue(pending("BeginTime", restarts=1, submit_time=at(60)))
    life.account(record_of("NODE_FAIL"))  # accounting has the first run's end
    life.wait(60).queue(row("RUNNING", restarts=1, submit_time=at(60))).wait(10).queue()
    return life.account(record_of("NODE_FAIL", exit_code=1, submit_time=at(60)))


def accounting_lags_behind_a_requeued_job() -> Life:
    life = ran().queue(pending("BeginTime", restarts=1, submit_time=at(60))).wait(60)
    life.queue(row("RUNNING", restarts=1, submit_time=at(60))).wait(10)
    life.queue().account(record_of("NODE_FAIL")).restart()
    life.queue().account(record_of("NODE_FAIL"))
    return life.queue().account(record_of("COMPLETED", submit_time=at(60)))


def accounting_lags_behind_a_requeued_task() -> Life:
    life = Life().known(array="0-1").queue(row("COMPLETED", "0"), pending("BeginTime", "1", restarts=1, submit_time=at(60)))
    life.queue().account(record_of("COMPLETED", "0"), record_of("NODE_FAIL", "1"))
    return life.queue().account(record_of("COMPLETED", "0"), record_of("COMPLETED", "1", submit_time=at(60)))


def purged_before_it_was_seen() -> Life:
    return Life().known().wait(400).queue().account(record_of("COMPLETED"))


def accounting_lags() -> Life:
    life = ran().queue(row("COMPLETED"))
    for _ in range(5):
        life.wait(5).account().queue(row("COMPLETED"))
    return life.account(record_of("COMPLETED"))


def accounting_lags_behind_a_purged_job() -> Life:
    life = ran()
    for _ in range(100):
        life.wait(5).queue().account()
    return life.queue().account(record_of("FAILED", exit_code=1))


def accounting_is_down() -> Life:
    life = ran().queue(row("FAILED"))
    for _ in range(20):
        life.account_fails().wait(5).queue(row("FAILED"))
    return life


def accounting_knows_half_of_the_end() -> Life:
    """Of a real slurmdbd that was killed just when the job ended, and never heard of the rest."""
    life = ran()
    half = record_of("COMPLETED", exit_code=None, signal=None, end_time=None, elapsed_seconds=None, cpu_seconds=None)
    for _ in range(20):
        life.wait(5).queue().account(half)
    return life


def accounting_is_down_and_the_job_was_purged_unseen() -> Life:
    life = ran()
    for _ in range(100):
        life.wait(60).queue().account_fails()
    return life


def there_is_no_accounting() -> Life:
    return ran().queue(row("FAILED")).no_accounting()


def there_is_no_accounting_and_the_job_was_purged_unseen() -> Life:
    return ran().wait(400).queue().no_accounting()


def its_id_belongs_to_another_job_now() -> Life:
    life = ran().wait(400)
    for foreign in (
        row("RUNNING", token=OTHER_TOKEN),
        row("FAILED", user="mario", token=None),
        row("FAILED", token=OTHER_TOKEN),
    ):
        life.queue(foreign).account(record_of("TIMEOUT", token=OTHER_TOKEN))
    return life.account(record_of("COMPLETED"), record_of("FAILED", token=OTHER_TOKEN))


def suspended_from_the_start() -> Life:
    life = Life()
    life = Life(life.draft.suspended()).known(held=True)
    life.queue(pending("JobHeldUser")).suspend(wish=False)
    assert life.next_step is Step.RELEASE
    life.control(Step.RELEASE).queue(row("RUNNING"))
    return life.queue(row("COMPLETED")).account(record_of("COMPLETED"))


def held_and_released() -> Life:
    life = Life().known().queue(pending()).suspend()
    assert life.next_step is Step.HOLD
    life.control(Step.HOLD).queue(pending("JobHeldUser")).suspend(wish=False)
    assert life.next_step is Step.RELEASE
    return life.control(Step.RELEASE).queue(pending())


def a_hold_that_does_not_get_through() -> Life:
    life = Life().known().queue(pending()).suspend()
    for _ in range(5):
        life.control(Step.HOLD, NotNow(Reason.COMMAND_FAILED, "scontrol: timed out")).queue(pending()).wait(200)
    return life


def waits_for_another_job() -> Life:
    return Life().known().queue(pending("Dependency")).queue(pending("Priority"))


def suspended_on_its_nodes() -> Life:
    return ran().queue(row("SUSPENDED")).queue(row("RUNNING"))
