#!/usr/bin/env bats
# results.jsonl: whatever the API tells or does not tell about the file, however it is
# read, offline, after a remount, and when the API has forgotten it.

load ../helpers/mount

setup() { start_emulator; mount_jobs; }
teardown() { stop_all; }

# The API's own bytes of a job's output.
at_api() { # JOB
	local file
	file=$(jq -r '.metadata.output.responsesFile // .response.responsesFile' "$MNT/$1/job.json")
	api GET "/download/v1beta/$file:download?alt=media"
}

intact() { # JOB
	at_api "$1" >"$HOME/truth"
	[ -s "$HOME/truth" ]
	cmp "$HOME/truth" "$MNT/$1/results.jsonl"
}

# A job whose results are not fetched before they are read.
lazy_job() { # NAME LINES
	unmount_jobs
	mount_jobs -o fetch=read
	submit_job "$1" "$2"
	succeeded "$1"
}

@test "byte for byte the API's output" {
	submit_job a 100
	succeeded a
	intact a
}

@test "a failed line is passed on as it came" {
	knob fail_every=2
	submit_job a 4
	succeeded a
	same 2 "$(jq -c 'select(.error)' "$MNT/a/results.jsonl" | grep -c .)"
	intact a
}

@test "the output is named in one place only, or in another kind than the input" {
	for k in output_where=metadata output_where=response; do
		knob $k
		submit_job "${k#*=}" 5
		succeeded "${k#*=}"
		same 5 "$(grep -c . "$MNT/${k#*=}/results.jsonl")"
	done
	knob output_where=both output_kind=inline
	submit_job inline 5
	succeeded inline
	same "k1 k2 k3 k4 k5" "$(jq -r .key "$MNT/inline/results.jsonl" | sort | xargs)"
	knob output_kind=flat
	submit_job flat 5
	succeeded flat
	same "k1 k2 k3 k4 k5" "$(jq -r .key "$MNT/flat/results.jsonl" | sort | xargs)"
}

@test "no Content-Length, no Range, no HEAD, gzip, ETag: the same bytes" {
	local i=0
	unmount_jobs
	mount_jobs -o fetch=read
	for k in length=off range=off head=off gzip=on gzip=always etag=on delete40=on get40=on last_newline=off; do
		echo "$k"
		i=$((i + 1))
		submit_job "j$i" 200
		succeeded "j$i"
		knob "$k" "$([ "${k%=*}" = length ] && echo range=off || echo etag=on)"
		cat "$MNT/j$i/results.jsonl" >"$HOME/got"
		knob gzip=off length=on range=on head=on get40=off
		at_api "j$i" | cmp - "$HOME/got"
		cmp "$HOME/got" "$MNT/j$i/results.jsonl"
	done
}

@test "opened by name before its size is known it streams whole" {
	lazy_job a 100
	knob length=off range=off get40=on head=off
	cat "$MNT/a/results.jsonl" >"$HOME/got"
	at_api a | cmp - "$HOME/got"
	eventually sh -c 'ls "$1" | grep -q results.jsonl' - "$MNT/a"
}

@test "fetched once, however often and by however many it is read" {
	lazy_job a 2000
	local i pids=()
	for i in 1 2 3 4 5 6; do
		sha256sum <"$MNT/a/results.jsonl" >"$HOME/sum.$i" 3>&- &
		pids+=($!)
	done
	wait "${pids[@]}"
	same 1 "$(cat "$HOME"/sum.* | sort -u | grep -c .)"
	local bytes
	bytes=$(emu GET /emu/stats | jq .bytesOut)
	cat "$MNT/a/results.jsonl" >/dev/null
	remount_jobs
	cat "$MNT/a/results.jsonl" >/dev/null
	[ $(($(emu GET /emu/stats | jq .bytesOut) - bytes)) -lt 100000 ]
	intact a
}

@test "head and tail fetch what they need, not all" {
	lazy_job a 20000
	local size before after
	size=$(stat -c %s "$MNT/a/results.jsonl")
	[ "$size" -gt 4000000 ] || skip "answers are too short for this"
	before=$(emu GET /emu/stats | jq .bytesOut)
	tail -n 1 "$MNT/a/results.jsonl" | jq -e .key
	after=$(emu GET /emu/stats | jq .bytesOut)
	[ $((after - before)) -lt $((size / 2 + 500000)) ]
	intact a
}

@test "seeks: any bytes in any order" {
	lazy_job a 3000
	at_api a >"$HOME/truth"
	python3 - "$HOME/truth" "$MNT/a/results.jsonl" <<-'P'
		import os, random, sys
		truth = open(sys.argv[1], "rb").read()
		fd = os.open(sys.argv[2], os.O_RDONLY)
		random.seed(7)
		for _ in range(200):
		    off = random.randrange(len(truth) + 1000)
		    n = random.choice((1, 100, 4096, 70000))
		    want, got = truth[off:off + n], b""
		    while len(got) < len(want):
		        part = os.pread(fd, n - len(got), off + len(got))
		        assert part, "short"
		        got += part
		    assert got == want, off
		assert os.pread(fd, 10, len(truth)) == b""
	P
}

@test "mmap of results" {
	submit_job a 500
	succeeded a
	eventually results_saved a
	python3 - "$MNT/a/results.jsonl" "$HOME/got" <<-'P'
		import mmap, sys
		with open(sys.argv[1], "rb") as f:
		    m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
		    open(sys.argv[2], "wb").write(m[:])
	P
	at_api a | cmp - "$HOME/got"
}

@test "offline after a remount, without a key" {
	submit_job a 50
	succeeded a
	cat "$MNT/a/results.jsonl" >"$HOME/got"
	eventually results_saved a
	unmount_jobs
	stop_emulator
	unset GEMINI_API_KEY
	mount_jobs -o offline
	state_is a JOB_STATE_SUCCEEDED
	cmp "$HOME/got" "$MNT/a/results.jsonl"
	requests 50 | cmp - "$MNT/a/requests.jsonl"
	same 50 "$(value_of request_count "$MNT/a/stats")"
}

@test "after the API has forgotten the job" {
	submit_job a 5
	succeeded a
	eventually results_saved a
	cat "$MNT/a/results.jsonl" >"$HOME/got"
	api DELETE "/v1beta/$(cat "$MNT/a/id")"
	remount_jobs
	sleep 1
	cmp "$HOME/got" "$MNT/a/results.jsonl"
	state_is a JOB_STATE_SUCCEEDED
	# Nor do whole lists without it take it out of the tree.
	sleep 2
	same a "$(ls "$MNT")"
	state_is a JOB_STATE_SUCCEEDED
	rmdir "$MNT/a"
	eventually test ! -e "$MNT/a"
	remount_jobs
	same '' "$(ls "$MNT")"
}

@test "the cache is emptied by hand: what was brought home stays" {
	submit_job a 5
	succeeded a
	eventually results_saved a
	cat "$MNT/a/results.jsonl" >"$HOME/got"
	unmount_jobs
	rm -rf "$XDG_CACHE_HOME/batchfs"
	stop_emulator
	mount_jobs -o offline
	cmp "$HOME/got" "$MNT/a/results.jsonl"
}

@test "results of jobs that ended while nobody was mounted come home by themselves" {
	knob pending=1
	submit_job a 5
	unmount_jobs
	sleep 1.5
	mount_jobs
	eventually results_saved a
	stop_emulator
	same 5 "$(grep -c . "$MNT/a/results.jsonl")"
}

@test "fetch=all brings home the results of others' jobs, own does not" {
	make_foreign_file_job f 3
	eventually test -d "$MNT/f"
	ended f
	sleep 1
	same 0 "$(calls download)"
	remount_jobs -o fetch=all
	eventually results_saved f
}

@test "a download that is cut goes on where it broke off" {
	lazy_job a 5000
	fault 'match=download&kind=cut&at=100000'
	fault 'match=download&kind=cut&at=200000'
	cat "$MNT/a/results.jsonl" >"$HOME/got"
	at_api a | cmp - "$HOME/got"
}

@test "a download that is cut, and no Range: the same bytes all the same" {
	lazy_job a 5000
	knob range=off
	fault 'match=download&kind=cut&at=100000'
	cat "$MNT/a/results.jsonl" >"$HOME/got"
	at_api a | cmp - "$HOME/got"
}

@test "an endpoint that serves only one of the two download paths" {
	fault 'match=GET%20/download&kind=status&status=404&count=0'
	lazy_job a 100
	cat "$MNT/a/results.jsonl" >"$HOME/got"
	no_more_faults
	at_api a | cmp - "$HOME/got"
}

@test "a 503 in between is tried again" {
	lazy_job a 100
	fault 'match=download&kind=status&status=503&count=2'
	cat "$MNT/a/results.jsonl" >"$HOME/got"
	at_api a | cmp - "$HOME/got"
}

@test "reading is interrupted at once" {
	lazy_job a 100
	fault 'match=download&kind=stall&seconds=300&count=0'
	run timeout -s TERM -k 60 1 cat "$MNT/a/results.jsonl"
	same 124 "$status"
}

@test "output that the API refuses, and that is not at home: ENODATA, error says so" {
	# What tells the size may bring the first bytes along.
	lazy_job a 20000
	exec 7<"$MNT/a/results.jsonl"
	fault 'match=download&kind=status&status=404&count=0'
	run python3 -c 'import os; os.pread(7, 10, 5000000)' 7<&7
	exec 7<&-
	contains "$output" "No data available"
	contains "$(cat "$MNT/a/error")" "answered 404"
	# It may come yet: the name stays, and so does its size.
	[ -s "$MNT/a/results.jsonl" ]
}

@test "inline submission up to inline_max, results in the same lines" {
	unmount_jobs
	mount_jobs -o inline_max=100000
	submit_job a 5
	same null "$(jq .metadata.inputConfig.fileName "$MNT/a/job.json")"
	same 0 "$(files_at_api)"
	succeeded a
	same "k1 k2 k3 k4 k5" "$(jq -r .key "$MNT/a/results.jsonl" | sort | xargs)"
	jq -r '.key + " " + .response.candidates[0].content.parts[0].text' "$MNT/a/results.jsonl" |
		while read -r key text; do contains "$text" "prompt ${key#k}"; done
	requests 5 | cmp - "$MNT/a/requests.jsonl"
	# One more than fits goes as a file.
	submit_job b 2000
	[ "$(jq -r .metadata.inputConfig.fileName "$MNT/b/job.json")" != null ]
}

@test "inline results of another client's job are composed into lines" {
	make_foreign_job f 7
	eventually test -d "$MNT/f"
	ended f
	cat "$MNT/f/results.jsonl" >"$HOME/got"
	same "k1 k2 k3 k4 k5 k6 k7" "$(jq -r .key "$HOME/got" | sort | xargs)"
	eventually sh -c 'ls "$1" | grep -q results.jsonl' - "$MNT/f"
	same "$(stat -c %s "$MNT/f/results.jsonl")" "$(wc -c <"$MNT/f/results.jsonl")"
	remount_jobs
	same 7 "$(grep -c . "$MNT/f/results.jsonl")"
}

@test "a size that was told before the results were home does not cut them" {
	for i in {1..25}; do make_foreign_job "f$i" 7 >/dev/null; done
	eventually test -d "$MNT/f25"
	for i in {1..25}; do
		ended "f$i"
		stat "$MNT/f$i/results.jsonl" >/dev/null
		same 7 "$(grep -c . <"$MNT/f$i/results.jsonl")"
	done
}

@test "five megabytes of answers, by cp, cat, dd and tar" {
	submit_job a 20000
	succeeded a
	at_api a >"$HOME/truth"
	cp "$MNT/a/results.jsonl" "$HOME/1"
	cat "$MNT/a/results.jsonl" >"$HOME/2"
	dd if="$MNT/a/results.jsonl" of="$HOME/3" bs=4k status=none
	tar -C "$MNT/a" -cf - results.jsonl | tar -xOf - >"$HOME/4"
	for i in 1 2 3 4; do cmp "$HOME/truth" "$HOME/$i"; done
}
