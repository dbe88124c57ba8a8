# From here on written by Slurmgate. The script as it was submitted is the file "$gate/script"; srun starts it, if anything does.
gate=$SLURM_SUBMIT_DIR/.slurmgate/@TOKEN@
signals='HUP INT QUIT USR1 USR2 ALRM TERM'
record=$gate/exit.${SLURM_ARRAY_TASK_ID:-job} began=$(date +%s)
rm -f "$record" # of an earlier run of this job
leave() { # exit status, signal: how the job ended, for the time when squeue has forgotten it and there is no accounting
    [ @RECORDED@ = no ] || { echo "$1 $2 $began $(date +%s)" >"$record.new" && mv "$record.new" "$record"; }
}
await() { # process; sets status
    while # a signal interrupts `wait`, and it may have ended meanwhile
        wait "$1"
        status=$?
        kill -0 "$1" 2>/dev/null
    do :; done
    wait "$1" 2>/dev/null
    again=$?
    [ "$again" -eq 127 ] || status=$again
}
become() { # a command
    [ @RECORDED@ = yes ] || exec "$@"
    exec 3<&0 # or the background would read /dev/null
    "$@" <&3 3<&- &
    for signal in $signals; do trap "kill -s $signal $!" "$signal"; done
    await $!
    leave "$status" 0
    exit "$status"
}
[ -z "${SLURM_CPUS_PER_TASK:-}" ] || export SRUN_CPUS_PER_TASK="$SLURM_CPUS_PER_TASK" # which srun does not take over
set -- @SRUN@
one=@ONE@
for number in $SLURM_JOB_NUM_NODES $SLURM_NTASKS $SLURM_NTASKS_PER_NODE $SLURM_NTASKS_PER_SOCKET $SLURM_NTASKS_PER_CORE \
    $SLURM_NTASKS_PER_GPU $SLURM_NTASKS_PER_TRES; do
    [ "$number" = 1 ] || one=no
done
case $gate in *[%\\]*) one=no ;; esac # srun would take these for patterns
io=$gate/io.$SLURM_JOB_ID
[ "$one" = yes ] && mkdir -p "$io" || become "$@" "$gate/script"

# One task: it shall look to Slurm, and to whoever reads the output, as if sbatch had started it without srun.
pass() ( # a signal that came to this shell alone (sbatch --signal=B:..., scancel --batch) to the script
    [ "$1" != TERM ] || sleep 1
    ! grep -qs 'forcing job termination' "$io/srun" || exit 0 # it came to all: the job is being ended
    for task in $(grep -lsxz "SLURM_JOB_ID=$SLURM_JOB_ID" /proc/[0-9]*/environ); do
        pid=${task#/proc/} pid=${pid%/environ}
        ! grep -qsxz SLURM_STEP_ID=0 "$task" || ! grep -qsxz "SLURM_TASK_PID=$pid" "$task" || kill -s "$1" "$pid"
    done
)
for signal in $signals; do trap "pass $signal" "$signal"; done
# What has %t in its path is opened by the task, which is on this node, and not by srun: output and error keep their order.
# (Not so the input: slurmstepd of 22.05 crashes when all three are files.)
ln -sf "/proc/$$/fd/1" "$io/0.out"
ln -sf "/proc/$$/fd/2" "$io/0.err"
exec 3<&0 # or the background would read /dev/null
"$@" --open-mode=append --output="$io/%t.out" --error="$io/%t.err" "$gate/script" 2>"$io/srun" <&3 3<&- &
await $!
usual='error: [^ ]+: task 0: |(Force )?Terminat|forcing job term|Job step aborted|got SIGCONT|Quit$|interrupt |sending Ctrl|StepId='
grep -Ev "^srun: ($usual)" "$io/srun" >&2
# srun gives 128+n both for a task that exited with it and for one that signal n ended, but says which
[ "$status" -le 128 ] || grep -q ': task 0: Exited with exit code' "$io/srun" || killed=$((status - 128))
rm -rf "$io"
leave "$status" "${killed:-0}"
if [ -n "${killed:-}" ]; then
    ulimit -c 0 2>/dev/null
    for signal in $signals; do trap - "$signal"; done
    kill "-$killed" $$
fi
exit "$status"
