# Completion of batchfs(1) for bash. What there is to complete, the program says itself:
# `batchfs complete`, and `batchfs ls`.

_batchfs_ask() { timeout 3 "${COMP_WORDS[0]}" "$@" 2>/dev/null </dev/null; }

# Lines of stdin that begin with the word at the cursor.
_batchfs_offer() {
	local line
	while IFS= read -r line; do
		[[ $line == "$1"* ]] && COMPREPLY+=("$(printf %q "$line")")
	done
}

# NAME, or NAME/FILE: the files of that job.
_batchfs_jobs() { # CUR WITH-FILES
	local dir=${1%/*}
	if [[ -n $2 && $1 == */* ]]; then
		_batchfs_offer "$1" < <(_batchfs_ask ls "$dir" | sed "s|^|${dir//[|\\&]/}/|")
	else
		_batchfs_offer "$1" < <(_batchfs_ask ls)
	fi
	[[ -z $2 ]] || compopt -o nospace
}

_batchfs_value() { # CUR KIND
	case $2 in
	MODEL) _batchfs_offer "$1" < <(_batchfs_ask models | cut -f 1) ;;
	DIR) compopt -o filenames && mapfile -t COMPREPLY < <(compgen -d -- "$1") ;;
	*FILE*) compopt -o filenames && mapfile -t COMPREPLY < <(compgen -f -- "$1") ;;
	*'|'*) _batchfs_offer "$1" < <(tr '|' '\n' <<<"$2") ;;
	esac
}

# What is neither an option nor the value of one, between the verb and the cursor.
_batchfs_names() { # OPTIONS
	local i word value=''
	for ((i = 2; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		if [[ -n $value ]]; then
			value=''
		elif [[ $word == -* ]]; then
			value=$(awk -F '\t' -v o="$word" '$1 == o { print $2 }' <<<"$1")
		else
			printf '%s\n' "$word"
		fi
	done
}

# NAME, then what its ctl takes now.
_batchfs_ctl() { # CUR NAME...
	case $# in
	1) _batchfs_jobs "$1" '' ;;
	2) _batchfs_offer "$1" < <(_batchfs_ask cat "$2/ctl" | cut -d ' ' -f 1) ;;
	esac
}

_batchfs() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} verb=${COMP_WORDS[1]}
	local verbs options kind names
	COMPREPLY=()
	verbs=$(_batchfs_ask complete | cut -f 1)
	if ((COMP_CWORD == 1)); then
		_batchfs_offer "$cur" <<<"$verbs"
		[[ -n ${COMPREPLY[*]} ]] || _batchfs_value "$cur" DIR
		return
	fi
	if ! grep -qxF -- "$verb" <<<"$verbs"; then
		_batchfs_value "$cur" DIR
		return
	fi
	options=$(_batchfs_ask complete "$verb")
	kind=$(awk -F '\t' -v o="$prev" '$1 == o { print $2 }' <<<"$options")
	if [[ -n $kind ]]; then
		_batchfs_value "$cur" "$kind"
	elif [[ $cur == -* ]]; then
		_batchfs_offer "$cur" < <(cut -f 1 <<<"$options")
	else
		mapfile -t names < <(_batchfs_names "$options")
		case $verb in
		help) _batchfs_offer "$cur" <<<"$verbs" ;;
		cat | ls) _batchfs_jobs "$cur" files ;;
		run | submit)
			case ${#names[@]} in
			0) _batchfs_jobs "$cur" '' ;;
			1) _batchfs_value "$cur" FILE ;;
			esac
			;;
		ctl) _batchfs_ctl "$cur" "${names[@]}" ;;
		wait | cancel | fetch | retry | rm) _batchfs_jobs "$cur" '' ;;
		esac
	fi
}

complete -F _batchfs batchfs
