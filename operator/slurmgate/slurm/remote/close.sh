# Makes sure that no command begun before now submits any more. stdin: token, directory, number of attempts that were seen.
read_place
IFS= read -r seen || exit 1
refuse_intruders
[ -d "$_state" ] || answer closed=yes # nothing is staged, so nothing can be sent
count_attempts "$_state"
[ "$_number" = "$seen" ] || answer closed=no
rm -f "$_state/complete"
[ "$seen" = 0 ] || : >"$_state/attempt.$seen/failed" || answer closed=no
mkdir "$_state/attempt.$((seen + 1))" 2>/dev/null && : >"$_state/attempt.$((seen + 1))/failed" || answer closed=no
answer closed=yes
