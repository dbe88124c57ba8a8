# Says what the marker of a submission knows. stdin: token, directory.
read_place
refuse_intruders
count_attempts "$_state"
attempt=$_state/attempt.$_number
begin
tell attempt "$_number"
tell now "$(date +%s)"
tell directory "$(cd -P -- "$_directory" 2>/dev/null && pwd -P)"
[ ! -e "$_state/complete" ] || tell staged yes
tell job "$(head -c 20 "$_state/job" 2>/dev/null | head -n 1)"
if [ "$_number" -gt 0 ]; then
    started=$(cat "$attempt/started" 2>/dev/null)
    tell started "${started:-$(date -r "$attempt" +%s)}" # submit.sh may have been killed before it said so
    [ ! -e "$attempt/failed" ] || tell failed yes
    tell rc "$(cat "$attempt/rc" 2>/dev/null)"
    tell_file out "$attempt/out"
    tell_file err "$attempt/err"
fi
end
