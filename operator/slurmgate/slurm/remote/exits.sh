# Says how jobs ended, from what their batch scripts left (batch.sh). stdin: how many, then token and directory of each.
IFS= read -r _number || exit 1
begin
while [ "$_number" -gt 0 ]; do
    read_place
    _number=$((_number - 1))
    judge
    [ -z "$_why" ] || continue
    for record in "$_state"/exit.*; do
        [ ! -f "$record" ] || tell exit "$_token ${record##*/exit.} $(head -c 100 "$record" | head -n 1)"
    done
done
end
