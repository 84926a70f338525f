# Completion of ndock in fish. What may come next is asked of ndock itself.

# __ndock_suggest sets what it offers, and fails where a file is wanted, which fish completes by itself.
function __ndock_suggest
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -g __ndock_suggestions ($words[1] complete $words[2..] "$current" 2>/dev/null)
    not contains -- :files $__ndock_suggestions
end

complete -c ndock -n __ndock_suggest -f -a '$__ndock_suggestions'
