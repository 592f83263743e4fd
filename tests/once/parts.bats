#!/usr/bin/env bats
# Requests that go as several jobs: the first is bought by the close, the others behind, each
# once, through whatever quota lets them pass.

load ../helpers/mount

setup() {
	export BATCHFS_TEST_QUEUE_SECONDS=0.2 BATCHFS_TEST_MONEY_SECONDS=0
	start_emulator
	mount_jobs
}
teardown() { stop_all; }

# A draft of N requests for parts as SPLIT says.
big_draft() { # N SPLIT
	draft_to_send "$1"
	echo "$2" >"$MNT/a/split"
}

# How many requests the jobs have, by their names.
parts_at_api() {
	api GET '/v1beta/batches?pageSize=100' | jq -r '[.operations[].metadata |
		{n: .displayName, c: .batchStats.requestCount}] | sort_by(.n) | map("\(.n):\(.c)") | join(" ")'
}
requests_at_api() {
	api GET '/v1beta/batches?pageSize=100' |
		jq '[.operations[].metadata.batchStats.requestCount | tonumber] | add'
}

@test "a close that cuts: 0 when the first exists, the others follow" {
	big_draft 10 3
	cp "$IN" "$J"
	[ "$(jobs_at_api)" -ge 1 ]
	becomes 4 jobs_at_api
	same "a [part 1]:3 a [part 2]:3 a [part 3]:3 a [part 4]:1" "$(parts_at_api)"
	same 4 "$(calls create)"
}

@test "killed midway, it goes on at the next mount, each part once" {
	# None on its way then: that would be looked for ten minutes (crash.bats kills there).
	BATCHFS_TEST_QUEUE_SECONDS=600 remount_jobs
	knob max_jobs=2 pending=60
	big_draft 8 1
	cp "$IN" "$J"
	becomes 3 calls create
	eventually state_is a QUEUED
	same 2 "$(jobs_at_api)"
	kill_batchfs
	knob max_jobs=100
	mount_jobs
	becomes 8 jobs_at_api
	same 8 "$(api GET '/v1beta/batches?pageSize=100' |
		jq '[.operations[].metadata.displayName] | unique | length')"
}

@test "a queue that takes nothing as large: cut in halves, and remembered" {
	knob job_tokens=600
	big_draft 1000 auto
	cp "$IN" "$J"
	becomes 1000 requests_at_api
	contains "$(cat "$MNT/.batchfs/status")" "fits gemini-flash-latest"
}

@test "a first part that cannot be bought leaves a draft, and queue has it wait" {
	knob max_jobs=1 pending=60
	make_foreign_job f >/dev/null
	big_draft 10 5
	same EDQUOT "$(errno_of_write "$J" "$(cat "$IN")")"
	state_is a SUBMIT_FAILED
	contains "$(cat "$MNT/a/error")" "echo queue > ctl"
	echo queue >"$MNT/a/ctl"
	eventually state_is a QUEUED
	knob max_jobs=100
	becomes 3 jobs_at_api
}
