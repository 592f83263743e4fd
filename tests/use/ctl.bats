#!/usr/bin/env bats
# ctl: the verbs, which fit when, what is no verb.

load ../helpers/mount

setup() { start_emulator; mount_jobs; }
teardown() { stop_all; }

verbs() { xargs <"$MNT/$1/ctl"; }

@test "reading lists the verbs that fit now" {
	draft a
	contains "$(verbs a)" submit
	contains "$(verbs a)" check
	lacks "$(verbs a)" cancel
	knob pending=1000
	requests 1 >"$MNT/a/requests.jsonl"
	same cancel "$(verbs a)"
	echo cancel >"$MNT/a/ctl"
	ended a
	lacks "$(verbs a)" cancel
	lacks "$(verbs a)" submit
}

@test "what is no verb is EINVAL" {
	draft a
	for v in nonsense '' SUBMIT 'submit now' submitt "$(head -c 5000 /dev/zero | tr '\0' x)"; do
		echo "$v"
		same EINVAL "$(errno_of_ctl a "$v")"
	done
	state_is a DRAFT
	grep -q 'a: "submitt" is not a verb: did you mean submit (DRAFT; verbs that fit: submit, check, estimate, queue)' \
		"$MNT/.batchfs/log"
}

@test "a verb that does not fit the state is EBUSY" {
	draft a
	for v in cancel fetch resubmit 'adopt batches/x'; do
		echo "$v"
		same EBUSY "$(errno_of_ctl a "$v")"
	done
	requests 1 >"$MNT/a/requests.jsonl"
	ended a
	for v in submit check resubmit cancel; do
		echo "$v"
		same EBUSY "$(errno_of_ctl a "$v")"
	done
	same 1 "$(calls create)"
	grep -q 'a: "submit" is not possible now (JOB_STATE_SUCCEEDED; verbs that fit: ' "$MNT/.batchfs/log"
}

@test "with and without a newline, at any offset, one verb a write" {
	draft a
	requests 1 >>"$MNT/a/requests.jsonl"
	printf check >"$MNT/a/ctl"
	printf 'check\n' >>"$MNT/a/ctl"
	bash -c 'exec 3>"$1"; echo check >&3; echo check >&3; echo submit >&3' - "$MNT/a/ctl"
	same 1 "$(calls create)"
}

@test "cancel returns when the API has accepted it" {
	knob pending=1000
	draft a
	requests 1 >"$MNT/a/requests.jsonl"
	same OK "$(errno_of_ctl a cancel)"
	same 1 "$(calls cancel)"
	ended a
	state_is a JOB_STATE_CANCELLED
}

@test "cancel of a running job that ends well keeps what was served" {
	knob pending=0 running=1000
	submit_job a 5
	eventually state_is a JOB_STATE_RUNNING
	echo cancel >"$MNT/a/ctl"
	ended a
	state_is a JOB_STATE_SUCCEEDED
	same 5 "$(value_of request_count "$MNT/a/stats")"
	eventually test -e "$MNT/a/usage"
	n=$(grep -c 'CANCELLED (1)' "$MNT/a/answers.tsv")
	[ "$n" -gt 0 ]
	contains "$(cat "$MNT/a/warnings")" "a cancel was asked for: $n of 5 requests were not answered"
	remount_jobs
	contains "$(cat "$MNT/a/warnings")" "a cancel was asked for: $n of 5 requests were not answered"
	same 1 "$(grep -c "	cancel-asked	" "$MNT/.batchfs/history")"
}

