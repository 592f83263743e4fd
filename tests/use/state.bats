#!/usr/bin/env bats
# state, stats, wait, and how many calls looking costs.

load ../helpers/mount

setup() { start_emulator; }
teardown() { stop_all; }

@test "both spellings of states, and none, are shown as JOB_STATE_" {
	mount_jobs
	for spelling in batch job bare; do
		knob state_spelling=$spelling
		submit_job "$spelling"
		succeeded "$spelling"
	done
}

@test "pending, running, succeeded" {
	knob pending=1 running=3
	mount_jobs
	submit_job a
	state_is a JOB_STATE_PENDING
	eventually state_is a JOB_STATE_RUNNING
	eventually state_is a JOB_STATE_SUCCEEDED
}

@test "failed: state, error, no results" {
	knob outcome=failed "failed_message=The%20dog%20ate%20it."
	mount_jobs
	submit_job a
	same JOB_STATE_FAILED "$(timeout 30 cat "$MNT/a/wait")"
	contains "$(cat "$MNT/a/error")" "The dog ate it."
	[ "$(wc -l <"$MNT/a/error")" -ge 2 ]
	[ ! -e "$MNT/a/results.jsonl" ]
}

@test "expired, with and without an error of the API" {
	knob outcome=expired
	mount_jobs
	submit_job a
	same JOB_STATE_EXPIRED "$(timeout 30 cat "$MNT/a/wait")"
	[ -s "$MNT/a/error" ]
	knob expired_error=on
	submit_job b
	same JOB_STATE_EXPIRED "$(timeout 30 cat "$MNT/b/wait")"
	[ -s "$MNT/b/error" ]
}

@test "ended jobs whose done is absent have ended" {
	knob outcome=failed ended_done=off failed_code=0
	mount_jobs
	submit_job a
	same JOB_STATE_FAILED "$(timeout 30 cat "$MNT/a/wait")"
}

@test "cancelled" {
	knob pending=1000
	mount_jobs
	submit_job a
	echo cancel >"$MNT/a/ctl"
	same JOB_STATE_CANCELLED "$(timeout 30 cat "$MNT/a/wait")"
}

@test "stats: counts as numbers or strings, zeros left out or not, none at all" {
	knob fail_every=3
	mount_jobs
	for k in counts=string counts=number zero_counts=on; do
		knob "$k"
		submit_job "${k%=*}-${k#*=}" 6
		succeeded "${k%=*}-${k#*=}"
		same "request_count 6
successful_request_count 4
failed_request_count 2
pending_request_count 0" "$(cat "$MNT/${k%=*}-${k#*=}/stats")"
	done
}

@test "stats of a draft" {
	mount_jobs
	draft a
	run -0 cat "$MNT/a/stats"
	requests 7 >>"$MNT/a/requests.jsonl"
	echo check >"$MNT/a/ctl"
	same 7 "$(value_of request_count "$MNT/a/stats")"
}

@test "wait of a draft answers at once" {
	mount_jobs
	draft a
	same DRAFT "$(timeout 10 cat "$MNT/a/wait")"
}

@test "wait with offline answers at once" {
	knob pending=1000
	mount_jobs
	submit_job a
	remount_jobs -o offline
	same JOB_STATE_PENDING "$(timeout 10 cat "$MNT/a/wait")"
}

@test "wait is interrupted at once by TERM, INT and KILL" {
	knob pending=1000
	mount_jobs -o poll=30
	submit_job a
	for sig in TERM INT KILL HUP; do
		# timeout(1) would send KILL much later: then it would be 137.
		run timeout -s $sig -k 60 1 cat "$MNT/a/wait"
		[ $sig = KILL ] && same 137 "$status" || same 124 "$status"
	done
	ls -l "$MNT/a"
}

@test "wait survives signals that are no reason to give up" {
	knob pending=3
	mount_jobs
	submit_job a
	cat "$MNT/a/wait" >"$HOME/out" 3>&- &
	local pid=$!
	for s in WINCH CONT CHLD URG STOP CONT; do
		sleep 0.1
		kill -$s $pid
	done
	wait $pid
	same JOB_STATE_SUCCEEDED "$(cat "$HOME/out")"
}

@test "wait sits out an outage" {
	knob pending=2
	mount_jobs
	submit_job a
	cat "$MNT/a/wait" >"$HOME/out" 2>&1 3>&- &
	local pid=$!
	stop_emulator
	sleep 2
	start_emulator
	wait $pid
	same JOB_STATE_SUCCEEDED "$(cat "$HOME/out")"
}

