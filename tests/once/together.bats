#!/usr/bin/env bats
# Two machines, one account: each with a state directory of its own, both see all jobs,
# and neither takes, doubles or spoils what the other does.

load ../helpers/mount

setup() {
	start_emulator
	export BATCHFS_TEST_SETTLE_SECONDS=4 BATCHFS_TEST_CLOSE_SECONDS=2
	A=$HOME/a B=$HOME/b
}
teardown() { stop_all; }

both() { # CACHE-OF-B [OPTION...]
	local cache=$1
	shift
	MNT=$A mount_jobs -o state_dir="$HOME/sa",cache_dir="$HOME/ca" "$@"
	MNT=$B mount_jobs -o state_dir="$HOME/sb",cache_dir="$cache" "$@"
}

# The prompts of a job's results by what its own requests ask.
right() { # DIR WORD
	same "You said: $2 1 You said: $2 2 You said: $2 3" \
		"$(jq -r '.response.candidates[0].content.parts[0].text' "$1/results.jsonl" | sort | xargs)"
}
asks() { # WORD
	local n
	for n in 1 2 3; do
		jq -cn --arg t "$1 $n" '{key: $t, request: {contents: [{parts: [{text: $t}]}]}}'
	done
}

@test "one name, both answers lost: each finds its own, and shows the other's beside it" {
	both "$HOME/cb"
	knob list_input_config=off
	# Drafts that neither knows of the other.
	mkdir "$A/j" "$B/j"
	asks one >"$HOME/one"
	asks two >"$HOME/two"
	fault 'match=create&kind=drop_after&count=2'
	cp "$HOME/one" "$A/j/requests.jsonl" &
	local cp=$!
	run cp "$HOME/two" "$B/j/requests.jsonl"
	wait $cp || true
	eventually test -s "$A/j/id"
	eventually test -s "$B/j/id"
	same 2 "$(jobs_at_api)"
	[ "$(cat "$A/j/id")" != "$(cat "$B/j/id")" ]
	MNT=$A succeeded j
	MNT=$B succeeded j
	right "$A/j" one
	right "$B/j" two
	# Each shows both, its own under the name itself.
	eventually eval '[ "$(ls "$A" | wc -l) $(ls "$B" | wc -l)" = "2 2" ]'
	right "$(ls -d "$A"/j~*)" two
	right "$(ls -d "$B"/j~*)" one
	# rmdir takes the one that it names.
	rmdir "$A/j"
	becomes 1 jobs_at_api
	right "$B/j" two
	same "$(cat "$B/j/id")" "$(emu GET /emu/jobs | jq -r '.jobs[].name')"
}

@test "mkdir of a name that the other has just bought is EEXIST" {
	both "$HOME/cb"
	requests 3 >"$HOME/in"
	mkdir "$A/j"
	cp "$HOME/in" "$A/j/requests.jsonl"
	sleep 1.1 # as old as ttl lets it be
	same EEXIST "$(errno_of 'os.mkdir(a[0])' "$B/j")"
	same 1 "$(jobs_at_api)"
}

@test "no list at mkdir: the name is looked up before anything is bought" {
	both "$HOME/cb"
	requests 3 >"$HOME/in"
	MNT=$A submit_job j
	sleep 1.1 # as old as ttl lets it be
	fault 'match=list&kind=html&status=404&count=0'
	mkdir "$B/j" "$B/k"
	same EHOSTUNREACH "$(errno_of_write "$B/j/requests.jsonl" "$(cat "$HOME/in")")"
	same 1 "$(calls create)"
	# What the draft does not know is in its journal.
	MNT=$B kill_batchfs # the last one mounted
	MNT=$B mount_jobs -o state_dir="$HOME/sb",cache_dir="$HOME/cb"
	no_more_faults
	eventually test -d "$B/j"
	same EEXIST "$(MNT=$B errno_of_ctl j submit)"
	same 1 "$(calls create)"
	same SUBMIT_FAILED "$(cat "$B/j/state")"
	contains "$(cat "$B/j/error")" "Another job of the project has this name"
	contains "$(cat "$B/j/error")" "$(cat "$A/j/id")"
	# A name that is free is found to be so, and the other is given up for one.
	cp "$HOME/in" "$B/k/requests.jsonl"
	mv "$B/j" "$B/l"
	echo submit >"$B/l/ctl"
	same 3 "$(jobs_at_api)"
}

@test "no list at mkdir, in the background: it waits, and is not bought if the name is taken" {
	export BATCHFS_TEST_QUEUE_SECONDS=1
	both "$HOME/cb" -o submit=background
	MNT=$A submit_job j
	eventually test -s "$A/j/id"
	sleep 1.1 # as old as ttl lets it be
	fault 'match=list&kind=html&status=404&count=0'
	MNT=$B submit_job j
	MNT=$B becomes QUEUED cat "$B/j/state"
	eventually grep -q . "$B/j/error"
	no_more_faults
	becomes SUBMIT_FAILED cat "$B/j/state"
	contains "$(cat "$B/j/error")" "Another job of the project has this name"
	same 1 "$(calls create)"
}

@test "a name that a list confirms costs no other call" {
	MNT=$A mount_jobs -o ttl=600
	ls "$A"
	MNT=$A submit_job j
	same 1 "$(calls create)"
	same 1 "$(calls list)"
}

@test "the other's job can be cancelled and removed; its own machine keeps what it has" {
	both "$HOME/cb"
	knob pending=1000
	MNT=$A submit_job j
	eventually test -d "$B/j"
	echo cancel >"$B/j/ctl"
	same JOB_STATE_CANCELLED "$(timeout 60 cat "$A/j/wait")"
	rmdir "$B/j"
	becomes 0 jobs_at_api
	[ -d "$A/j" ]
	cmp "$BATS_TEST_TMPDIR/in.jsonl" "$A/j/requests.jsonl"
}

@test "two state directories, one cache directory: nothing wrong is read" {
	local n
	for n in 1 2 3 4 5 6; do
		make_foreign_file_job "f$n" 400 >/dev/null
	done
	both "$HOME/ca" -o fetch=all
	fault 'match=download&kind=cut&at=3000&count=5'
	for n in 1 2 3 4 5 6; do
		eventually test -d "$A/f$n"
		eventually test -d "$B/f$n"
		MNT=$A ended "f$n"
		cat "$A/f$n/results.jsonl" >"$HOME/a.$n" 2>/dev/null &
		cat "$B/f$n/results.jsonl" >"$HOME/b.$n" 2>/dev/null || true
		wait $! || true
	done
	no_more_faults
	MNT=$B remount_jobs -o state_dir="$HOME/sb",cache_dir="$HOME/ca"
	for n in 1 2 3 4 5 6; do
		eventually test -e "$B/f$n/results.jsonl"
		same 400 "$(jq -r .key "$A/f$n/results.jsonl" | sort -u | wc -l)"
		cmp "$A/f$n/results.jsonl" "$B/f$n/results.jsonl"
	done
}
