#!/usr/bin/env bats
# The answer of a create is lost, in every way it can be, and the job is found. Where a
# person has to decide: undecided.bats.

load ../helpers/mount
load ../helpers/answers

# ---- the deed was done ----------------------------------------------------------------------

done_but() { # FAULT
	fault "match=create&$1"
	cp "$IN" "$J"
	one_job
	alone
	same 1 "$(calls create)"
	# Also for the next start.
	remount_jobs
	one_job
	alone
}

@test "done, but the answer is a 500" { done_but 'kind=status&status=500&after=1'; }
@test "done, but the answer is a 504 of a front end" { done_but 'kind=html&status=504&after=1'; }
@test "done, but the answer ends early" { done_but 'kind=truncate&at=10'; }
@test "done, but the answer is cut" { done_but 'kind=cut&at=0'; }
@test "done, but the answer is noise" { done_but 'kind=garbage&after=1&bytes=3000'; }
@test "done, but the answer is an empty object" { done_but 'kind=garbage&after=1&text=%7B%7D'; }
@test "done, but the answer has wrong types" { done_but 'kind=wrongtypes'; }
@test "done, but the answer is 64 MiB" { done_but 'kind=hugejson&after=1&status=200'; }
@test "done, but the answer is a redirect" {
	done_but "kind=redirect&after=1&status=307&location=/v1beta/models"
}

@test "done, but nothing comes and the caller leaves" {
	fault 'match=create&kind=stall&seconds=3'
	run timeout 1 cp "$IN" "$J"
	eventually has_id
	one_job
	alone
	same 1 "$(calls create)"
}

# ---- lists that lag, lists that do not tell ------------------------------------------------------

@test "lists lag: the job is found when they have it" {
	knob list_delay=2
	fault 'match=create&kind=drop_after'
	same EIO "$(cp_errno)"
	same 1 "$(emu GET '/emu/jobs?count=1' | jq .count)"
	eventually has_id
	one_job
	alone
}

@test "what a list tells ends the close that looks for it, too" {
	knob list_delay=2
	fault 'match=create&kind=drop_after'
	# Its own second look would come too late.
	BATCHFS_TEST_LOOK_SECONDS=600 BATCHFS_TEST_CLOSE_SECONDS=30 \
		BATCHFS_TEST_SETTLE_SECONDS=600 remount_jobs
	cp_errno >"$HOME/errno" 3>&- &
	local cp=$!
	listed_until_over() { ls "$MNT" && ! kill -0 $cp; }
	eventually listed_until_over
	wait $cp
	same OK "$(cat "$HOME/errno")"
	one_job
	alone
}

@test "lists lag longer than we look: a late find is taken, with nobody looking" {
	knob list_delay=7
	fault 'match=create&kind=drop_after'
	same EIO "$(cp_errno)"
	eventually grep -q UNCERTAIN "$MNT/a/state"
	# Not a look into the mount from here on.
	sleep 5
	same "a	JOB_STATE_SUCCEEDED" "$(cut -f 1,2 "$MNT/.batchfs/jobs" | tail -n 1)"
	one_job
	alone
}

@test "a late find is taken by the next start" {
	knob list_delay=6
	fault 'match=create&kind=drop_after'
	same EIO "$(cp_errno)"
	eventually state_is a SUBMIT_UNCERTAIN
	unmount_jobs
	sleep 3
	mount_jobs
	one_job
	alone
}

@test "lists without inputConfig: ours is told from others of its name by asking each" {
	local cp others
	knob list_input_config=off
	fault 'match=create&kind=drop_after&count=1'
	cp "$IN" "$J" 3>&- &
	cp=$!
	becomes 1 calls create
	others="$(make_foreign_file_job a 4) $(make_foreign_job a 4)"
	wait $cp || true
	eventually has_id
	lacks "$others" "$(cat "$MNT/a/id")"
	contains "$(emu GET /emu/jobs | jq -r '.jobs[].name')" "$(cat "$MNT/a/id")"
	# Nor is one of the others missing.
	eventually sh -c '[ "$(ls "$1" | wc -l)" = 3 ]' - "$MNT"
}

@test "an inline job of another of our job's name is not held back for good" {
	fault 'match=create&kind=drop_before'
	same EIO "$(cp_errno)"
	make_foreign_job a 4 >/dev/null
	eventually sh -c 'ls "$1" | grep -q "^a~"' - "$MNT"
	uncertain
}

@test "a candidate that cannot be asked does not hide ours" {
	knob list_input_config=off
	fault 'match=create&kind=drop_after&count=1'
	knob list_delay=1
	cp "$IN" "$J" 2>/dev/null 3>&- &
	local cp=$! other
	becomes 1 calls create
	other=$(make_foreign_file_job a 4)
	fault "match=GET%20/v1beta/$other&kind=status&status=404&count=0"
	wait $cp || true
	eventually has_id
	[ "$(cat "$MNT/a/id")" != "$other" ]
	one_job 2
}

@test "a clock that is wrong at the API: found by its input file" {
	fault 'match=create&kind=drop_after'
	knob list_delay=2
	cp "$IN" "$J" 2>/dev/null 3>&- &
	local cp=$! id
	becomes 1 calls create
	id=$(emu GET /emu/jobs | jq -r '.jobs[0].name')
	emu POST "/emu/job/${id#batches/}" -d '{"age": 4000}' >/dev/null
	wait $cp || true
	one_job
	alone
}

@test "Date headers that are wrong do not end the looking" {
	# Longer than what is looked at here takes.
	export BATCHFS_TEST_SETTLE_SECONDS=60
	remount_jobs
	local far
	far=$(LC_ALL=C date -u -d '+1 year' '+%a, %d %b %Y %H:%M:%S GMT' | jq -sRr 'rtrimstr("\n") | @uri')
	fault 'match=create&kind=status&status=500'
	fault "match=list&kind=header&text=Date:%20$far&count=0"
	same EIO "$(cp_errno)"
	local before
	before=$(calls list)
	eventually more_lists_than $((before + 1))
	state_is a SUBMITTING
}

more_lists_than() { [ "$(calls list)" -gt "$1" ]; }

@test "a wall clock that steps while it is looked for, ahead or back, changes nothing" {
	export BATCHFS_TEST_SETTLE_SECONDS=8
	step_clock 0
	remount_jobs
	fault 'match=create&kind=status&status=500'
	same EIO "$(cp_errno)"
	step_clock 90000
	local before
	before=$(calls list)
	eventually more_lists_than $((before + 1))
	state_is a SUBMITTING
	step_clock -90000
	eventually state_is a SUBMIT_UNCERTAIN
}
