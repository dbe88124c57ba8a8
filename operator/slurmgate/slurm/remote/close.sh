# Makes sure that no command begun before now submits any more. stdin: token, directory, number of attempts that were seen.
read_place
IFS= read -r seen || exit 1
[ -d "$state" ] || answer closed=yes # nothing is staged, so nothing can be sent
count_attempts "$state"
[ "$number" = "$seen" ] || answer closed=no
rm -f "$state/complete"
[ "$seen" = 0 ] || : >"$state/attempt.$seen/failed" || answer closed=no
mkdir "$state/attempt.$((seen + 1))" 2>/dev/null && : >"$state/attempt.$((seen + 1))/failed" || answer closed=no
answer closed=yes
