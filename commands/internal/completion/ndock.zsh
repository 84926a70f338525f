#compdef ndock
# Completion of ndock in zsh. What may come next is asked of ndock itself.

_ndock() {
    local line
    local -a suggestions
    for line in ${(f)"$(${~words[1]} complete "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)"}; do
        if [[ $line == :files ]]; then
            [[ $PREFIX == -* ]] && compset -P 1 '*='
            _files
            return
        fi
        suggestions+=("${${line//:/\\:}/$'\t'/:}")
    done
    _describe ndock suggestions
}

# In a directory of $fpath this file is the function's body; sourced, it defines it.
if [[ $funcstack[1] == _ndock ]]; then
    _ndock "$@"
else
    compdef _ndock ndock
fi
