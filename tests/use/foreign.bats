#!/usr/bin/env bats
# Jobs of other clients: they show, can be read, cancelled, removed; ten thousand too.

load ../helpers/mount

setup() { start_emulator --set max_jobs=0; }
teardown() { stop_all; }

# many N [STATE]: jobs of another client, job-0, job-1, …
many() {
	emu POST /emu/job -H 'content-type: application/json' -d "$(jq -cn \
		--argjson n "$1" --arg state "${2:-SUCCEEDED}" '
		{displayName: "job-", count: $n, state: $state, requests: 1, output: true, age: 100}')" >/dev/null
}

@test "inline output that takes the API minutes is asked for with patience; where it fails, error says so" {
	make_foreign_job slow >/dev/null
	sleep 0.3
	mount_jobs -o fetch=own
	becomes JOB_STATE_SUCCEEDED cat "$MNT/slow/state"
	knob inline_output_takes=700
	same EIO "$(errno_of 'os.read(os.open(a[0], os.O_RDONLY), 1)' "$MNT/slow/results.jsonl")"
	eventually ls "$MNT/slow/error"
	contains "$(cat "$MNT/slow/error")" "The job itself is fine"
	contains "$(cat "$MNT/slow/error")" "currently unavailable"
	knob inline_output_takes=100
	same 3 "$(grep -c . "$MNT/slow/results.jsonl")"
	run ! cat "$MNT/slow/error"
}

@test "results that are inside the job: warnings says so, until they are saved" {
	mount_jobs
	make_foreign_job a
	eventually test -d "$MNT/a"
	ended a
	contains "$(cat "$MNT/a/warnings")" "echo fetch > ctl"
	[[ $(ls "$MNT/a") != *results.jsonl* ]]
	same OK "$(errno_of_ctl a fetch)"
	eventually test ! -e "$MNT/a/warnings"
	contains "$(ls "$MNT/a")" results.jsonl
}

@test "a job made before the mount shows at the first look" {
	make_foreign_job old
	mount_jobs
	same old "$(ls "$MNT")"
	ended old
	same 3 "$(jq -r .key "$MNT/old/results.jsonl" | grep -c .)"
}

@test "a job made after the mount shows, too" {
	mount_jobs
	ls "$MNT"
	make_foreign_job new
	eventually sh -c 'ls "$1" | grep -qx new' - "$MNT"
}

@test "a name that was looked for in vain is found when the job is there" {
	mount_jobs
	run ! cat "$MNT/later/state"
	make_foreign_job later
	eventually cat "$MNT/later/state"
}

@test "it has no requests.jsonl, and cannot be written" {
	make_foreign_file_job f
	mount_jobs
	ls "$MNT"
	[ ! -e "$MNT/f/requests.jsonl" ]
	run ! cp <(requests 1) "$MNT/f/requests.jsonl"
	same 1 "$(jobs_at_api)"
	ended f
	requests 3 | jq -r .key | cmp - <(jq -r .key "$MNT/f/results.jsonl" | sort)
}

@test "it can be cancelled and removed" {
	knob pending=1000
	make_foreign_file_job f
	mount_jobs
	eventually test -d "$MNT/f"
	echo cancel >"$MNT/f/ctl"
	ended f
	rmdir "$MNT/f"
	becomes 0 jobs_at_api
}

@test "uploads of others are not deleted" {
	make_foreign_file_job f
	mount_jobs
	eventually test -d "$MNT/f"
	ended f
	rmdir "$MNT/f"
	becomes 0 jobs_at_api
	same 1 "$(files_at_api)"
}

@test "small pages, and a list without inputConfig" {
	knob page_cap=7 list_input_config=off
	many 50
	mount_jobs
	same 50 "$(ls "$MNT" | wc -l)"
	submit_job mine
	succeeded mine
}

lists_are_whole() {
	local n
	n=$(calls list)
	[ "$n" -ge 8 ] && [ $((n % 8)) = 0 ]
}

@test "with jobs known from disk the first look waits for news, not for the whole list" {
	knob page_cap=7
	many 50
	mount_jobs
	same 50 "$(ls "$MNT" | wc -l)"
	unmount_jobs
	emu POST /emu/stats/reset >/dev/null
	fault "match=list&kind=stall&seconds=9&skip=1"
	mount_jobs
	same 50 "$(ls "$MNT" | wc -l)"
	[ "$(calls list)" -le 2 ]
	# The rest of it comes behind; who looks a ttl after it began asks for another.
	eventually lists_are_whole
}

@test "an empty list without page size, an empty project" {
	knob page_default=0
	mount_jobs
	same "" "$(ls "$MNT")"
	make_foreign_job f
	eventually test -d "$MNT/f"
}

@test "jobs without stats, state or model" {
	knob no_stats=on echo_model=off
	make_foreign_job a
	mount_jobs
	eventually test -d "$MNT/a"
	ended a
	cat "$MNT/a/stats" "$MNT/a/model" "$MNT/a/state"
	knob state_missing=on
	make_foreign_job b
	eventually test -d "$MNT/b"
	timeout "$PATIENCE" cat "$MNT/b/wait"
}

@test "times without fractions, with 3 or 6 digits, and going back" {
	for t in time_digits=0 time_digits=3 time_digits=6 time_back=on; do
		knob $t
		make_foreign_job "${t/=/-}"
	done
	mount_jobs
	same 4 "$(ls "$MNT" | wc -l)"
	for d in "$MNT"/*; do
		local age=$(($(date +%s) - $(stat -c %Y "$d")))
		[ $age -ge -5 ] && [ $age -lt 600 ]
	done
}

@test "ten thousand jobs" {
	many 10000
	mount_jobs
	# The first look waits for the list, but not longer than ten seconds.
	eventually sh -c '[ "$(ls "$1" | wc -l)" = 10000 ]' - "$MNT"
	same 10000 "$(timeout 60 ls -l "$MNT" | grep -c job-)"
	same 10000 "$(timeout 60 find "$MNT" -maxdepth 1 -name 'job-*' -type d | wc -l)"
	[[ $(cat "$MNT/job-0/state") == JOB_STATE_* ]]
	[[ $(cat "$MNT/job-9999/state") == JOB_STATE_* ]]
	[ -d "$MNT/job-4711" ]
	[ ! -e "$MNT/job-10000" ]
	same 10001 "$(wc -l <"$MNT/.batchfs/jobs")"
	submit_job mine
	succeeded mine
	# No job was asked for by itself.
	[ "$(calls get)" -lt 100 ]
	remount_jobs
	same 10001 "$(timeout 60 ls "$MNT" | wc -l)"
}

@test "a listing goes on while jobs come" {
	many 500
	mount_jobs
	(for _ in {1..20}; do make_foreign_job new; done) >/dev/null 2>&1 3>&- &
	local pid=$!
	for _ in 1 2 3 4 5; do
		[ "$(ls "$MNT" | sort | uniq -d | grep -c .)" = 0 ]
		[ "$(ls "$MNT" | wc -l)" -ge 500 ]
	done
	wait $pid
}
