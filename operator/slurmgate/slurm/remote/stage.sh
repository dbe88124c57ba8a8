# Puts a package into its place, so that submit.sh finds all of it or nothing.
# stdin: token, directory, name, whether a copy of the script is kept, digest of the package; then a tar archive of it.
read_place
IFS= read -r name && IFS= read -r keep && IFS= read -r digest || exit 1
words=$(mkdir -p -- "$_directory/.slurmgate" 2>&1) || {
    case $_directory in "$HOME"/*) [ -w "$HOME" ] || words="$words ($HOME: the home is not there or cannot be written to)" ;; esac
    fail "$words"
}
amiss() { # what is missing has been there: the home may be away
    case $1 in *'No such file or directory'*) fail "$1 ($_directory was there a moment ago)" ;; esac
    fail "$1"
}
words=$(cd -P -- "$_directory" 2>&1) || amiss "$words"
_directory=$(cd -P -- "$_directory" && pwd -P)
[ -w "$_directory" ] || { # why, says who tries: the file system may be read-only
    words=$(touch "$_directory/.slurmgate/.$_token" 2>&1) && rm -f "$_directory/.slurmgate/.$_token" || fail "$words"
    fail "$_directory: Permission denied"
}
_state=${_directory%/}/.slurmgate/$_token
staged() {
    cat >/dev/null
    count_attempts "$_state"
    answer "directory=$_directory" "attempts=$_number"
}
sent() { # whether an attempt was made that may have given a job
    for attempt in "$1"/attempt.*; do [ -d "$attempt" ] && [ ! -e "$attempt/failed" ] && return 0; done
    return 1
}

[ "$(cat "$_state/complete" 2>/dev/null)" != "$digest" ] || staged
sent "$_state" && staged

rm -rf "$_state".new.* "$_state".old.*
new=$_state.new.$$
undo() {
    rm -rf "$new"
    amiss "$1"
}
words=$(mkdir -m 700 "$new" 2>&1 && tar -xmf - -C "$new" 2>&1) || undo "$words"
[ "$(cat "$new/complete" 2>/dev/null)" = "$digest" ] || undo "the package did not arrive whole"

place() { # file, path below the directory: never through a symbolic link
    target=$_directory rest=$2
    while case $rest in */*) ;; *) false ;; esac do
        target=$target/${rest%%/*} rest=${rest#*/}
        [ ! -L "$target" ] || undo "$target: is a symbolic link, files are not placed through it"
        [ -d "$target" ] || words=$(mkdir "$target" 2>&1) || undo "$words"
    done
    target=$target/$rest
    [ -L "$target" ] || [ ! -d "$target" ] || undo "$target: Is a directory"
    words=$(mv -fT -- "$1" "$target" 2>&1) || undo "$words"
}
if [ -d "$new/files" ]; then
    (cd "$new/files" && find . -type f) >"$new/list" || undo "the files could not be listed"
    while IFS= read -r file; do place "$new/files/$file" "${file#./}"; done <"$new/list"
    rm -rf "$new/files" "$new/list"
fi
if [ "$keep" = yes ]; then
    kept=$name.sh # somebody else's file of this name stays as it is
    [ ! -e "$_directory/$kept" ] || cmp -s "$new/script" "$_directory/$kept" || kept=$name-${_token%%-*}.sh
    words=$(cp -p "$new/script" "$new/kept" 2>&1) || undo "$words"
    place "$new/kept" "$kept"
fi
if [ -e "$_state" ]; then # staged before with other content, and not sent
    mv -T "$_state" "$_state.old.$$" 2>/dev/null
    if sent "$_state.old.$$"; then
        mv -T "$_state.old.$$" "$_state" && rm -rf "$new" && staged
    fi
    for attempt in "$_state.old.$$"/attempt.*; do [ ! -d "$attempt" ] || mv "$attempt" "$new/"; done
    rm -rf "$_state.old.$$"
fi
words=$(mv -T "$new" "$_state" 2>&1) || undo "$words"
staged
