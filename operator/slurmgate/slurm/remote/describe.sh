# Says what the cluster is. Arguments: paths of sbatch squeue sacct scancel scontrol sinfo.
missing=
for command in "$@"; do
    [ -x "$command" ] || missing="$missing $command"
done
for command in timeout base64 tar find cmp; do
    command -v "$command" >/dev/null || missing="$missing $command"
done
[ -z "$missing" ] || answer "missing=${missing# }"
scontrol=$5 sinfo=$6 sacct=$3
begin
"$scontrol" show config | sed -n 's/^\(SLURM_VERSION\|ClusterName\|PrivateData\|AccountingStorageType\|MinJobAge\) *= */\1=/p'
"$sinfo" -h -e -a -o 'partition=%R|%a|%D|%c|%G'
if words=$("$sacct" -n -X -P -j 1 -o jobid 2>&1 >/dev/null); then
    tell accounting yes
else
    tell words "$(printf '%s' "$words" | base64 | tr -d '\n')"
fi
end
