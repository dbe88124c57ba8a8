# Says how jobs ended, from what their batch scripts left (batch.sh). stdin: how many, then token and directory of each.
IFS= read -r number || exit 1
begin
while [ "$number" -gt 0 ]; do
    read_place
    number=$((number - 1))
    for record in "$state"/exit.*; do
        [ ! -f "$record" ] || tell exit "$token ${record##*/exit.} $(head -c 100 "$record" | head -n 1)"
    done
done
end
