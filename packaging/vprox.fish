# Fish completion for vprox(8). It asks the program itself, so that it knows what the program knows.

# Prints the commands, or the options of one: a line each, "--option<TAB>what its value is called".
function __vprox_ask
    # vprox-device is vprox, which is beside it; only under its own name it answers.
    set -l program (string replace -r -- '-device$' '' $argv[1])
    command $program completion $argv[2..] 2>/dev/null
end

# Proposes what may follow an option: "auto|kernel|embedded", "FILE", "USER", or nothing known; each
# behind a prefix: "", or "--plane=".
function __vprox_value -a prefix value current
    switch $value
        case '*|*'
            printf "$prefix%s\n" (string split '|' -- $value)
        case FILE
            printf "$prefix%s\n" (__fish_complete_path $current)
        case USER
            printf "$prefix%s\n" (__fish_complete_users)
    end
end

function __vprox_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l program (eval echo $words[1])
    set -l command device
    set -l previous
    set -l operands
    if not string match -qr '(^|/)vprox-device$' -- $program
        if test (count $words) = 1
            printf '%s\n' (__vprox_ask $program) --help --version
            return
        end
        set command $words[2]
        set -e words[1]
    end
    if test (count $words) -gt 1
        set previous $words[-1]
    end

    set -l lines (__vprox_ask $program $command)
    set -l assigned (string match -r '^(--[^=]*)=(.*)' -- $current)
    for line in $lines
        set -l option (string split -f 1 \t -- $line)
        set -l value (string split -f 2 \t -- $line)
        if contains -- $option $assigned[2]
            __vprox_value "$option=" (string trim -c '[]' -- $value) $assigned[3]
            return
        end
        # A value in brackets may be left out, and never is a word of its own.
        if contains -- $option $previous; and string match -qr '^[^[]' -- $value
            __vprox_value '' $value $current
            return
        end
    end
    set -q assigned[1]; or string split -f 1 \t -- $lines
end

complete -c vprox -f -a '(__vprox_complete)'
complete -c vprox-device -f -a '(__vprox_complete)'
