# Runs one of Slurm's commands: "$@". Times come as seconds since 1970, and lists of array tasks in full.
begin
SLURM_TIME_FORMAT=%s SLURM_BITSTR_LEN=0 "$@" </dev/null
rc=$?
printf '\nSLURMGATE-RC=%s\n' "$rc"
end
