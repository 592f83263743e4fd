#!/usr/bin/env bats
# What is believed of a job at the API, and for how long (lib/jobs/knowledge.h): one answer that
# passes is no lasting fact, and only the API's own words say something about a job.

load ../helpers/mount

export BATCHFS_TEST_OWN_SECONDS=0.5 BATCHFS_TEST_REFUSED_SECONDS=0.3
export BATCHFS_TEST_SETTLE_SECONDS=2 BATCHFS_TEST_CLOSE_SECONDS=1

setup() {
	start_emulator
	IN=$HOME/in.jsonl
	requests 4 >"$IN"
}
teardown() { stop_all; }

another() { unmount_jobs && GEMINI_API_KEY=another-key mount_jobs; }
again() { unmount_jobs && mount_jobs "$@"; }
not_saved() { value_of results_not_saved "$MNT/.batchfs/status"; }
at_api() { emu GET '/emu/jobs?count=1' | jq .count; }
state_at_api() { api GET "/v1beta/$1" | jq -r .metadata.state; }

# ---- output that is refused -----------------------------------------------------------------

@test "a 403 to a download of paid results: counted, said, asked again, and they come home" {
	fault 'match=download&kind=status&status=403&text=It%20may%20not%20exist&count=0'
	mount_jobs
	submit_job a 4
	succeeded a
	eventually grep -q 'answered 403' "$MNT/a/error"
	grep -q 'It may not exist' "$MNT/a/error"
	same 1 "$(not_saved)"
	local before
	before=$(calls download)
	same ENODATA "$(errno_of_ctl a fetch)"
	[ "$(calls download)" -gt "$before" ]
	same ENODATA "$(errno_of 'os.read(os.open(a[0], os.O_RDONLY), 10)' "$MNT/a/results.jsonl")"
	same 1 "$(not_saved)"
	no_more_faults
	becomes 0 not_saved
	[ ! -e "$MNT/a/error" ]
	same 4 "$(grep -c . "$MNT/a/results.jsonl")"
}

@test "a 404 on both paths of a download, in the middle: a read and a fetch try at once" {
	export BATCHFS_TEST_REFUSED_SECONDS=600
	fault 'match=download&kind=status&status=404&count=2'
	mount_jobs
	submit_job a 4
	succeeded a
	eventually grep -q 'answered 404' "$MNT/a/error"
	same 4 "$(grep -c . "$MNT/a/results.jsonl")"
	again -o fetch=read
	fault 'match=download&kind=status&status=404&count=2'
	submit_job b 4
	succeeded b
	same ENODATA "$(errno_of 'os.read(os.open(a[0], os.O_RDONLY), 10)' "$MNT/b/results.jsonl")"
	same OK "$(errno_of_ctl b fetch)"
	results_saved b
}

# ---- jobs that are not found ----------------------------------------------------------------

@test "a 404 to a look at a running job: it is looked after on, and its results come home" {
	export BATCHFS_TEST_OWN_SECONDS=3
	knob pending=0 running=1000
	mount_jobs
	submit_job a 4
	eventually state_is a JOB_STATE_RUNNING
	fault 'match=get&kind=status&status=404&count=1'
	# A look at the root would ask for the list.
	same JOB_STATE_RUNNING "$(cd "$MNT/a" && sleep 1.2 && cat state)"
	[ "$(calls get)" -gt 0 ]
	local id
	id=$(basename "$(cat "$MNT/a/id")")
	sleep 1.1
	emu POST "/emu/job/$id" -d '{"state":"SUCCEEDED"}' >/dev/null
	# Nobody looks at the mount meanwhile.
	eventually compgen -G "$XDG_STATE_HOME/batchfs/*/jobs/*/results.jsonl.map"
	same 4 "$(grep -c . "$MNT/a/results.jsonl")"
}

@test "a page in the place of the API ends nothing: HTML 404, 403 and 401" {
	knob pending=1000
	mount_jobs
	submit_job a 4
	local status pid
	for status in 404 403 401; do
		fault "match=*&kind=html&status=$status&count=0"
		cat "$MNT/a/wait" >"$HOME/out" 2>&1 3>&- &
		pid=$!
		sleep 1.2
		state_is a JOB_STATE_PENDING
		lacks "$(cat "$MNT/a/error" 2>/dev/null)" "not know"
		kill -0 $pid
		kill $pid
		errno=$(errno_of 'os.rmdir(a[0])' "$MNT/a")
		[ "$errno" = EHOSTUNREACH ] || [ "$errno" = ETIMEDOUT ]
		state_is a JOB_STATE_PENDING
		no_more_faults
	done
	eventually online
	rmdir "$MNT/a"
	becomes 0 at_api
}

# ---- removing -------------------------------------------------------------------------------

@test "rmdir under another project's key: EACCES, error says so, nothing is lost" {
	knob pending=1000
	mount_jobs
	submit_job a 4
	local id
	id=$(cat "$MNT/a/id")
	another
	same EACCES "$(errno_of 'os.rmdir(a[0])' "$MNT/a")"
	grep -q 'another key' "$MNT/a/error"
	cmp "$IN" "$MNT/a/requests.jsonl"
	again
	[ ! -e "$MNT/a/error" ]
	state_is a JOB_STATE_PENDING
	same BATCH_STATE_PENDING "$(state_at_api "$id")"
	cmp "$IN" "$MNT/a/requests.jsonl"
	rmdir "$MNT/a"
	becomes 0 at_api
}

