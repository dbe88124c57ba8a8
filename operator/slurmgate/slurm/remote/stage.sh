# Puts packages into their places, so that submit.sh finds all of a package or nothing.
# stdin: the person; then of each package its length in bytes, and that many of them: token, directory, name, whether a copy of the
# script is kept, digest of the package; then a tar archive of it.
amiss() { # what is missing has been there: the home may be away
    case $1 in *'No such file or directory'*) fail "$1 ($_directory was there a moment ago)" ;; esac
    fail "$1"
}
refuse_exchangeable() { # a path: nothing on the way to it, itself included, may be exchanged by everybody, or whoever shares it out
    above=$1
    while [ -n "$above" ]; do above=${above%/*} && set -- "$@" "${above:-/}"; done
    words=$(find "$@" -maxdepth 0 -perm -0002 \( ! -perm -1000 -o ! -uid 0 ! -uid "$_uid" \))
    [ -z "$words" ] || fail "${words%%
*}: everybody may write there, and so exchange what is staged: choose another directory"
}
staged() {
    count_attempts "$_state"
    answer "directory=$_directory" "attempts=$_number"
}
whole() { # folder: whether all of the package lies in it
    found=
    { IFS= read -r found <"$1/complete"; } 2>/dev/null
    [ "$found" = "$digest" ]
}
sent() { # folder: whether an attempt was made that may have given a job
    for attempt in "$1"/attempt.*; do [ -d "$attempt" ] && [ ! -e "$attempt/failed" ] && return 0; done
    return 1
}
undo() {
    rm -rf "$new"
    amiss "$1"
}
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
stage() {
    read_place
    IFS= read -r name && IFS= read -r keep && IFS= read -r digest || exit 1
    judge_path "$_directory"
    [ -z "$_why" ] || fail "$_why"
    [ -d "$_directory/.slurmgate" ] || words=$(mkdir -p -- "$_directory/.slurmgate" 2>&1) || {
        case $_directory in "$HOME"/*) [ -w "$HOME" ] || words="$words ($HOME: the home is not there or cannot be written to)" ;; esac
        fail "$words"
    }
    cd -P -- "$_directory" 2>/dev/null || amiss "$(cd -P -- "$_directory" 2>&1)"
    _directory=$PWD
    [ -w "$_directory" ] || { # why, says who tries: the file system may be read-only
        words=$(touch "$_directory/.slurmgate/.$_token" 2>&1) && rm -f "$_directory/.slurmgate/.$_token" || fail "$words"
        fail "$_directory: Permission denied"
    }
    _state=${_directory%/}/.slurmgate/$_token
    refuse_exchangeable "${_directory%/}/.slurmgate"
    [ ! -L "${_directory%/}/.slurmgate" ] || fail "${_directory%/}/.slurmgate: is a symbolic link, files are not placed through it"
    refuse_intruders
    ! whole "$_state" || staged
    ! sent "$_state" || staged

    for left in "$_state".new.* "$_state".old.*; do [ ! -e "$left" ] || rm -rf "$left"; done
    new=$_state.new.$$
    words=$(mkdir -m 700 "$new" 2>&1 && tar -xmf - -C "$new" 2>&1) || undo "$words"
    whole "$new" || undo "the package did not arrive whole"
    [ -z "${_slurmgate_within:-}" ] || [ -z "$(find "$new" ! -type f ! -type d)" ] || undo "there are links in the package"
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
}
read_person
while IFS= read -r bytes; do
    _item=$((_item + 1))
    # dd takes exactly its bytes before it hands any on, whether they are read or not: what follows is the next package
    dd bs="$bytes" count=1 iflag=fullblock 2>/dev/null | (stage)
done
over
