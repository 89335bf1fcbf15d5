# shellcheck shell=bash
# bash completion for presignd. Commands and options are read from the program's own --help, so this
# file names none of them.

# Adds what begins with $2 to the answers: `-W "words"`, `-f` for files.
_presignd_add()
{
    mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen $1 "${@:3}" -- "$2")
}

_presignd()
{
    local word=${COMP_WORDS[COMP_CWORD]} help wanted verbs i
    local program=${COMP_WORDS[0]/#\~\//$HOME/}
    local -a words=() # before this one; bash takes the "=" of --option=value for a word too
    for i in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        [[ $i == = ]] || words+=("$i")
    done
    [[ $word != = ]] || word=

    COMPREPLY=()
    # "  serve    answers ...": a command of the program
    if ((${#words[@]} == 0)); then
        help=$("$program" --help 2>/dev/null)
        _presignd_add -W "$word" "$(sed -n 's/^  \([a-z][a-z-]*\)  *.*/\1/p' <<<"$help") help"
        return
    fi
    help=$("$program" "${words[0]}" --help </dev/null 2>/dev/null) || return

    # "--config FILE", "  backup FILE  ...": what stands behind the word before
    wanted=$(grep -oE -e '(^  [a-z]+|--[a-z][a-z-]*) [A-Z][A-Z=]*' <<<"$help" |
        while read -r i wanted; do [[ $i != "${words[-1]}" ]] || echo "$wanted"; done | head -n 1)
    # "  show USER  ...", "  export  ...": a verb of the command, if none stands there
    verbs=$(sed -n 's/^  \([a-z][a-z]*\)\( [A-Z]\{1,\}\)*  .*/\1/p' <<<"$help")
    for i in "${words[@]:1}"; do
        [[ " ${verbs//$'\n'/ } " != *" $i "* ]] || verbs=
    done

    if [[ -z $wanted && $word == -* ]]; then
        _presignd_add -W "$word" "$({ grep -oE -e '--[a-z][a-z-]*' <<<"$help"; echo --help; } | sort -u)"
        return
    fi
    [[ $wanted ]] || _presignd_add -W "$word" "$verbs"
    # "  FILE  ...": a file without an option before it
    if [[ $wanted == FILE ]] || { [[ -z $wanted ]] && grep -q '^  FILE  ' <<<"$help"; }; then
        compopt -o filenames 2>/dev/null
        _presignd_add -f "$word"
    fi
}

complete -F _presignd presignd
