# Requests: into the spool, checked, sent.

suite_write() {
	start_emulator --set pending=100000
	local requests=$work/requests.jsonl n
	make_requests "$size" >"$requests"
	for ((n = 0; n < rounds; n++)); do
		note "write: round $((n + 1)) of $rounds"
		write_once "$requests" "job$n"
	done
	unmount_jobs
	stop_emulator
	rm -f "$requests"
	check_speed
}

# MIB of request lines of a kilobyte each.
make_requests() {
	awk -v n="$(($1 << 10))" 'BEGIN {
		for (s = ""; length(s) < 850; s = s "Summarise the following paragraph in a sentence. ");
		for (i = 0; i < n; i++)
			printf "{\"key\":\"request-%09d\",\"request\":{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"%s\"}]}]}}\n", i, s
	}'
}

write_once() { # REQUESTS JOB
	rm -f "$work/copy"
	warm
	timed send emulator upload "$1"
	forget_uploads
	warm
	timed send cp+curl cp_and_upload "$1"
	rm -f "$work/copy"
	forget_uploads
	fresh_mount
	mkdir "$mnt/$2"
	warm
	timed send batchfs cp "$1" "$mnt/$2/requests.jsonl"
	sample send-memory batchfs $(($(memory VmHWM) / 1024))
	forget_uploads
	spool_once "$1" "$2-ctl"
	unmount_jobs
}

spool_once() { # REQUESTS JOB
	warm
	earlier copied_before "$1"
	timed_cpu spool cp-disk cp "$1" "$work/copy"
	rm -f "$work/copy"
	spool_by_nullfs "$1"
	fresh_mount submit=ctl
	warm
	earlier spooled_before "$1"
	mkdir "$mnt/$2"
	timed_cpu spool batchfs cp "$1" "$mnt/$2/requests.jsonl"
	timed check-pass batchfs sh -c 'echo check >"$0"' "$mnt/$2/ctl"
}

# The same bytes through a filesystem that only writes them to a file.
spool_by_nullfs() { # REQUESTS
	mkdir -p "$work/null"
	NULLFS_SINK=$work/sink "$bin/bench_nullfs" "$work/null"
	warm
	earlier copied_before "$1"
	timed spool nullfs cp "$1" "$work/null/sink"
	fusermount3 -u "$work/null"
	rm -f "$work/sink"
}

upload() { # FILE: to the same sink as the mount, by curl
	local session
	session=$(fetch -o /dev/null -D - "${line_url:-$url}/upload/v1beta/files" -d '{"file":{}}' \
		-H 'X-Goog-Upload-Protocol: resumable' -H 'X-Goog-Upload-Command: start' \
		-H 'Content-Type: application/json' \
		-H "X-Goog-Upload-Header-Content-Length: $(stat -c %s "$1")" \
		-H 'X-Goog-Upload-Header-Content-Type: application/jsonl' |
		tr -d '\r' | sed -n 's/^x-goog-upload-url: //Ip')
	fetch -o /dev/null -X POST -T "$1" "$session" -H 'Expect:' \
		-H 'X-Goog-Upload-Command: upload, finalize' -H 'X-Goog-Upload-Offset: 0'
}

cp_and_upload() {
	cp "$1" "$work/copy"
	upload "$work/copy"
}

# What was sent takes room.
forget_uploads() {
	local name
	for name in $(api GET /v1beta/files | jq -r '.files[]?.name'); do
		api DELETE "/v1beta/$name" >/dev/null
	done
}

# Seconds a GB of one core, by kind of line: the slowest kind is the figure.
check_speed() {
	local n
	for ((n = 0; n < 1; n++)); do
		"$bin/bench_scan" $((size / 16)) | tee "$out/scan.txt" | awk '
			match($0, /[0-9.]+ GB\/s/) {
				v = 1 / substr($0, RSTART, RLENGTH)
				if (v > most) most = v
			}
			END { print most }' >"$work/check"
		sample check batchfs "$(cat "$work/check")"
	done
}
