# Writes down which submission a job belongs to from now on. stdin: token, directory, origin (empty: nobody's).
read_place
IFS= read -r origin || exit 1
refuse_intruders
if [ -n "$origin" ]; then
    words=$({ printf '%s\n' "$origin" >"$_state/origin.new" && mv "$_state/origin.new" "$_state/origin"; } 2>&1) || fail "$words"
elif [ -d "$_state" ]; then
    words=$(rm -f "$_state/origin" 2>&1) || fail "$words"
fi
answer done=yes
