# Put in front of every program that runs on a login node. POSIX sh; its environment is the person's, and goes on to sbatch,
# so nothing is exported, and names begin with _: a variable of theirs would go on with our value.
# Answers stand between two sentinel lines, for shells' start files may print what they like.
_item= # number of what is being answered, where several things are asked at once
begin() {
    printf '\nSLURMGATE-BEGIN\n'
    [ -z "$_item" ] || tell item "$_item"
}
end() {
    printf 'SLURMGATE-END\n'
    exit 0
}
tell() { printf '%s=%s\n' "$1" "$2"; }
tell_file() { # the end of a file in base64; if it is one plain word, as it is, after "=": that takes no process
    [ -s "$2" ] || return 0
    { IFS= read -r _line && ! IFS= read -r _more && [ -z "$_more" ]; } <"$2"
    case $?$_line in
    0 | *[!0-9A-Za-z_.\;-]* | [!0]*) tell "$1" "$(tail -c 16384 "$2" 2>/dev/null | base64 | tr -d '\n')" ;;
    *) tell "$1" "=$_line" ;;
    esac
}
answer() { # key=value...
    begin
    printf '%s\n' "$@"
    end
}
over() { # nothing of what was asked is begun any more
    _item=
    answer over=yes
}
fail() { # the words of what went wrong
    cat >/dev/null
    begin
    tell trouble "$(printf '%s' "$1" | base64 | tr -d '\n')"
    end
}
home_for() { # a path; what is not mounted says nothing: no marker is to be seen there, and nothing can be written
    case $1 in
    "${HOME:-?}" | "${HOME:-?}"/*) [ -O "$HOME" ] || [ -w "$HOME" ] || fail "$HOME: the home is not there" ;;
    esac
}
read_person() { # the mapped user and the least uid, the first two lines of stdin; nothing is done for anybody else, or the system
    IFS= read -r _user && IFS= read -r _least || exit 1
    _login=$(id -un 2>/dev/null)
    _uid=$(id -u) && [ "$_login" = "$_user" ] && [ "$_uid" -ge "$_least" ] || {
        cat >/dev/null
        answer "login=$_login" "uid=$_uid"
    }
}
read_place() { # token and directory, two lines of stdin; sets _token, _directory and _state
    IFS= read -r _token && IFS= read -r _directory || exit 1
    find_place
}
find_place() { # sets _state, and makes _directory absolute
    case $_directory in
    '~') _directory=$HOME ;;
    '~/'*) _directory=$HOME/${_directory#'~/'} ;;
    esac
    home_for "$_directory"
    _state=${_directory%/}/.slurmgate/$_token
}
judge() { # sets _why: the reason why nothing is to be done at $_state, empty if there is none
    # whoever may rename the folders above it could have put his own in its place, or a link to somewhere else
    _why=
    [ ! -L "$_state" ] && { [ ! -e "$_state" ] || [ -O "$_state" ]; } || _why="$_state: is not this user's own folder"
    [ -n "$_why" ] || judge_path "$_directory"
}
judge_path() { # sets _why likewise; slurmgate-shell allows some folders only ($_slurmgate_within)
    _why=
    [ -n "${_slurmgate_within:-}" ] || return 0
    for _folder in $_slurmgate_within; do
        case $(readlink -m -- "$1")/ in "$(readlink -m -- "$_folder")"/*) return 0 ;; esac
    done
    _why="$1: slurmgate-shell on the login node allows only what is below $_slurmgate_within"
}
refuse_intruders() {
    judge
    [ -z "$_why" ] || fail "$_why"
}
count_attempts() { # folder; sets _number
    _number=0
    while [ -d "$1/attempt.$((_number + 1))" ]; do _number=$((_number + 1)); done
}
plain() { # forget what the person's start files set for Slurm's commands: it would change what they print or ask
    for name in $(env | sed -n 's/^\(\(SQUEUE\|SACCT\|SCANCEL\|SCONTROL\|SINFO\)_[A-Z_]*\|SLURM_\(WORKING_\)\?CLUSTERS\?\)=.*/\1/p'); do
        unset "$name"
    done
}
