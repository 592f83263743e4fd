#!/usr/bin/env bats
# Inline jobs, refusals, quota, and work that is done behind.

load ../helpers/mount
load ../helpers/answers

# ---- inline ------------------------------------------------------------------------------------------

inline() { unmount_jobs && mount_jobs -o inline_max=100000; }

@test "inline: the one job that fits is it" {
	inline
	fault 'match=create&kind=drop_after'
	same EIO "$(cp_errno)"
	eventually has_id
	one_job
	alone
	same 1 "$(calls create)"
}

@test "inline: none fits" {
	inline
	make_foreign_job b 4 >/dev/null
	make_foreign_job a 5 >/dev/null
	fault 'match=create&kind=drop_before'
	same EIO "$(cp_errno)"
	uncertain
	echo resubmit >"$MNT/a/ctl"
	one_job 3
}

@test "inline: one that was known before is not it" {
	inline
	make_foreign_job a 4 >/dev/null
	eventually sh -c 'ls "$1" | grep -q "^a~"' - "$MNT"
	fault 'match=create&kind=drop_before'
	same EIO "$(cp_errno)"
	uncertain
	same 1 "$(jobs_at_api)"
}

# Met by the look for ours alone: what a list shows is known, and somebody else's.
@test "inline: one of another name, or made long before, is not it" {
	export BATCHFS_TEST_OWN_SECONDS=1000
	inline
	fault 'match=create&kind=drop_before'
	cp "$IN" "$J" 2>/dev/null 3>&- &
	local cp=$!
	becomes 1 calls create
	make_foreign_job b 4 >/dev/null
	emu POST /emu/job -d '{"displayName":"a","age":3600,"requests":4,"inline":true,"output":true}' >/dev/null
	wait $cp || true
	sleep 5
	uncertain
	run ! grep batches/ "$MNT/a/error"
}

@test "inline: several fit: error names them, one is adopted, the others are shown" {
	inline
	knob list_delay=1
	fault 'match=create&kind=drop_after'
	cp "$IN" "$J" 2>/dev/null 3>&- &
	local cp=$! id
	becomes 1 calls create
	id=$(emu GET /emu/jobs | jq -r '.jobs[0].name')
	make_foreign_job a 4 >/dev/null
	wait $cp || true
	uncertain
	for i in $(emu GET /emu/jobs | jq -r '.jobs[].name'); do
		contains "$(cat "$MNT/a/error")" "$i"
	done
	eventually sh -c '[ "$(ls "$1" | grep -c "^a~")" = 2 ]' - "$MNT"
	echo "adopt $id" >"$MNT/a/ctl"
	one_job 2
	same 2 "$(ls "$MNT" | wc -l)"
}

# ---- refusals -----------------------------------------------------------------------------------------

no_job() { # ERRNO FAULT
	fault "match=create&$2"
	same "$1" "$(cp_errno)" || return
	state_is a SUBMIT_FAILED || return
	same 0 "$(jobs_at_api)" || return
	echo submit >"$MNT/a/ctl"
	one_job
	alone
}

@test "the model is refused with 404" { no_job EINVAL 'kind=status&status=404'; }
@test "the create does not leave wholly" { no_job EIO 'kind=cut_body&at=5' || skip; }

@test "429 is waited for, and the create repeated" {
	knob retry_after=1
	fault 'match=create&kind=status&status=429&count=2'
	cp "$IN" "$J"
	one_job
	alone
	same 3 "$(calls create)"
}

@test "429 for ever: a bounded number of tries, EDQUOT, no job" {
	knob retry_after=0
	fault 'match=create&kind=status&status=429&count=0'
	same EDQUOT "$(cp_errno)"
	state_is a SUBMIT_FAILED
	[ "$(calls create)" -gt 1 ] && [ "$(calls create)" -lt 10 ]
	same 0 "$(files_at_api)"
}

