# Completion of batchfs(1) for fish. What there is to complete, the program says itself:
# `batchfs complete`, and `batchfs ls`.

function __batchfs_jobs
    set -l word (commandline -ct)
    if string match -q -- '*/*' $word
        set -l dir (string replace -r '/[^/]*$' '' -- $word)
        timeout 3 batchfs ls $dir 2>/dev/null | string replace -r '^' "$dir/"
    else
        timeout 3 batchfs ls 2>/dev/null
    end
end

function __batchfs_verb
    set -l words (commandline -opc)
    test (count $words) -ge 2; and echo $words[2]
end

# Words after the verb that are no options.
function __batchfs_names
    set -l words (commandline -opc)
    string match -v -- '-*' $words[3..-1]
end

# What ctl of the job takes now.
function __batchfs_ctl
    set -l names (__batchfs_names)
    timeout 3 batchfs cat $names[1]/ctl 2>/dev/null | string replace -r ' .*' ''
end

function __batchfs_needs_verb
    test (count (commandline -opc)) -eq 1
end

complete -c batchfs -n __batchfs_needs_verb -f -a '(batchfs complete 2>/dev/null)'
complete -c batchfs -n 'test (__batchfs_verb) = help' -f -a '(batchfs complete 2>/dev/null)'
complete -c batchfs -n 'contains -- (__batchfs_verb) run submit wait cat ls cancel fetch retry rm' \
    -f -a '(__batchfs_jobs)'
complete -c batchfs -n 'test (__batchfs_verb) = ctl; and test (count (__batchfs_names)) -eq 0' \
    -f -a '(__batchfs_jobs)'
complete -c batchfs -n 'test (__batchfs_verb) = ctl; and test (count (__batchfs_names)) -eq 1' \
    -f -a '(__batchfs_ctl)'
complete -c batchfs -n 'test (__batchfs_verb) = ctl; and test (count (__batchfs_names)) -gt 1' -f
complete -c batchfs -n 'contains -- (__batchfs_verb) run submit' -F

for verb in (batchfs complete 2>/dev/null | string split -f 1 \t)
    for line in (batchfs complete $verb 2>/dev/null)
        set -l option (string split \t -- $line)
        string match -q -- '--*' $option[1]; or continue
        set -l value
        switch $option[2]
            case ''
            case MODEL
                set value -x -a "(timeout 3 batchfs models 2>/dev/null | string split -f 1 \\t)"
            case '*FILE*' DIR
                set value -r -F
            case '*'
                set value -x
        end
        complete -c batchfs -n "test (__batchfs_verb) = $verb" \
            -l (string replace -- -- '' $option[1]) -d "$option[3]" $value
    end
end
