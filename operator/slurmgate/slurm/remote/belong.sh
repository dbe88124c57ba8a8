# Writes down which submission a job belongs to from now on. stdin: token, directory, origin (empty: nobody's).
read_place
IFS= read -r origin || exit 1
rm -f "$_state/origin"
[ -z "$origin" ] || [ ! -d "$_state" ] || printf '%s\n' "$origin" >"$_state/origin"
answer done=yes
