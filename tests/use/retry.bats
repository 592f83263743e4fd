#!/usr/bin/env bats
# Asking again in the same directory what was not answered: the verb retry, and retries=N.

load ../helpers/mount

setup() {
	export BATCHFS_TEST_DOUBT_SECONDS=0.01 BATCHFS_TEST_RETRY_SECONDS=0.1
	start_emulator
}
teardown() { stop_all; }

outcomes() { cut -f 1,2 --output-delimiter=' ' "$MNT/a/answers.tsv" | paste -sd ,; }
value_of() { awk -v n="$2" '$1 == n { print $2 }' "$MNT/a/$1"; }

@test "retry asks in the same directory what failed, and its parts tell what each came to" {
	local first
	knob fail_every=2
	mount_jobs
	mkdir "$MNT/a"
	requests 4 >"$MNT/a/requests.jsonl"
	succeeded a
	eventually test -s "$MNT/a/retry.jsonl"
	same "k2 k4" "$(jq -r .key "$MNT/a/retry.jsonl" | xargs)"
	first=$(value_of usage total_token_count)
	same "" "$(find "$MNT/a" -name parts)"
	knob fail_every=0
	grep -qx retry "$MNT/a/ctl"
	sleep 1.1 # times are told in seconds
	echo retry >"$MNT/a/ctl"
	succeeded a
	same "k1 answered,k2 answered,k3 answered,k4 answered" "$(outcomes)"
	same 2 "$(jobs_at_api)"
	same "0001 0002" "$(ls "$MNT/a/parts" | xargs)"
	# As of any directory: when the newest was made in it.
	same "$(stat -c %Y "$MNT/a/parts/0002")" "$(stat -c %Y "$MNT/a/parts")"
	same 2 "$(grep -c . "$MNT/a/parts/0002/answers.tsv")"
	((first < $(value_of usage total_token_count)))
	same 1 "$(value_of stats rounds)"
	same EBUSY "$(errno_of_ctl a retry)"
	remount_jobs
	same "k1 answered,k2 answered,k3 answered,k4 answered" "$(outcomes)"
	rmdir "$MNT/a"
	becomes 0 jobs_at_api
}

@test "retries=2 asks twice by itself, and wait waits for that" {
	knob fail_every=1
	mount_jobs -o retries=2
	mkdir "$MNT/a"
	requests 2 >"$MNT/a/requests.jsonl"
	timeout "$PATIENCE" cat "$MNT/a/wait"
	same 3 "$(jobs_at_api)"
	same "k1 failed,k2 failed" "$(outcomes)"
	same 2 "$(value_of stats rounds)"
	same "" "$(value_of stats retries_left)"
}

one_half_is_answered() {
	[ "$(outcomes | grep -o answered | wc -l)" = 2 ] && [ "$(outcomes | grep -o missing | wc -l)" = 2 ]
}

@test "error tells of the parts whose requests still have no result, and of no others" {
	mount_jobs -o split=2
	knob pending=1000
	mkdir "$MNT/a"
	requests 4 >"$MNT/a/requests.jsonl"
	eventually test -e "$MNT/a/parts/0002/id"
	for part in 1 2; do
		emu POST "/emu/job/$(basename "$(cat "$MNT/a/parts/000$part/id")")" -d '{"state":"EXPIRED"}' >/dev/null
	done
	ended a
	same 2 "$(grep -c "^parts/000[12]: The job expired" "$MNT/a/error")"
	eventually test -s "$MNT/a/retry.jsonl"
	# Of what is asked again, one half is refused; either may be sent first.
	fault 'match=create&kind=status&status=400&skip=1&count=1'
	knob pending=0.05
	echo retry >"$MNT/a/ctl"
	ended a
	eventually one_half_is_answered
	case $(outcomes) in "k1 answered,k2 answered,"*) good=0001 bad=0002 ;; *) good=0002 bad=0001 ;; esac
	contains "$(cat "$MNT/a/error")" "parts/$bad: The job expired"
	lacks "$(cat "$MNT/a/error")" "parts/$good"
	contains "$(cat "$MNT/a/parts/$good/error")" "The job expired"
	eventually grep -qx retry "$MNT/a/ctl"
	echo retry >"$MNT/a/ctl"
	ended a
	becomes "k1 answered,k2 answered,k3 answered,k4 answered" outcomes
	[ ! -e "$MNT/a/error" ]
	remount_jobs
	same "k1 answered,k2 answered,k3 answered,k4 answered" "$(outcomes)"
	[ ! -e "$MNT/a/error" ]
}

@test "a table, and inputs with pictures, are asked again like other requests" {
	knob fail_every=2
	mount_jobs -o split=2
	mkdir "$MNT/a" "$MNT/t"
	printf '\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\10\2\0\0\0' | tee "$MNT/a/inputs/one.png" \
		"$MNT/a/inputs/two.png" "$MNT/a/inputs/three.png" >/dev/null
	echo "What is it?" >"$MNT/a/prompt.txt"
	printf 'word\nhen\ncow\npig\n' >"$MNT/t/inputs.csv"
	echo "What is a {word}?" >"$MNT/t/prompt.txt"
	echo submit >"$MNT/a/ctl"
	echo submit >"$MNT/t/ctl"
	succeeded a
	succeeded t
	eventually test -s "$MNT/a/retry.jsonl"
	eventually test -s "$MNT/t/retry.jsonl"
	knob fail_every=0
	echo retry >"$MNT/a/ctl"
	echo retry >"$MNT/t/ctl"
	succeeded a
	succeeded t
	same "one.png answered,three.png answered,two.png answered" "$(outcomes)"
	same 3 "$(grep -c ',answered,' "$MNT/t/answers.csv")"
}
