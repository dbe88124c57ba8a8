# From here on written by Slurmgate. The script as it was submitted is the file "$_gate/script"; srun starts it, if anything does.
_gate=$SLURM_SUBMIT_DIR/.slurmgate/@TOKEN@
[ -O "$_gate" ] && [ ! -L "$_gate" ] || { # in a folder of many somebody else may have put his own in its place
    echo "slurmgate: $_gate is not this user's own folder" >&2
    exit 1
}
_signals='HUP INT QUIT USR1 USR2 ALRM TERM'
_record=$_gate/exit.${SLURM_ARRAY_TASK_ID:-job} _began=$(date +%s)
rm -f "$_record" # of an earlier run of this job
{ echo "${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}" >"$_gate/job"; } 2>/dev/null # for a look-up after squeue has forgotten it
leave() { # exit status, signal: how the job ended, for the time when squeue has forgotten it and there is no accounting
    [ @RECORDED@ = no ] || { echo "$1 $2 $_began $(date +%s)" >"$_record.new" && mv "$_record.new" "$_record"; }
}
await() { # process; sets status
    while # a signal interrupts `wait`, and it may have ended meanwhile
        wait "$1"
        _status=$?
        kill -0 "$1" 2>/dev/null
    do :; done
    wait "$1" 2>/dev/null
    _again=$?
    [ "$_again" -eq 127 ] || _status=$_again
}
become() { # a command
    [ @RECORDED@ = yes ] || exec "$@"
    exec 3<&0 # or the background would read /dev/null
    "$@" <&3 3<&- &
    for _signal in $_signals; do trap "kill -s $_signal $!" "$_signal"; done
    await $!
    leave "$_status" 0
    exit "$_status"
}
[ -z "${SLURM_CPUS_PER_TASK:-}" ] || export SRUN_CPUS_PER_TASK="$SLURM_CPUS_PER_TASK" # which srun does not take over
set -- @SRUN@
_one=@ONE@
for _number in $SLURM_JOB_NUM_NODES $SLURM_NTASKS $SLURM_NTASKS_PER_NODE $SLURM_NTASKS_PER_SOCKET $SLURM_NTASKS_PER_CORE \
    $SLURM_NTASKS_PER_GPU $SLURM_NTASKS_PER_TRES; do
    [ "$_number" = 1 ] || _one=no
done
case $_gate in *[%\\]*) _one=no ;; esac # srun would take these for patterns
_io=$_gate/io.$SLURM_JOB_ID
[ "$_one" = yes ] && mkdir -p "$_io" || become "$@" "$_gate/script"

# One task: it shall look to Slurm, and to whoever reads the output, as if sbatch had started it without srun.
pass() ( # a signal that came to this shell alone (sbatch --signal=B:..., scancel --batch) to the script
    [ "$1" != TERM ] || sleep 1
    ! grep -qs 'forcing job termination' "$_io/srun" || exit 0 # it came to all: the job is being ended
    for _task in $(grep -lsxz "SLURM_JOB_ID=$SLURM_JOB_ID" /proc/[0-9]*/environ); do
        _pid=${_task#/proc/} _pid=${_pid%/environ}
        ! grep -qsxz SLURM_STEP_ID=0 "$_task" || ! grep -qsxz "SLURM_TASK_PID=$_pid" "$_task" || kill -s "$1" "$_pid"
    done
)
for _signal in $_signals; do trap "pass $_signal" "$_signal"; done
# What has %t in its path is opened by the task, which is on this node, and not by srun: output and error keep their order.
# (Not so the input: slurmstepd of 22.05 crashes when all three are files.)
ln -sf "/proc/$$/fd/1" "$_io/0.out"
ln -sf "/proc/$$/fd/2" "$_io/0.err"
exec 3<&0 # or the background would read /dev/null
"$@" --open-mode=append --output="$_io/%t.out" --error="$_io/%t.err" "$_gate/script" 2>"$_io/srun" <&3 3<&- &
await $!
_usual='error: [^ ]+: task 0: |(Force )?Terminat|forcing job term|Job step aborted|got SIGCONT|Quit$|interrupt |sending Ctrl|StepId='
grep -Ev "^srun: ($_usual)" "$_io/srun" >&2
# srun gives 128+n both for a task that exited with it and for one that signal n ended, but says which
[ "$_status" -le 128 ] || grep -q ': task 0: Exited with exit code' "$_io/srun" || _killed=$((_status - 128))
rm -rf "$_io"
leave "$_status" "${_killed:-0}"
if [ -n "${_killed:-}" ]; then
    ulimit -c 0 2>/dev/null
    for _signal in $_signals; do trap - "$_signal"; done
    kill "-$_killed" $$
fi
exit "$_status"
