# Put in front of every program that runs on a login node. POSIX sh; its environment is the person's, and goes on to sbatch,
# so nothing is exported, and names begin with _: a variable of theirs would go on with our value.
# Answers stand between two sentinel lines, for shells' start files may print what they like.
begin() { printf '\nSLURMGATE-BEGIN\n'; }
end() {
    printf 'SLURMGATE-END\n'
    exit 0
}
tell() { printf '%s=%s\n' "$1" "$2"; }
tell_file() { tell "$1" "$(tail -c 16384 "$2" 2>/dev/null | base64 | tr -d '\n')"; }
answer() { # key=value...
    begin
    printf '%s\n' "$@"
    end
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
read_place() { # token and directory, the first two lines of stdin; sets _token, _directory and _state
    IFS= read -r _token && IFS= read -r _directory || exit 1
    case $_directory in
    '~') _directory=$HOME ;;
    '~/'*) _directory=$HOME/${_directory#'~/'} ;;
    esac
    home_for "$_directory"
    _state=${_directory%/}/.slurmgate/$_token
}
count_attempts() { # folder; sets _number
    _number=0
    while [ -d "$1/attempt.$((_number + 1))" ]; do _number=$((_number + 1)); done
}
plain() { # forget what the person's start files set for Slurm's commands: it would change what they print or ask
    for name in $(env | sed -n 's/^\(\(SQUEUE\|SACCT\|SCANCEL\|SCONTROL\|SINFO\)_[A-Z_]*\|SLURM_CLUSTERS\)=.*/\1/p'); do
        unset "$name"
    done
}