@test "another project's key: forget drops what is here by a person's word, also of an ended job" {
	mount_jobs
	submit_job a 4
	succeeded a
	eventually results_saved a
	same EBUSY "$(errno_of_ctl a forget)"
	lacks "$(cat "$MNT/a/ctl")" forget
	another
	contains "$(cat "$MNT/a/ctl")" forget
	same EACCES "$(errno_of 'os.rmdir(a[0])' "$MNT/a")"
	same OK "$(errno_of_ctl a forget)"
	[ ! -e "$MNT/a" ]
	becomes 0 value_of removing "$MNT/.batchfs/status"
	grep -rqF '"k1"' "$XDG_STATE_HOME"/batchfs/*/trash
	same 1 "$(at_api)"
}

@test "rmdir whose cancel finds no job: it goes on in the background until there is one" {
	export BATCHFS_TEST_MISSING_SECONDS=0.3
	knob pending=1000
	mount_jobs
	submit_job a 4
	fault 'match=cancel&kind=status&status=404&count=2'
	same OK "$(errno_of 'os.rmdir(a[0])' "$MNT/a")"
	[ ! -e "$MNT/a" ]
	becomes 0 at_api
	becomes 0 value_of removing "$MNT/.batchfs/status"
	same 3 "$(calls cancel)"
}

@test "rmdir of a running job that is really gone ends when that is proven, over a restart" {
	export BATCHFS_TEST_MISSING_SECONDS=0.6 BATCHFS_TEST_GONE_SECONDS=1
	knob pending=1000
	mount_jobs
	submit_job a 4
	emu DELETE "/emu/job/$(basename "$(cat "$MNT/a/id")")" >/dev/null
	rmdir "$MNT/a"
	same 1 "$(value_of removing "$MNT/.batchfs/status")"
	kill_batchfs
	mount_jobs
	[ ! -e "$MNT/a" ]
	becomes 0 value_of removing "$MNT/.batchfs/status"
	grep -rqF '"k1"' "$XDG_STATE_HOME"/batchfs/*/trash
}

# ---- whose job is it ------------------------------------------------------------------------

@test "adopt refuses a job whose input file is another draft's, and that one keeps it" {
	mount_jobs
	knob list_delay=3
	mkdir "$MNT/a" "$MNT/b"
	fault 'match=create&kind=drop_after&count=1'
	cp "$IN" "$MNT/a/requests.jsonl" 2>/dev/null || true
	fault 'match=create&kind=drop_before&count=1'
	cp "$IN" "$MNT/b/requests.jsonl" 2>/dev/null || true
	local id
	id=$(emu GET /emu/jobs | jq -r '.. | .name? // empty' | grep -m1 ^batches/)
	same EBUSY "$(errno_of_ctl b "adopt $id")"
	grep -q 'sent for a' "$MNT/b/error"
	becomes "$id" cat "$MNT/a/id"
	succeeded a
	same 4 "$(grep -c . "$MNT/a/results.jsonl")"
	cmp "$IN" "$MNT/b/requests.jsonl"
	same "a b" "$(ls "$MNT" | xargs)"
}

# ---- counts of lists ------------------------------------------------------------------------

@test "counts that a list told from before the end: stats asks the job itself, once" {
	local id list
	id=$(make_foreign_file_job far 4)
	sleep 0.5
	mount_jobs -o fetch=read
	list=$(api GET /v1beta/batches | jq -c '.operations[].metadata.batchStats = {requestCount: "4", pendingRequestCount: "4"}' | jq -sRr @uri)
	again -o fetch=read,ttl=1000
	rm -r "$XDG_CACHE_HOME" "$XDG_STATE_HOME" # nothing known from before
	unmount_jobs
	fault "match=list&kind=garbage&status=200&text=$list&count=0"
	mount_jobs -o fetch=read
	ls "$MNT" "$MNT/far" >/dev/null
	state_is far JOB_STATE_SUCCEEDED
	cat "$MNT/.batchfs/jobs" >/dev/null
	local before
	before=$(calls get)
	same 4 "$(value_of successful_request_count "$MNT/far/stats")"
	same $((before + 1)) "$(calls get)"
	sleep 1.1
	ls "$MNT" >/dev/null
	sleep 0.5
	same 4 "$(value_of successful_request_count "$MNT/far/stats")"
	again -o fetch=read
	ls "$MNT" >/dev/null
	same 4 "$(value_of successful_request_count "$MNT/far/stats")"
	same $((before + 1)) "$(calls get)"
}

@test "output that is refused when its six weeks are over is given up, and said to be lost" {
	emu POST /emu/job -H 'content-type: application/json' -d '
		{"displayName": "old", "state": "SUCCEEDED", "requests": 2, "output": true, "age": 3700000}' >/dev/null
	fault 'match=download&kind=status&status=404&count=0'
	mount_jobs -o fetch=all
	eventually grep -q 'not have the output any more' "$MNT/old/error"
	[ ! -e "$MNT/old/results.jsonl" ]
	becomes 0 not_saved
	same ENODATA "$(errno_of_ctl old fetch)"
}

@test "output refused under another key: its six weeks go on, and the right key saves it" {
	mount_jobs -o fetch=read
	submit_job a 4
	succeeded a
	another
	eventually grep -q 'answered 40[34]' "$MNT/a/error"
	same 1 "$(not_saved)"
	again
	becomes 0 not_saved
	same 4 "$(grep -c . "$MNT/a/results.jsonl")"
}
