# Runs one of Slurm's commands: "$@". Times come as seconds since 1970, and lists of array tasks in full.
# stdin: a text; lines without it are left out.
IFS= read -r wanted || exit 1
plain
begin
{
    { err=$(SLURM_TIME_FORMAT=%s SLURM_BITSTR_LEN=0 "$@" 2>&1 >&3 </dev/null); } 3>&1
    rc=$?
    printf '\n'
    tell SLURMGATE-STATUS "$rc"
    tell SLURMGATE-ERROR "$(printf '%s' "$err" | tail -c 4096 | base64 | tr -d '\n')"
} | LC_ALL=C grep -aF -e "$wanted" -e SLURMGATE-
end
