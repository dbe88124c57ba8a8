# Runs sbatch for a staged package, once. stdin: token, directory, number of the attempt, seconds that sbatch may take.
# mkdir is atomic, also on shared file systems: who makes attempt.N may run sbatch. Its answer goes into files there, so that it is
# not lost with the connection. Who asks names N, and only when attempt.N-1 certainly gave no job (`failed`): a command that
# was long on its way finds its N taken or closed.
read_place
IFS= read -r number && IFS= read -r seconds || exit 1
cd -- "$directory" 2>/dev/null && [ -e "$state/complete" ] || answer verdict=unstaged
[ "$number" -eq 1 ] || [ -e "$state/attempt.$((number - 1))/failed" ] || answer verdict=marked
attempt=$state/attempt.$number
words=$(mkdir "$attempt" 2>&1) || {
    [ ! -d "$attempt" ] || answer verdict=marked
    fail "$words"
}
date +%s >"$attempt/started" && [ -s "$attempt/started" ] && : >"$attempt/out" && : >"$attempt/err" || {
    rm -rf "$attempt"
    fail "$attempt: No space left on device"
}
timeout -k 5 "$seconds" /bin/sh "$state/submit" "$state" >"$attempt/out" 2>"$attempt/err" </dev/null
rc=$?
# Words after which slurmctld may have the job all the same. 124 is timed out, 128 and above killed; without a word nobody knows.
uncertain='timed out|zero bytes|(send|receive|shutdown) failure|unexpected message|insane message|header lengths|unpack|unspecified error|connection (reset|forced)|would block'
rm -f "$state/environment"
if [ "$rc" -ne 0 ] && case $rc in 124 | 12[89] | 1[3-9]? | 2[0-4]?) false ;; esac &&
    [ -s "$attempt/err" ] && ! grep -Eiq "$uncertain" "$attempt/err"; then
    rm -f "$state/complete" # what is sent again is staged again
    : >"$attempt/failed"
fi
echo "$rc" >"$attempt/rc.new" && mv "$attempt/rc.new" "$attempt/rc"
begin
tell verdict ran
tell rc "$rc"
[ ! -e "$attempt/failed" ] || tell failed yes
tell_file out "$attempt/out"
tell_file err "$attempt/err"
end