@test "wait for a job that is deleted elsewhere meanwhile is ENOENT" {
	knob pending=1000
	mount_jobs
	local id
	id=$(make_foreign_job a)
	eventually test -d "$MNT/a"
	cat "$MNT/a/wait" >"$HOME/out" 2>&1 3>&- &
	local pid=$!
	sleep 0.3
	api DELETE "/v1beta/$id"
	local status=0
	wait $pid || status=$?
	same 1 $status
	contains "$(cat "$HOME/out")" "No such file"
}

@test "wait is not over before the output is named" {
	knob late_output=2
	mount_jobs
	submit_job a
	succeeded a
	[ -e "$MNT/a/results.jsonl" ]
	same 3 "$(grep -c . "$MNT/a/results.jsonl")"
}

@test "wait has an answer for a key refused meanwhile" {
	knob pending=1000
	mount_jobs
	submit_job a
	fault 'match=*&kind=status&status=401&count=0'
	run -1 timeout "$PATIENCE" cat "$MNT/a/wait"
	contains "$output" "Permission denied"
}

@test "a thousand readers of wait: no thread each, a few calls between them" {
	knob pending=4
	mount_jobs
	submit_job a
	local before after
	before=$(all_calls)
	python3 - "$MNT/a/wait" "/proc/$FS_PID/task" >"$HOME/out" <<-'P'
		import os, sys, threading
		out = []
		def read():
		    with open(sys.argv[1]) as f:
		        out.append(f.read())
		threading.stack_size(256 * 1024)
		ts = [threading.Thread(target=read) for _ in range(1000)]
		for t in ts: t.start()
		n = len(os.listdir(sys.argv[2]))
		for t in ts: t.join()
		print(len(out), n < 100, *set(out), end="")
	P
	same "1000 True JOB_STATE_SUCCEEDED" "$(cat "$HOME/out")"
	after=$(all_calls)
	[ $((after - before)) -lt 60 ]
}

@test "with a hundred readers parked everything else still answers" {
	knob pending=1000
	mount_jobs
	submit_job a
	local i pids=()
	for ((i = 0; i < 100; i++)); do
		cat "$MNT/a/wait" >/dev/null 2>&1 3>&- &
		pids+=($!)
	done
	sleep 0.5
	timeout "$PATIENCE" ls -lR "$MNT" >/dev/null
	draft b
	timeout "$PATIENCE" cat "$MNT/a/state" "$MNT/.batchfs/status" >/dev/null
	kill "${pids[@]}"
	wait "${pids[@]}" || true
	unmount_jobs
}

@test "a hundred reads of state at the same time ask once" {
	knob pending=1000
	mount_jobs -o ttl=1000,poll=1000
	submit_job a
	cat "$MNT/a/state"
	local before i
	before=$(all_calls)
	for ((i = 0; i < 100; i++)); do cat "$MNT/a/state"; done >/dev/null
	[ $(($(all_calls) - before)) -le 1 ]
}

@test "ls -lR, find and stat cost no call per job" {
	mount_jobs -o ttl=1000,poll=1000
	local i before
	for ((i = 0; i < 30; i++)); do make_foreign_job "j$i" 1 >/dev/null; done
	remount_jobs -o ttl=1000,poll=1000
	before=$(all_calls)
	ls -lR "$MNT" >/dev/null
	find "$MNT" -size +0 >/dev/null
	ls -l "$MNT" >/dev/null
	[ $(($(all_calls) - before)) -lt 30 ]
}

@test "an ended job is never asked for again" {
	mount_jobs
	submit_job a
	succeeded a
	eventually results_saved a
	local before
	before=$(calls get)
	for _ in 1 2 3; do
		cat "$MNT/a/state" "$MNT/a/stats" "$MNT/a/job.json" >/dev/null
		sleep 1.1
	done
	same "$before" "$(calls get)"
}

@test "an unknown state is printed as it came" {
	mount_jobs
	knob outcome=partial
	submit_job a
	run -0 timeout "$PATIENCE" cat "$MNT/a/wait"
	same JOB_STATE_PARTIALLY_SUCCEEDED "$output"
	same 3 "$(grep -c . "$MNT/a/results.jsonl")"
}

@test "a wall clock that steps back by hours stops no look" {
	export BATCHFS_TEST_OWN_SECONDS=1
	step_clock 0
	mount_jobs
	knob pending=1000
	submit_job own
	state_is own JOB_STATE_PENDING
	step_clock -36000
	make_foreign_job other >/dev/null
	sleep 1.1 # ttl
	same EEXIST "$(errno_of 'os.mkdir(a[0])' "$MNT/other")"
	local id
	id=$(cat "$MNT/own/id")
	emu POST "/emu/job/${id#batches/}" -d '{"state": "SUCCEEDED"}' >/dev/null
	eventually state_is own JOB_STATE_SUCCEEDED
	eventually results_saved own
}
