#!/usr/bin/env bats
# A directory that is served by several jobs of the API, as a person's tools see it.

load ../helpers/mount

setup() {
	start_emulator
	mount_jobs
}
teardown() { stop_all; }

# cut_job NAME N M: N requests in parts of M.
cut_job() {
	requests "$2" >"$BATS_TEST_TMPDIR/in.jsonl"
	mkdir "$MNT/$1"
	echo "$3" >"$MNT/$1/split"
	cp "$BATS_TEST_TMPDIR/in.jsonl" "$MNT/$1/requests.jsonl"
}

@test "parts are directories for ls, find, make, tar, rsync, cp; and all of it goes with rmdir" {
	cut_job a 5 2
	touch "$BATS_TEST_TMPDIR/before" -d "1 minute ago"
	same JOB_STATE_SUCCEEDED "$(timeout 60 cat "$MNT/a/wait")"
	eventually test -s "$MNT/a/parts/0003/answers.tsv"
	cd "$MNT/a" || return
	same "0001 0002 0003" "$(ls parts | xargs)"
	same "2 2 1" "$(for p in parts/*; do value_of request_count $p/stats; done | xargs)"
	same "5 3 3" "$(for n in request_count parts parts_ended; do value_of $n stats; done | xargs)"
	same "answers.tsv id job.json results.jsonl state stats usage" "$(ls parts/0002 | xargs)"
	[ ! -e id ] && [ ! -e job.json ]
	# An id is a part's.
	id=$(cut -d / -f 2 parts/0002/id)
	same a/parts/0002 "$(readlink "$MNT/$id")"
	cmp "$MNT/$id/stats" parts/0002/stats
	# Times: what came is newer than what was asked.
	same parts/0003/results.jsonl "$(find parts/0003 -newer requests.jsonl -name results.jsonl)"
	printf 'out: %s\n\tcp %s out\n' "$MNT/a/parts/0001/results.jsonl" "$MNT/a/parts/0001/results.jsonl" \
		>"$BATS_TEST_TMPDIR/Makefile"
	make -s -C "$BATS_TEST_TMPDIR"
	contains "$(make -C "$BATS_TEST_TMPDIR")" "up to date"
	# Copies are whole.
	cp -r parts "$BATS_TEST_TMPDIR/cp"
	rsync -a parts/ "$BATS_TEST_TMPDIR/rsync/" 2>/dev/null || cp -r parts "$BATS_TEST_TMPDIR/rsync"
	mkdir "$BATS_TEST_TMPDIR/tar"
	tar cf - parts | tar xf - -C "$BATS_TEST_TMPDIR/tar"
	for copy in cp rsync tar/parts; do diff -r parts "$BATS_TEST_TMPDIR/$copy"; done
	# Nothing can be made or removed there.
	for try in "mkdir parts/x" "rmdir parts/0001" "touch parts/0001/x" "mv parts/0001 parts/9" \
		"rm parts/0001/state" "rmdir parts"; do
		run ! $try
		contains "$output" "Operation not permitted"
	done
	same "a/0001 a/0002 a/0003" "$(awk -F '\t' '$3 == "created" { print $5 }' "$MNT/.batchfs/history" | xargs)"
	same 1 "$(grep -c ^a "$MNT/.batchfs/jobs")"
	cd /
	rmdir "$MNT/a"
	becomes 0 jobs_at_api
	eventually sh -c '[ "$(ls "$1"/jobs | wc -l)" = 0 ]' - "$XDG_STATE_HOME"/batchfs/*
	same 3 "$(find "$XDG_STATE_HOME"/batchfs/*/trash -path '*/parts/000?/journal' | grep -c .)"
	same 1 "$(grep -c ^trashed "$MNT/.batchfs/status")"
}

@test "split: what can be written, and until when" {
	draft a
	same auto "$(cat "$MNT/a/split")"
	for word in none 100 auto; do
		echo $word >"$MNT/a/split"
		same $word "$(cat "$MNT/a/split")"
	done
	for word in 0 -1 many 1.5; do
		run ! bash -c 'echo "$1" >"$2"' - "$word" "$MNT/a/split"
		contains "$output" "Invalid argument"
	done
	cut_job b 2 1
	run ! sh -c 'echo 1 >"$1"' - "$MNT/b/split"
	same 1 "$(cat "$MNT/b/split")"
}

