# Says which submissions jobs belong to. stdin: how many, then token and directory of each.
IFS= read -r _number || exit 1
begin
while [ "$_number" -gt 0 ]; do
    read_place
    _number=$((_number - 1))
    judge
    [ -z "$_why" ] || continue
    [ ! -f "$_state/origin" ] || tell origin "$_token $(head -c 1000 "$_state/origin" | head -n 1)"
done
end
