# shellcheck shell=bash
# Completion of ndock in bash 4 and later. What may come next is asked of ndock itself.

# _ndock_words sets words to what is typed up to the cursor. Bash's own COMP_WORDS are parted at = and : too.
_ndock_words() {
    local line=${COMP_LINE:0:COMP_POINT} word
    words=()
    for word in "${COMP_WORDS[@]:0:COMP_CWORD}" ''; do
        if [[ $line == [[:space:]]* || ${#words[@]} -eq 0 ]]; then
            line=${line#"${line%%[![:space:]]*}"}
            words+=('')
        fi
        words[${#words[@]}-1]+=${word:-$line} # the last is what is left of the line
        line=${line#"$word"}
    done
}

_ndock() {
    local -a words
    local suggestion current
    _ndock_words
    current=${words[${#words[@]}-1]}
    COMPREPLY=()
    while IFS=$'\t' read -r suggestion _; do
        if [[ $suggestion == :files ]]; then
            compopt -o default
        elif [[ $suggestion == "$current"* ]]; then
            COMPREPLY+=("${suggestion#"${current%"${current##*["$COMP_WORDBREAKS"]}"}"}") # bash replaces what is behind a break
        fi
    done < <("${1/#\~/$HOME}" complete "${words[@]:1}" 2>/dev/null)
}

complete -F _ndock ndock
