# Runs sbatch for staged packages, once for each, one after the other. Argument: the path of sbatch.
# stdin: seconds that sbatch may take, and the words (grep -E) after which slurmctld may have the job all the same; then of each
# package token, directory and number of the attempt.
# Once those seconds are over no other is begun: a slurmctld that does not answer keeps only the first of them waiting.
# mkdir is atomic, also on shared file systems: who makes attempt.N may run sbatch. Its answer goes into files there, so that it is
# not lost with the connection. Who asks names N, and only when attempt.N-1 certainly gave no job (`failed`): a command that
# was long on its way finds its N taken or closed.
# What start files set for sbatch would go before the script's own lines, and past the policy.
unset SLURM_CLUSTERS SLURM_WORKING_CLUSTER SLURM_HOSTFILE SLURM_HINT SLURM_EXIT_ERROR
for _name in $(env | sed -n 's/^\(SBATCH_[A-Za-z0-9_]*\)=.*/\1/p'); do unset "$_name"; done
# Becomes sbatch with the words and variables of the package. Arguments: the folder of the package, sbatch. A shell of its own: what
# is exported must not change timeout.
_become='
while IFS= read -r _slurmgate; do
    case $_slurmgate in *\\*) _slurmgate=$(printf "%b." "$_slurmgate") && _slurmgate=${_slurmgate%.} || exit 125 ;; esac
    set -- "$@" "$_slurmgate"
done <"$1/arguments" || exit 125
if [ -e "$1/batch" ]; then set -- "$@" "$1/batch"; else set -- "$@" "$1/script"; fi
[ ! -e "$1/environment" ] || while IFS= read -r _slurmgate; do
    case ${_slurmgate%%=*} in
    "" | [0-9]* | *[!A-Za-z0-9_]* | SLURM_* | SBATCH_* | LD_* | BASH_* | ENV | IFS | GCONV_PATH)
        echo "${_slurmgate%%=*} steers Slurm, the shell or the loader" >&2
        exit 125
        ;;
    esac
    case $_slurmgate in *\\*) _slurmgate=$(printf "%b." "$_slurmgate") && _slurmgate=${_slurmgate%.} || exit 125 ;; esac
    export "${_slurmgate%%=*}=${_slurmgate#*=}"
done <"$1/environment"
unset _slurmgate
shift
exec "$@"
'
submit() {
    find_place
    refuse_intruders
    cd -- "$_directory" 2>/dev/null && [ -e "$_state/complete" ] || answer verdict=unstaged
    [ "$_number" -eq 1 ] || [ -e "$_state/attempt.$((_number - 1))/failed" ] || answer verdict=marked
    _attempt=$_state/attempt.$_number
    _words=$(mkdir "$_attempt" 2>&1) || {
        [ ! -d "$_attempt" ] || answer verdict=marked
        fail "$_words"
    }
    echo "$_now" >"$_attempt/started" && [ -s "$_attempt/started" ] && : >"$_attempt/out" && : >"$_attempt/err" || {
        rm -rf "$_attempt"
        fail "$_attempt: No space left on device"
    }
    timeout -k 5 "$_seconds" /bin/sh -c "$_become" sbatch "$_state" "$_sbatch" >"$_attempt/out" 2>"$_attempt/err" </dev/null
    _rc=$?
    [ ! -e "$_state/environment" ] || rm -f "$_state/environment"
    # 124 is timed out, 128 and above killed; without a word nobody knows; and who names a job has one, whatever else went wrong
    if [ "$_rc" -ne 0 ] && ! grep -Eq '^[1-9][0-9]*(;|$)' "$_attempt/out" && case $_rc in 124 | 12[89] | 1[3-9]? | 2[0-4]?) false ;; esac &&
        [ -s "$_attempt/err" ] && ! grep -Eiq "$_uncertain" "$_attempt/err"; then
        rm -f "$_state/complete" # what is sent again is staged again
        : >"$_attempt/failed"
    fi
    echo "$_rc" >"$_attempt/rc"
    begin
    tell verdict ran
    tell rc "$_rc"
    [ ! -e "$_attempt/failed" ] || tell failed yes
    tell_file out "$_attempt/out"
    tell_file err "$_attempt/err"
    end
}
_sbatch=$1
IFS= read -r _seconds && IFS= read -r _uncertain || exit 1
_began=$(date +%s)
while IFS= read -r _token && IFS= read -r _directory && IFS= read -r _number; do
    _now=$(date +%s)
    [ -z "$_item" ] || [ "$((_now - _began))" -lt "$_seconds" ] || break
    _item=$((_item + 1))
    (submit) </dev/null
done
over
