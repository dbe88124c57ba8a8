# Removes what only the run needed; the markers stay. stdin: token and directory of each.
tidy() {
    find_place
    refuse_intruders
    rm -rf "$_state".new.* "$_state".old.* "$_state"/io.*
    rm -f "$_state/script" "$_state/batch" "$_state/arguments" "$_state/environment" "$_state/complete" "$_state"/exit.* "$_state/job"
    answer tidied=yes
}
while IFS= read -r _token && IFS= read -r _directory; do
    _item=$((_item + 1))
    (tidy) </dev/null
done
over
