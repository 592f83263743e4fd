#!/usr/bin/env bats
# submit=background: close returns when the bytes are safe, the rest goes on behind.

load ../helpers/mount

setup() {
	start_emulator
	mount_jobs -o submit=background
	draft_to_send 10
}
teardown() { stop_all; }

@test "the job is made behind, once" {
	cp "$IN" "$J"
	becomes 1 jobs_at_api
	succeeded a
	bought_once a "$IN"
}

@test "bad requests are refused by close all the same" {
	same EBADMSG "$(errno_of_write "$J" nonsense)"
	bought_nothing a
}

@test "no network: queued, and sent when it is back" {
	stop_emulator
	cp "$IN" "$J"
	[ "$(cat "$MNT/a/state")" != DRAFT ]
	start_emulator
	becomes 1 jobs_at_api
	bought_once a "$IN"
}

@test "unsent work is sent at the next mount" {
	stop_emulator
	cp "$IN" "$J"
	unmount_jobs
	start_emulator
	mount_jobs
	becomes 1 jobs_at_api
	bought_once a "$IN"
}

@test "unsent work is sent after kill -9, once" {
	stop_emulator
	cp "$IN" "$J"
	kill_batchfs
	start_emulator
	mount_jobs
	becomes 1 jobs_at_api
	bought_once a "$IN"
}

@test "a 429 at create is no failure: QUEUED, sent when an own job ends" {
	knob max_jobs=1 pending=2
	make_foreign_job f >/dev/null
	cp "$IN" "$J"
	eventually state_is a QUEUED
	# The start tries it at once, and it is queued again.
	remount_jobs -o submit=background
	eventually state_is a QUEUED
}

@test "a quota that does not come back ends it after a day, however often it was mounted" {
	export BATCHFS_TEST_GIVE_UP_SECONDS=4 BATCHFS_TEST_QUEUE_SECONDS=0.5
	remount_jobs -o submit=background
	fault 'match=create&kind=status&status=429&count=0'
	cp "$IN" "$J"
	eventually state_is a QUEUED
	remount_jobs -o submit=background
	eventually state_is a SUBMIT_FAILED
	contains "$(cat "$MNT/a/error")" "quota"
	no_more_faults
	local tried
	tried=$(calls create)
	remount_jobs -o submit=background
	sleep 2
	state_is a SUBMIT_FAILED
	same "$tried" "$(calls create)"
	same 0 "$(jobs_at_api)"
	echo submit >"$MNT/a/ctl"
	becomes 1 jobs_at_api
}

@test "a clock that steps a day ahead gives up nothing, and one that steps back keeps nothing" {
	step_clock 0
	export BATCHFS_TEST_QUEUE_SECONDS=0.3
	remount_jobs -o submit=background
	fault 'match=create&kind=status&status=429&count=0'
	cp "$IN" "$J"
	eventually state_is a QUEUED
	step_clock 100000
	local tried
	tried=$(calls create)
	eventually eval '[ "$(calls create)" -gt $((tried + 1)) ]'
	state_is a QUEUED
	export BATCHFS_TEST_GIVE_UP_SECONDS=1
	step_clock -100000
	remount_jobs -o submit=background
	eventually state_is a SUBMIT_FAILED
	# Asked for again it has its whole time.
	unset BATCHFS_TEST_GIVE_UP_SECONDS
	remount_jobs -o submit=background
	tried=$(calls create)
	echo submit >"$MNT/a/ctl"
	eventually eval '[ "$(calls create)" -gt $((tried + 1)) ]'
	state_is a QUEUED
}

@test "a 429 that is about billing ends it" {
	fault 'match=create&kind=status&status=429&count=0&text=Your+prepayment+credits+are+depleted.'
	cp "$IN" "$J"
	eventually state_is a SUBMIT_FAILED
	contains "$(cat "$MNT/a/error")" "prepayment credits"
}

@test "offline: queued; sent by the next mount that is online" {
	unmount_jobs
	mount_jobs -o offline,submit=background
	cp "$IN" "$J"
	same 0 "$(calls create)"
	unmount_jobs
	mount_jobs
	becomes 1 jobs_at_api
	bought_once a "$IN"
}

@test "queued for one key, it is not sent by itself under another" {
	stop_emulator
	cp "$IN" "$J"
	unmount_jobs
	start_emulator
	GEMINI_API_KEY=another-key mount_jobs
	sleep 1
	same 0 "$(calls create)"
	cat "$MNT/a/state" "$MNT/a/error" || true
	unmount_jobs
	mount_jobs
	becomes 1 jobs_at_api
}

@test "queued work can be removed, and is never sent" {
	stop_emulator
	cp "$IN" "$J"
	rmdir "$MNT/a"
	start_emulator
	remount_jobs
	sleep 1
	same 0 "$(calls create)"
}
