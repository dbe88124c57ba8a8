# Runs sbatch for a staged package, once. stdin: token, directory, number of the attempt, seconds that sbatch may take,
# and the words (grep -E) after which slurmctld may have the job all the same.
# mkdir is atomic, also on shared file systems: who makes attempt.N may run sbatch. Its answer goes into files there, so that it is
# not lost with the connection. Who asks names N, and only when attempt.N-1 certainly gave no job (`failed`): a command that
# was long on its way finds its N taken or closed.
read_place
IFS= read -r _number && IFS= read -r _seconds && IFS= read -r _uncertain || exit 1
cd -- "$_directory" 2>/dev/null && [ -e "$_state/complete" ] || answer verdict=unstaged
[ "$_number" -eq 1 ] || [ -e "$_state/attempt.$((_number - 1))/failed" ] || answer verdict=marked
_attempt=$_state/attempt.$_number
_words=$(mkdir "$_attempt" 2>&1) || {
    [ ! -d "$_attempt" ] || answer verdict=marked
    fail "$_words"
}
date +%s >"$_attempt/started" && [ -s "$_attempt/started" ] && : >"$_attempt/out" && : >"$_attempt/err" || {
    rm -rf "$_attempt"
    fail "$_attempt: No space left on device"
}
timeout -k 5 "$_seconds" /bin/sh "$_state/submit" "$_state" >"$_attempt/out" 2>"$_attempt/err" </dev/null
_rc=$?
rm -f "$_state/environment"
# 124 is timed out, 128 and above killed; without a word nobody knows; and who names a job has one, whatever else went wrong
if [ "$_rc" -ne 0 ] && ! grep -Eq '^[1-9][0-9]*(;|$)' "$_attempt/out" && case $_rc in 124 | 12[89] | 1[3-9]? | 2[0-4]?) false ;; esac &&
    [ -s "$_attempt/err" ] && ! grep -Eiq "$_uncertain" "$_attempt/err"; then
    rm -f "$_state/complete" # what is sent again is staged again
    : >"$_attempt/failed"
fi
echo "$_rc" >"$_attempt/rc.new" && mv "$_attempt/rc.new" "$_attempt/rc"
begin
tell verdict ran
tell rc "$_rc"
[ ! -e "$_attempt/failed" ] || tell failed yes
tell_file out "$_attempt/out"
tell_file err "$_attempt/err"
end