@test "cancel while it is uploaded or queued: a draft again, and nothing is bought" {
	fault 'match=upload&kind=stall_body&seconds=60&at=10'
	draft a
	requests 3 >"$HOME/in.jsonl"
	cp "$HOME/in.jsonl" "$MNT/a/requests.jsonl" 2>"$HOME/err" 3>&- &
	local cp=$!
	eventually state_is a UPLOADING
	grep -qx cancel "$MNT/a/ctl"
	same OK "$(errno_of_ctl a cancel)"
	state_is a DRAFT
	run wait $cp
	same 1 "$status"
	contains "$(cat "$MNT/a/error")" 'stopped by cancel'
	no_more_faults
	# What is wrong with it is said no longer than it is true.
	remount_jobs -o submit=background
	fault 'match=create&kind=status&status=429&count=0'
	echo submit >"$MNT/a/ctl"
	eventually grep -q queued "$MNT/a/error"
	state_is a QUEUED
	same OK "$(errno_of_ctl a cancel)"
	state_is a DRAFT
	contains "$(cat "$MNT/a/error")" 'stopped by cancel'
	no_more_faults
	remount_jobs
	state_is a DRAFT
	same 0 "$(jobs_at_api)"
	echo submit >"$MNT/a/ctl"
	succeeded a
	[ ! -e "$MNT/a/error" ]
	same 1 "$(jobs_at_api)"
}

# The kernel has one writer wait for another in a file; and echo of a shell, or a write of
# Python, begins again on EINTR.
@test "cancel reaches what somebody waits for in ctl, who does not begin it again" {
	remount_jobs -o submit=ctl
	draft a
	requests 3 >"$MNT/a/requests.jsonl"
	fault 'match=upload&kind=stall_body&seconds=600&at=10'
	errno_of_ctl a submit >"$HOME/says" 3>&- &
	local waits=$!
	eventually state_is a UPLOADING
	echo cancel >"$MNT/a/ctl"
	wait $waits
	same ECANCELED "$(cat "$HOME/says")"
	state_is a DRAFT
	no_more_faults
	same 0 "$(calls create)"
	same 1 "$(stat -c %i "$MNT/a/ctl" "$MNT/a/ctl" | sort -u | wc -l)"
}

@test "cancel that the API refuses" {
	knob pending=1000
	submit_job a
	fault 'match=cancel&kind=status&status=403'
	same EACCES "$(errno_of_ctl a cancel)"
	state_is a JOB_STATE_PENDING
}

@test "fetch brings results home and returns when they are" {
	unmount_jobs
	mount_jobs -o fetch=read
	submit_job a
	ended a
	same 0 "$(calls download)"
	same OK "$(errno_of_ctl a fetch)"
	results_saved a
	same OK "$(errno_of_ctl a fetch)" # which has nothing left to do
	stop_emulator
	same 3 "$(grep -c . "$MNT/a/results.jsonl")"
}

@test "fetch takes home what is whole in the cache, without a download" {
	unmount_jobs
	mount_jobs -o fetch=read
	make_foreign_file_job far 3
	eventually test -d "$MNT/far"
	succeeded far
	cat "$MNT/far/results.jsonl" >"$HOME/got"
	eventually results_saved far
	local before
	before=$(calls download)
	contains "$(cat "$MNT/far/ctl")" fetch
	same OK "$(errno_of_ctl far fetch)"
	same "$before" "$(calls download)"
	unmount_jobs
	rm -r "$XDG_CACHE_HOME"
	mount_jobs -o offline
	cmp "$HOME/got" "$MNT/far/results.jsonl"
}

@test "fetch of a job of another client" {
	make_foreign_file_job a 4
	eventually test -d "$MNT/a"
	ended a
	same OK "$(errno_of_ctl a fetch)"
	stop_emulator
	same 4 "$(grep -c . "$MNT/a/results.jsonl")"
}

@test "submit after a failure, as often as it takes" {
	draft a
	fault 'match=create&kind=status&status=403&count=2'
	run ! cp <(requests 1) "$MNT/a/requests.jsonl"
	same EACCES "$(errno_of_ctl a submit)"
	same OK "$(errno_of_ctl a submit)"
	same 1 "$(jobs_at_api)"
}

@test "two submits at the same time buy once" {
	draft a
	requests 3 >>"$MNT/a/requests.jsonl"
	knob create_delay=1
	local i pids=()
	for i in 1 2 3 4 5; do
		errno_of_ctl a submit >"$HOME/out.$i" 3>&- &
		pids+=($!)
	done
	wait "${pids[@]}"
	same 1 "$(calls create)"
	grep -q OK "$HOME"/out.*
}
