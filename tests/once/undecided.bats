#!/usr/bin/env bats
# The answer of a create is lost and nothing tells what became of it: a person decides, by
# adopt or resubmit, and there is one job in the end. What can be found out is in lost.bats.

load ../helpers/mount
load ../helpers/answers

# ---- it was not, or nobody can tell ------------------------------------------------------------

@test "a redirect is not followed: EIO, then a person's to decide" {
	fault 'match=create&kind=redirect&status=302&location=/v1beta/batches'
	same EIO "$(cp_errno)"
	same SUBMITTING "$(cat "$MNT/a/state")"
	uncertain
	same 1 "$(calls create)"
	echo resubmit >"$MNT/a/ctl"
	one_job
	alone
	same 2 "$(calls create)"
}

@test "a 500 before the deed: EIO, UNCERTAIN in the end, resubmit" {
	fault 'match=create&kind=status&status=500'
	same EIO "$(cp_errno)"
	uncertain
	remount_jobs
	uncertain
	echo resubmit >"$MNT/a/ctl"
	one_job
	alone
}

@test "resubmit=: what no list has shown for so long is sent again, once" {
	BATCHFS_TEST_RESUBMIT_SECONDS=5 remount_jobs -o resubmit=2
	fault 'match=create&kind=drop_before'
	same EIO "$(cp_errno)"
	eventually grep -q resubmitted "$MNT/.batchfs/history"
	one_job
	alone
	same 2 "$(calls create)"
}

@test "resubmit=: what a list shows and nothing tells of is not bought over" {
	knob list_input_config=off
	BATCHFS_TEST_SETTLE_SECONDS=1 BATCHFS_TEST_RESUBMIT_SECONDS=3 remount_jobs -o resubmit=2
	fault 'match=get&kind=status&status=503&count=0'
	fault 'match=create&kind=drop_after'
	same EIO "$(cp_errno)"
	uncertain
	for _ in 1 2 3 4 5 6 7 8; do
		ls "$MNT" >/dev/null
		sleep 0.7
	done
	same 1 "$(calls create)"
	no_more_faults
	one_job
	same 1 "$(calls create)"
}

@test "while it is being settled it can be resubmitted" {
	fault 'match=create&kind=drop_before'
	same EIO "$(cp_errno)"
	state_is a SUBMITTING
	contains "$(cat "$MNT/a/ctl")" resubmit
	echo resubmit >"$MNT/a/ctl"
	one_job
	alone
}

@test "a close during which lists hang ends all the same" {
	fault 'match=create&kind=drop_after'
	fault 'match=list&kind=stall&seconds=5&count=0'
	same EIO "$(cp_errno)"
	same SUBMITTING "$(cat "$MNT/a/state")"
	no_more_faults
	one_job
	alone
}

# ---- adopt, resubmit -------------------------------------------------------------------------------

@test "adopt takes the job that a person names, and there is no twin" {
	fault 'match=create&kind=drop_before'
	same EIO "$(cp_errno)"
	uncertain
	local id
	id=$(make_foreign_file_job a 4)
	eventually sh -c 'ls "$1" | grep -q "^a~"' - "$MNT"
	same ENOENT "$(errno_of_ctl a "adopt nosuchjob")"
	same EINVAL "$(errno_of_ctl a "adopt ../x")"
	echo "adopt $id" >"$MNT/a/ctl"
	same "$id" "$(cat "$MNT/a/id")"
	one_job
	alone
	same EBUSY "$(errno_of_ctl a "adopt $id")"
}

@test "adopted, although its results and files were kept here: one directory for good" {
	unmount_jobs
	mount_jobs -o fetch=all
	fault 'match=create&kind=drop_before'
	same EIO "$(cp_errno)"
	uncertain
	local id twin
	id=$(make_foreign_file_job a 4)
	eventually sh -c 'ls "$1" | grep -q "^a~"' - "$MNT"
	twin=$(ls "$MNT" | grep '^a~')
	eventually results_saved "$twin"
	echo note >"$MNT/$twin/note"
	echo "adopt ${id#batches/}" >"$MNT/a/ctl"
	one_job
	alone
	remount_jobs
	one_job
	alone
	cmp "$IN" "$J"
	[ -z "$(find "$XDG_STATE_HOME"/batchfs/*/aside -maxdepth 0 2>/dev/null)" ]
}

@test "a job of ours cannot be adopted by another" {
	requests 4 >"$HOME/other"
	mkdir "$MNT/b"
	cp "$HOME/other" "$MNT/b/requests.jsonl"
	fault 'match=create&kind=drop_before'
	same EIO "$(cp_errno)"
	uncertain
	same EBUSY "$(errno_of_ctl a "adopt $(cat "$MNT/b/id")")"
	state_is a SUBMIT_UNCERTAIN
}

@test "a job found while it is sent again: no second one" {
	knob list_delay=6
	fault 'match=create&kind=drop_after'
	same EIO "$(cp_errno)"
	eventually state_is a SUBMIT_UNCERTAIN
	fault 'match=upload&kind=stall_body&seconds=4&at=10'
	same EBUSY "$(errno_of_ctl a resubmit)"
	one_job
	alone
	same 1 "$(calls create)"
}

@test "resubmit that is refused leaves it uncertain, and a late find is taken" {
	knob list_delay=600
	fault 'match=create&kind=drop_after'
	same EIO "$(cp_errno)"
	eventually state_is a SUBMIT_UNCERTAIN
	fault 'match=create&kind=status&status=403'
	# A look that is under way holds it up for a moment.
	becomes EACCES errno_of_ctl a resubmit
	state_is a SUBMIT_UNCERTAIN
	remount_jobs
	state_is a SUBMIT_UNCERTAIN
	knob list_delay=0
	eventually has_id
	one_job
	alone
}

@test "resubmit that is interrupted while uploading leaves it uncertain" {
	fault 'match=create&kind=drop_before'
	same EIO "$(cp_errno)"
	uncertain
	fault 'match=upload&kind=stall_body&seconds=30&at=10'
	run timeout 1 sh -c 'echo resubmit >"$1"' - "$MNT/a/ctl"
	eventually state_is a SUBMIT_UNCERTAIN
	fault 'match=upload&kind=stall_body&seconds=30&at=10'
	timeout 5 sh -c 'echo resubmit >"$1"' - "$MNT/a/ctl" 2>/dev/null 3>&- &
	becomes 1 calls create
	sleep 0.3
	kill_batchfs
	wait $! || true
	mount_jobs
	state_is a SUBMIT_UNCERTAIN
	echo resubmit >"$MNT/a/ctl"
	one_job
	alone
}

@test "offline nothing is settled, and nothing called" {
	fault 'match=create&kind=drop_after'
	fault 'match=list&kind=status&status=503&count=0'
	same EIO "$(cp_errno)"
	unmount_jobs
	no_more_faults
	mount_jobs -o offline
	local before
	before=$(all_calls)
	sleep 2
	same "$before" "$(all_calls)"
	unmount_jobs
	mount_jobs
	one_job
	alone
}
