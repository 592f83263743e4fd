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

_batchfs() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} verb=${COMP_WORDS[1]}
	local verbs options kind
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
		case $verb in
		help) _batchfs_offer "$cur" <<<"$verbs" ;;
		cat | ls) _batchfs_jobs "$cur" files ;;
		run | submit)
			_batchfs_jobs "$cur" ''
			((COMP_CWORD < 3)) || _batchfs_value "$cur" FILE
			;;
		wait | cancel | fetch | retry | rm | ctl) _batchfs_jobs "$cur" '' ;;
		esac
	fi
}

complete -F _batchfs batchfs
