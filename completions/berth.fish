# completions/berth.fish: completion of berth for fish. berth itself is asked what may stand there
# (src/cli/complete.c), so nothing here knows its commands.

function __berth_complete
    set -l words (commandline -opc) (commandline -ct)
    for line in ($words[1] complete -- $words[2..-1] 2>/dev/null)
        switch $line
            case :files
                __fish_complete_path (commandline -ct)
            case :folders
                __fish_complete_directories (commandline -ct)
            case ':command *'
                set -l from (math (string replace ':command ' '' -- $line) + 2)
                complete -C (string join ' ' -- (string escape -- $words[$from..-2]) $words[-1])
                return
            case '*'
                # --network=la: what is offered are values
                if string match -q -- '--*=*' $words[-1]
                    echo (string replace -r '=.*' '=' -- $words[-1])$line
                else
                    echo $line
                end
        end
    end
end

complete -c berth -f -a '(__berth_complete)'
