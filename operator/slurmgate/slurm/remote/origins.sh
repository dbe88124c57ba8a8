# Says which submissions jobs belong to. stdin: how many, then token and directory of each.
IFS= read -r number || exit 1
begin
while [ "$number" -gt 0 ]; do
    read_place
    number=$((number - 1))
    [ ! -f "$state/origin" ] || tell origin "$token $(head -c 1000 "$state/origin" | head -n 1)"
done
end
