#!/bin/sh
# scontrol for the Jobbergate Agent, which asks `scontrol show job ID --json`: Slurm has --json only since 23.02, so the
# answer of an older one is put into JSON here. Everything else is Slurm's own. Values with blanks lose what follows the first.
[ "$1 $2 $4" = "show job --json" ] || exec /usr/bin/scontrol "$@"
record=$(/usr/bin/scontrol --oneliner show job "$3") || exit
printf '%s\n' "$record" | /usr/bin/awk '
    BEGIN { known["JobId"] = "job_id"; known["JobState"] = "job_state"; known["Reason"] = "state_reason" }
    NR == 1 {  # an array: the Agent looks at the first record only
        for (word = 1; word <= NF; word++) {
            at = index($word, "=")
            if (!at) continue
            name = substr($word, 1, at - 1)
            value = substr($word, at + 1)
            gsub(/[\\"]/, "\\\\&", value)
            value = name == "JobId" ? value : "\"" value "\""
            if (name in known) name = known[name]
            pairs = pairs (pairs ? ", " : "") "\"" name "\": " (name == "job_state" ? "[" value "]" : value)
        }
        print "{\"jobs\": [{" pairs "}]}"
    }'
