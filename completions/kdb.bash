# Completion of kdb in bash. What there is to suggest, kdb itself says.

_kdb() {
    local -a records
    # Behind < and > stands a file.
    if [[ ${COMP_LINE:0:COMP_POINT} =~ [[:space:]][0-9]*[\<\>]+[[:space:]]*[^[:space:]]*$ ]]; then
        compopt -o default -o filenames
        return
    fi
    mapfile -d '' -t records < <(
        command kdb --complete bash "${COMP_LINE:0:COMP_POINT}" "$COMP_WORDBREAKS" 2>/dev/null
    )
    COMPREPLY=("${records[@]:1}")
    case ${records[0]-} in
        files) compopt -o default -o filenames ;;
        nospace) compopt -o nospace ;;
    esac
}

complete -o nosort -F _kdb kdb
