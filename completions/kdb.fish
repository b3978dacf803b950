# Completion of kdb in fish. What there is to suggest, kdb itself says.

function __kdb_complete
    # The words before the cursor come without their quotes, and the one at it with them.
    set -l words (commandline -opc | string escape)
    set -e words[1]
    set -l current (commandline -ct)
    set -l records (command kdb --complete fish $words "$current" 2>/dev/null | string split0)
    if test "$records[1]" = files
        __fish_complete_path "$current"
    else
        set -e records[1]
        printf '%s\n' $records
    end
end

complete -c kdb -f -a '(__kdb_complete)'
