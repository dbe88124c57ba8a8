# Says what the cluster is. Arguments: paths of sbatch squeue sacct scancel scontrol sinfo.
missing=
for command in "$@"; do
    [ -x "$command" ] || missing="$missing $command"
done
for command in timeout base64 tar dd find cmp; do
    command -v "$command" >/dev/null || missing="$missing $command"
done
[ -z "$missing" ] || answer "missing=${missing# }"
plain
config=$("$5" show config 2>&1) || fail "$config"
partitions=$("$6" --noheader --exact --all --format='partition=%R|%a|%D|%c|%G' 2>&1) || fail "$partitions"
begin
printf '%s\n' "$config" | sed -n 's/^\(SLURM_VERSION\|ClusterName\|PrivateData\|AccountingStorageType\) *= */\1=/p'
printf '%s\n' "$partitions"
end
