# Reads a script that lies on the cluster. stdin: the person, the script's path, the most bytes it may have.
read_person
IFS= read -r path && IFS= read -r most || exit 1
case $path in '~/'*) path=$HOME/${path#'~/'} ;; esac
home_for "$path"
judge_path "$path"
[ -z "$_why" ] || fail "$_why"
[ ! -d "$path" ] || fail "$path: Is a directory"
[ -f "$path" ] || [ ! -e "$path" ] || fail "$path: Not a regular file" # opening a pipe would wait for ever
words=$(head -c 0 -- "$path" 2>&1) || fail "$words"
begin
tell content "$(head -c "$((most + 1))" -- "$path" | base64 | tr -d '\n')"
end
