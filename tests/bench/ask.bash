# The same requests from a file to the answers in the order asked: by a script on Google's
# SDK, by one on curl and jq, and by cp, cat of wait, and cp again.

ask_requests=200000 ask_poll=1

suite_ask() {
	local requests=$work/ask.jsonl n who sdk=$root/tests/sdk
	[ -d "$sdk/node_modules/@google/genai" ] ||
		(cd "$sdk" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2)
	ask_make $((size < 1024 ? ask_requests * size / 1024 : ask_requests)) >"$requests"
	for ((n = 0; n < rounds; n++)); do
		note "ask: round $((n + 1)) of $rounds"
		for who in sdk curl+jq batchfs; do
			start_emulator --set running=2
			export GOOGLE_GEMINI_BASE_URL=$url
			"ask_by_$who" "$requests"
			unset GOOGLE_GEMINI_BASE_URL
			stop_emulator
		done
		cmp "$work/sdk.tsv" "$work/curl+jq.tsv" >&2 || die "ask: other answers by curl and jq"
		cut -f 1,3 "$work/batchfs.tsv" | cmp - "$work/sdk.tsv" >&2 || die "ask: other answers"
	done
	rm -f "$requests" "$work"/*.tsv
}

# N lines of half a kilobyte.
ask_make() {
	awk -v n="$1" 'BEGIN {
		for (s = ""; length(s) < 380; s = s "Summarise the following paragraph in a sentence. ");
		for (i = 0; i < n; i++)
			printf "{\"key\":\"request-%09d\",\"request\":{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"%d. %s\"}]}]}}\n", i, i, s
	}'
}

ask_by_sdk() { # REQUESTS
	ask_measured sdk node "$root/tests/sdk/ask.mjs" "$1" "$work/sdk.tsv" "$ask_poll"
}

ask_by_curl+jq() { # REQUESTS
	ask_measured curl+jq "$here/ask-curl" "$1" "$work/curl+jq.tsv" "$ask_poll"
}

ask_by_batchfs() { # REQUESTS
	fresh_mount "fetch=own,poll=$ask_poll,model=gemini-3.8-flash"
	ask_measured batchfs sh -c 'mkdir "$2/ask" && cp "$0" "$2/ask/requests.jsonl" &&
		cat "$2/ask/wait" && cp "$2/ask/answers.tsv" "$1"' \
		"$1" "$work/batchfs.tsv" "$mnt"
	unmount_jobs
}

# Of batchfs what the mount took since it began, too.
ask_measured() { # WHO COMMAND...
	local who=$1 calls0 wall cpu kib mount_cpu=0 mount_kib=0
	shift
	calls0=$(calls)
	"$bin/bench_usage" "$work/usage" "$@" >/dev/null || die "ask: $*"
	read -r wall cpu kib <"$work/usage"
	if [ "$who" = batchfs ]; then
		mount_cpu=$(sed 's/.*) //' "/proc/$mount_pid/stat" |
			awk -v hz="$(getconf CLK_TCK)" '{ print ($12 + $13) * 1e6 / hz }')
		mount_kib=$(memory VmHWM)
	fi
	sample ask-time "$who" "$(awk "BEGIN { print $wall / 1e6 }")"
	sample ask-cpu "$who" "$(awk "BEGIN { print ($cpu + $mount_cpu) / 1e6 }")"
	sample ask-memory "$who" "$(((kib + mount_kib) / 1024))"
	sample ask-calls "$who" $(($(calls) - calls0))
}
