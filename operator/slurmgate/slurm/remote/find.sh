# Says what the marker of a submission knows. stdin: token, directory.
read_place
count_attempts "$state"
attempt=$state/attempt.$number
begin
tell attempt "$number"
tell now "$(date +%s)"
tell directory "$(cd -P -- "$directory" 2>/dev/null && pwd -P)"
[ ! -e "$state/complete" ] || tell staged yes
if [ "$number" -gt 0 ]; then
    tell started "$(cat "$attempt/started" 2>/dev/null)"
    [ ! -e "$attempt/failed" ] || tell failed yes
    tell rc "$(cat "$attempt/rc" 2>/dev/null)"
    tell_file out "$attempt/out"
    tell_file err "$attempt/err"
fi
end
