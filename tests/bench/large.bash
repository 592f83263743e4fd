# Requests that are more than one job may have: streamed into a directory that is cut into ten
# parts, against a tenth of them as one job. Of the same kind, so what ten times as much
# costs a byte shows what cutting adds: passes over the file, copies, memory.

suite_large() {
	local n
	start_emulator --set pending=100000
	for ((n = 0; n < rounds; n++)); do
		note "large: round $((n + 1)) of $rounds"
		large_once one $((size / 10)) none
		large_once parts "$size" $((size * 1024 / 10))
	done
	stop_emulator
	"$bin/bench_parts" 1000000 20
}

large_once() { # WHO MIB SPLIT
	local keys=$(($2 << 10)) io user_sys start
	fresh_mount "retries=0"
	mkdir "$mnt/$1"
	echo "$3" >"$mnt/$1/split"
	start=$EPOCHREALTIME
	large_peak &
	make_requests "$2" >"$mnt/$1/requests.jsonl" || die "large: $(cat "$mnt/$1/error")"
	until [ "$(cat "$mnt/$1/state")" = JOB_STATE_PENDING ]; do sleep 0.1; done
	large_sample time "$1" "$2" $((${EPOCHREALTIME/./} - ${start/./})) 1000000
	kill %large_peak 2>/dev/null || kill $! 2>/dev/null || true
	wait $! 2>/dev/null || true
	user_sys=$(awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/$mount_pid/stat")
	large_sample cpu "$1" "$2" "$user_sys" "$(getconf CLK_TCK)"
	for io in rchar wchar; do
		large_sample "$io" "$1" "$2" \
			"$(awk -v f="$io:" '$1 == f { print $2 }' "/proc/$mount_pid/io")" 1000000000
	done
	large_sample disk "$1" "$2" "$(du -s --block-size=1 "$work/state" | cut -f 1)" 1000000000
	sample large-memory "$1" $((($(cat "$work/peak") * 1024 - 8 * keys) >> 20))
	sample large-jobs "$1" "$(api GET '/v1beta/batches?pageSize=100' | jq '.operations | length')"
	unmount_jobs
	for io in $(api GET '/v1beta/files?pageSize=100' | jq -r '.files[]?.name'); do
		api DELETE "/v1beta/$io" >/dev/null
	done
	for io in $(api GET '/v1beta/batches?pageSize=100' | jq -r '.operations[]?.name'); do
		emu DELETE "/v1beta/$io" -H "x-goog-api-key: $GEMINI_API_KEY" >/dev/null || true
	done
}

# A figure for each GB that was sent.
large_sample() { # MEASURE WHO MIB VALUE UNIT
	sample "large-$1" "$2" "$(awk -v v="$4" -v u="$5" -v m="$3" \
		'BEGIN { printf "%.3f", v / u / (m * 1048576 / 1e9) }')"
}

# The most anonymous memory, in KiB, into $work/peak.
large_peak() {
	local peak=0 now
	while now=$(memory RssAnon 2>/dev/null) && [ -n "$now" ]; do
		((now <= peak)) || {
			peak=$now
			echo "$peak" >"$work/peak.new" && mv "$work/peak.new" "$work/peak"
		}
		sleep 0.05
	done
}
