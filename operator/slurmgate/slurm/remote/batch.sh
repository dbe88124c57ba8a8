# From here on written by Slurmgate. The script as it was submitted is the file "$gate/script"; srun starts it.
gate=$SLURM_SUBMIT_DIR/.slurmgate/@TOKEN@
io=$gate/io.$SLURM_JOB_ID
[ -z "${SLURM_CPUS_PER_TASK:-}" ] || export SRUN_CPUS_PER_TASK="$SLURM_CPUS_PER_TASK"
set -- @SRUN@
one=@ONE@
for number in $SLURM_JOB_NUM_NODES $SLURM_NTASKS $SLURM_NTASKS_PER_NODE $SLURM_NTASKS_PER_SOCKET $SLURM_NTASKS_PER_CORE \
    $SLURM_NTASKS_PER_GPU $SLURM_NTASKS_PER_TRES; do
    [ "$number" = 1 ] || one=no
done
case $gate in *[%\\]*) one=no ;; esac # srun would take these for patterns
exec 3<&0 # or the background would read /dev/null
if [ "$one" = yes ] && mkdir -p "$io"; then
    # srun does not open a path with %t in it itself: the task does, on this same node. (Not so its input: slurmstepd of
    # 22.05 crashes when all three are files.)
    ln -sf "/proc/$$/fd/1" "$io/0.out" && ln -sf "/proc/$$/fd/2" "$io/0.err"
    "$@" --open-mode=append --output="$io/%t.out" --error="$io/%t.err" "$gate/script" 2>"$io/srun" <&3 3<&- &
else
    one=no
    "$@" "$gate/script" <&3 3<&- &
fi
srun=$!
signals='HUP INT QUIT USR1 USR2 ALRM TERM URG WINCH'
for signal in $signals; do trap "kill -s $signal $srun" "$signal"; done
while
    wait "$srun"
    status=$?
    kill -0 "$srun" 2>/dev/null
do :; done
[ "$one" = yes ] || exit "$status"
ours='^srun: (error: [^ ]+: task 0: |Force Terminated |Terminating |forcing job termination|Job step aborted: |launch/)'
grep -Ev "$ours" "$io/srun" >&2
# srun gives 128+n both for a task that exited with it and for one that signal n ended, but says which
[ "$status" -le 128 ] || grep -q ': task 0: Exited with exit code' "$io/srun" || killed=$((status - 128))
rm -rf "$io"
if [ -n "${killed:-}" ]; then
    ulimit -c 0
    for signal in $signals; do trap - "$signal"; done
    kill -s "$killed" $$
fi
exit "$status"
