# completions/berth.bash: completion of berth for bash. berth itself is asked what may stand there
# (src/cli/complete.c), so nothing here knows its commands.

_berth() {
	local rest=${COMP_LINE:0:COMP_POINT} first=() words=() i w
	# bash cuts words at : and =; berth's own (web:80, --network=lab) are put together again. first[n]: which of
	# bash's words the n-th begins with.
	for ((i = 0; i < COMP_CWORD; i++)); do
		w=${COMP_WORDS[i]}
		if ((i > 0)) && [[ -n $rest && $rest != [[:blank:]]* ]]; then
			words[${#words[@]} - 1]+=$w
		else
			rest=${rest#"${rest%%[![:blank:]]*}"}
			first+=("$i")
			words+=("$w")
		fi
		rest=${rest#"$w"}
	done
	if [[ -n $rest && $rest != [[:blank:]]* ]]; then
		words[${#words[@]} - 1]+=$rest
	else
		first+=("$COMP_CWORD")
		words+=("${rest#"${rest%%[![:blank:]]*}"}")
	fi

	local current=${words[${#words[@]} - 1]} program=berth line candidate cut=
	type -P "${words[0]}" >/dev/null && program=${words[0]}
	# What bash has cut off does not stand in its answer.
	[[ $current == *[:=]* && $COMP_WORDBREAKS == *[:=]* ]] && cut=${current%"${current##*[:=]}"}
	COMPREPLY=()
	while IFS= read -r line; do
		case $line in
		:files) compopt -o default; COMPREPLY+=($(compgen -f -- "${current#"$cut"}")) ;;
		:folders) compopt -o default; COMPREPLY+=($(compgen -d -- "${current#"$cut"}")) ;;
		':command '*)
			i=${line#:command }
			if declare -F _command_offset >/dev/null; then
				_command_offset "${first[i + 1]}"
			elif ((i + 2 == ${#words[@]})); then
				COMPREPLY=($(compgen -c -- "$current"))
			else
				compopt -o default
			fi
			return
			;;
		*)
			candidate=${line%%$'\t'*}
			[[ $candidate == *: ]] && compopt -o nospace
			# --network=la: the candidates are values
			[[ $current == --*=* ]] || candidate=${candidate#"$cut"}
			COMPREPLY+=("$candidate")
			;;
		esac
	done < <("$program" complete -- "${words[@]:1}" 2>/dev/null)
} 2>/dev/null

complete -F _berth berth