@test "cancel and fetch mean all parts" {
	knob pending=1000
	cut_job a 4 1
	becomes 4 value_of parts_sent "$MNT/a/stats"
	same JOB_STATE_PENDING "$(cat "$MNT/a/state")"
	echo cancel >"$MNT/a/ctl"
	same JOB_STATE_CANCELLED "$(timeout 60 cat "$MNT/a/wait")"
	same 4 "$(calls cancel)"
}

# job_is ID STATE: at the API.
job_is() { emu POST "/emu/job/${1#batches/}" -d "{\"state\":\"$2\"}" >/dev/null; }

@test "a part that another removed at the API has ended: the rest is readable, retry buys it again" {
	unmount_jobs
	export BATCHFS_TEST_MISSING_SECONDS=0.3 BATCHFS_TEST_GONE_SECONDS=1
	knob pending=1000
	mount_jobs
	cut_job a 6 2
	eventually test -e "$MNT/a/parts/0003/id"
	cd "$MNT/a" || return
	job_is "$(cat parts/0001/id)" SUCCEEDED
	job_is "$(cat parts/0003/id)" SUCCEEDED
	emu DELETE "/emu/job/$(basename "$(cat parts/0002/id)")" >/dev/null
	same JOB_STATE_PARTIALLY_SUCCEEDED "$(timeout "$PATIENCE" cat wait)"
	state_is a JOB_STATE_PARTIALLY_SUCCEEDED
	contains "$(cat error)" "parts/0002: The API does not know this job any more"
	contains "$(cat error)" "echo retry > ctl"
	same "2 4 0" "$(for n in failed successful pending; do value_of ${n}_request_count stats; done | xargs)"
	becomes "answered answered missing missing answered answered" sh -c 'cut -f 2 answers.tsv | xargs'
	same 4 "$(grep -c . results.jsonl)"
	same "k3 k4" "$(jq -r .key retry.jsonl | xargs)"
	knob pending=0.05
	echo retry >ctl
	same JOB_STATE_PARTIALLY_SUCCEEDED "$(timeout "$PATIENCE" cat wait)"
	becomes 6 grep -c answered answers.tsv
	# The directory's error is of what is still missing; the part keeps its own.
	[ ! -e error ]
	contains "$(cat parts/0002/error)" "does not know this job"
	same 6 "$(grep -c . results.jsonl)"
	same 4 "$(value_of parts stats)"
	cd /
	rmdir "$MNT/a"
	becomes 0 jobs_at_api
}

@test "a job that another removed at the API is bought again by retry, not by itself" {
	unmount_jobs
	export BATCHFS_TEST_MISSING_SECONDS=0.3 BATCHFS_TEST_GONE_SECONDS=1 BATCHFS_TEST_RETRY_SECONDS=0.1
	knob pending=1000
	mount_jobs -o retries=3
	mkdir "$MNT/a"
	requests 2 >"$MNT/a/requests.jsonl"
	emu DELETE "/emu/job/$(basename "$(cat "$MNT/a/id")")" >/dev/null
	run ! timeout "$PATIENCE" cat "$MNT/a/wait"
	contains "$output" "No such file"
	contains "$(cat "$MNT/a/error")" "echo retry > ctl"
	same 2 "$(jq -r .key "$MNT/a/retry.jsonl" | grep -c .)"
	same 0 "$(jobs_at_api)"
	knob pending=0.05
	echo retry >"$MNT/a/ctl"
	same JOB_STATE_PARTIALLY_SUCCEEDED "$(timeout "$PATIENCE" cat "$MNT/a/wait")"
	becomes 2 grep -c answered "$MNT/a/answers.tsv"
	same 1 "$(jobs_at_api)"
}

@test "results that the API fails to send for a while: error says so, until they are saved" {
	unmount_jobs
	export BATCHFS_TEST_BACKOFF_SECONDS=0.02
	mount_jobs
	fault 'match=download&kind=status&status=503&count=100000'
	cut_job a 2 1
	cut_job b 1 1
	eventually grep -q "^parts/0001: The results are not saved yet: the API failed" "$MNT/a/error"
	eventually grep -q "^parts/0002: The results are not saved yet" "$MNT/a/error"
	eventually grep -q "^The results are not saved yet: the API failed" "$MNT/b/error"
	contains "$(cat "$MNT/b/error")" "echo fetch > ctl"
	no_more_faults
	eventually results_saved a
	eventually results_saved b
	[ ! -e "$MNT/a/error" ]
	[ ! -e "$MNT/b/error" ]
	same 2 "$(grep -c answered "$MNT/a/answers.tsv")"
}