@test "interrupted while a 429 is waited for: a draft, and no job later" {
	knob retry_after=4
	fault 'match=create&kind=status&status=429&count=1'
	cp "$IN" "$J" 3>&- &
	local cp=$!
	becomes 1 calls create
	sleep 0.5
	kill -INT $cp
	kill -TERM $cp
	wait $cp || true
	eventually state_is a DRAFT
	sleep 5
	same 1 "$(calls create)"
	state_is a DRAFT
	echo submit >"$MNT/a/ctl"
	one_job
}

@test "the caller left while a create was on its way that is answered 429: no other follows" {
	knob retry_after=1
	knob max_jobs=1 pending=1000
	make_foreign_job f >/dev/null
	fault 'match=create&kind=stall&seconds=2'
	run timeout 1 cp "$IN" "$J"
	eventually state_is a SUBMIT_FAILED
	same 2 "$(calls create)" # and that of the other job
	knob max_jobs=0
	sleep 2
	state_is a SUBMIT_FAILED
	same 1 "$(jobs_at_api)"
}

# ---- behind ---------------------------------------------------------------------------------------------

background() { unmount_jobs && mount_jobs -o submit=background; }

@test "behind: queued at 429, sent when the quota is back, once" {
	background
	fault 'match=create&kind=status&status=429&count=2'
	cp "$IN" "$J"
	eventually has_id
	one_job
	alone
	same 3 "$(calls create)"
	same 1 "$(calls upload_start)"
}

@test "behind: many that are queued are tried one by one, and follow the first that passes" {
	background
	fault 'match=create&kind=status&status=429&count=0'
	for i in 1 2 3 4 5 6; do
		mkdir "$MNT/q$i"
		cp "$IN" "$MNT/q$i/requests.jsonl"
	done
	sleep 3 # the pause is a second and more
	[ "$(calls create)" -le 8 ]
	no_more_faults
	becomes 6 jobs_at_api
}

@test "behind: many that are queued wait as long as the API says, also at ends of jobs" {
	submit_job first
	background
	knob retry_after=3600
	fault 'match=create&kind=status&status=429&count=0'
	for i in 1 2 3 4 5 6; do
		mkdir "$MNT/q$i"
		cp "$IN" "$MNT/q$i/requests.jsonl"
	done
	eventually state_is q6 QUEUED
	succeeded first
	sleep 2
	[ "$(calls create)" -le 5 ] # that of first, and those under way together
	contains "$(cat "$MNT/q6/error")" "quota"
}

@test "behind: sent when an own job ends" {
	unmount_jobs
	BATCHFS_TEST_QUEUE_SECONDS=1000 mount_jobs -o submit=background
	knob max_jobs=1 pending=1000
	submit_job first
	eventually state_is first JOB_STATE_PENDING
	cp "$IN" "$J"
	eventually state_is a QUEUED
	local id
	id=$(cat "$MNT/first/id")
	emu POST "/emu/job/${id#batches/}" -d '{"state": "SUCCEEDED"}' >/dev/null
	knob pending=0.05
	succeeded first
	eventually has_id
	one_job 2
}

@test "behind: the answer of the create is lost" {
	background
	fault 'match=create&kind=drop_after'
	cp "$IN" "$J"
	eventually has_id
	one_job
	alone
	same 1 "$(calls create)"
}

@test "behind: renamed and queued without a network, sent by the next start" {
	background
	stop_emulator
	cp "$IN" "$MNT/a/tmp"
	mv "$MNT/a/tmp" "$J"
	cmp "$IN" "$J"
	[ ! -e "$MNT/a/tmp" ]
	kill_batchfs
	start_emulator
	mount_jobs
	eventually has_id
	one_job
	alone
}

@test "behind: moved from another directory, queued without a network, sent when it is back" {
	background
	stop_emulator
	mkdir "$MNT/b"
	cp "$IN" "$MNT/b/tmp"
	mv "$MNT/b/tmp" "$J"
	start_emulator
	eventually has_id
	one_job
}
