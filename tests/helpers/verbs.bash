# Verbs without a mount, and through one.

# b VERB [argument...]: batchfs as a script would call it. What it says is in $SAID.
b() {
	timeout "$PATIENCE" "$BATCHFS" "$@" -o ttl=1,poll=1 2>"$SAID" 3>&-
}

# ends STATUS COMMAND...: it ends with that exit status; what it wrote is in $OUT.
ends() {
	local expected=$1 status=0
	shift
	# shellcheck disable=SC2034 # for those who load this
	OUT=$("$@") || status=$?
	[ $status = "$expected" ] || {
		echo "$* ended with $status, not $expected: $(cat "$SAID")"
		return 1
	}
}

said() { contains "$(cat "$SAID")" "$1"; }

# both_ways COMMAND...: without a mount and through one, on other projects. $THROUGH: options
# of that mount.
both_ways() {
	"$@" || return
	export GEMINI_API_KEY=another XDG_STATE_HOME=$HOME/.other XDG_CACHE_HOME=$HOME/.other-cache
	mount_jobs ${THROUGH:+-o "$THROUGH"} && "$@" && unmount_jobs
}
