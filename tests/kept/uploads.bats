#!/usr/bin/env bats
# Faults while the files that requests name are uploaded: what is done stays done, and it
# is one job, or none and a word why.

load ../helpers/mount
load ../helpers/pictures

MANY=40

setup() {
	start_emulator
}
teardown() { stop_all; }

# A draft with MANY pictures and a line for each.
many() { # JOB
	local i
	draft "$1"
	for ((i = 1; i <= MANY; i++)); do
		picture "$i" >"$MNT/$1/$i.png"
		ask "k$i" "$i.png"
	done >"$HOME/in.jsonl"
}
# The right one with each key.
all_right() { # JOB
	local i
	succeeded "$1"
	for i in 1 2 $((MANY / 2)) $MANY; do
		got_file "$1" "k$i" "$MNT/$1/$i.png"
	done
	same "$MANY" "$(jq -r '.response.candidates[0].content.parts[0].text' "$MNT/$1/results.jsonl" | sort -u | grep -c png)"
}
uploads_at_most() { # N
	[ "$(calls upload)" -le "$1" ] || {
		echo "$(calls upload) uploads, expected at most $1"
		return 1
	}
}
more_than_ten() { [ "$(calls upload)" -gt 10 ]; }
bury() {
	wait "$FS_PID" 2>/dev/null || true
	export FS_PIDS=
	fusermount3 -uz "$MNT"
}
dead() { ! kill -0 "$FS_PID" 2>/dev/null; }

@test "kill -9 in the middle of many uploads: the next submit goes on there" {
	BATCHFS_TEST_STOP=attached#$((MANY / 2)) mount_jobs
	many a
	run cp "$HOME/in.jsonl" "$MNT/a/requests.jsonl"
	[ "$status" != 0 ]
	eventually dead
	bury
	same 0 "$(calls create)"
	mount_jobs
	state_is a DRAFT
	echo submit >"$MNT/a/ctl"
	all_right a
	# Those that were on their way when it died, and the requests.
	uploads_at_most $((MANY + 4 + 1))
	same 1 "$(calls create)"
	# What nobody had been told of any more: it dies by itself.
	eventually few_files
}
few_files() { [ "$(files_at_api)" -lt 4 ]; }

@test "the same behind: nobody has to ask" {
	BATCHFS_TEST_STOP=attached#$((MANY / 2)) mount_jobs -o submit=background
	many a
	cp "$HOME/in.jsonl" "$MNT/a/requests.jsonl"
	eventually dead
	bury
	mount_jobs -o submit=background
	all_right a
	uploads_at_most $((MANY + 4 + 1))
	same 1 "$(calls create)"
}

@test "errors and cuts on the way are passed over" {
	mount_jobs
	many a
	fault 'match=upload_start&kind=status&status=503&count=1&skip=2'
	fault 'match=upload&kind=drop_before&count=1&skip=4'
	fault 'match=upload&kind=drop_after&count=2&skip=6'
	fault 'match=upload&kind=status&status=429&count=1&skip=9'
	fault 'match=upload&kind=garbage&count=1&skip=12'
	cp "$HOME/in.jsonl" "$MNT/a/requests.jsonl"
	all_right a
	same 1 "$(calls create)"
	becomes 0 files_at_api
}

@test "one that is refused: no job, its name and the API's words; the rest is kept" {
	mount_jobs
	many a
	fault 'match=upload_start&kind=status&status=400&text=this%20picture%20is%20bad&count=1&skip=20'
	run cp "$HOME/in.jsonl" "$MNT/a/requests.jsonl"
	[ "$status" != 0 ]
	state_is a SUBMIT_FAILED
	grep -q '^[0-9]*.png: .*this picture is bad' "$MNT/a/error"
	same 0 "$(calls create)"
	echo submit >"$MNT/a/ctl"
	all_right a
	uploads_at_most $((MANY + 1))
}

@test "a network that goes away in between" {
	mount_jobs
	many a
	fault 'match=upload&kind=drop_before&count=0&skip=10'
	fault 'match=upload_query&kind=drop_before&count=0'
	fault 'match=upload_start&kind=drop_before&count=0&skip=14'
	cp "$HOME/in.jsonl" "$MNT/a/requests.jsonl" &
	cp=$!
	eventually more_than_ten
	kill "$cp"
	wait "$cp" || true
	becomes DRAFT cat "$MNT/a/state"
	no_more_faults
	echo submit >"$MNT/a/ctl"
	all_right a
	same 1 "$(calls create)"
}
