#!/usr/bin/env bats
# rmdir: drafts, jobs in every state, refusals, the trash; rm -r.

load ../helpers/mount

setup() {
	start_emulator
	# Refusals are answers, on a machine of any speed.
	export BATCHFS_TEST_ANSWER_SECONDS=60
	mount_jobs
}
teardown() { stop_all; }

@test "an ended job is deleted at the API" {
	submit_job a
	ended a
	rmdir "$MNT/a"
	[ ! -e "$MNT/a" ]
	becomes 0 jobs_at_api
	remount_jobs
	[ ! -e "$MNT/a" ]
}

@test "a pending job is cancelled first, then deleted" {
	knob pending=1000
	submit_job a
	rmdir "$MNT/a"
	[ ! -e "$MNT/a" ]
	same 1 "$(calls cancel)"
	becomes 0 jobs_at_api
}

@test "a running job is cancelled first, then deleted" {
	knob pending=0 running=1000
	submit_job a
	eventually state_is a JOB_STATE_RUNNING
	rmdir "$MNT/a"
	same 1 "$(calls cancel)"
	becomes 0 jobs_at_api
}

@test "the uploads go, too" {
	submit_job a
	ended a
	rmdir "$MNT/a"
	becomes 0 files_at_api
}

@test "the deletion goes on behind over a restart" {
	knob pending=1000 cancel_delay=2
	submit_job a
	rmdir "$MNT/a"
	same 1 "$(value_of removing "$MNT/.batchfs/status")"
	remount_jobs
	[ ! -e "$MNT/a" ]
	becomes 0 jobs_at_api
}

@test "the deletion goes on behind over kill -9" {
	knob pending=1000 cancel_delay=2
	submit_job a
	rmdir "$MNT/a"
	kill_batchfs
	mount_jobs
	[ ! -e "$MNT/a" ]
	becomes 0 jobs_at_api
}

@test "a first step that the API refuses: the error, and nothing is lost" {
	submit_job a
	ended a
	eventually results_saved a
	fault 'match=delete&kind=status&status=403&count=0'
	same EACCES "$(errno_of 'os.rmdir(a[0])' "$MNT/a")"
	state_is a JOB_STATE_SUCCEEDED
	same 3 "$(grep -c . "$MNT/a/results.jsonl")"
	requests 3 | cmp - "$MNT/a/requests.jsonl"
}

@test "a later step that the API refuses: the directory comes back with error" {
	knob pending=1000
	submit_job a
	fault 'match=delete&kind=status&status=403&count=0'
	rmdir "$MNT/a"
	eventually test -s "$MNT/a/error"
	[ -d "$MNT/a" ]
}

@test "a job that is gone at the API already" {
	submit_job a
	ended a
	api DELETE "/v1beta/$(cat "$MNT/a/id")"
	rmdir "$MNT/a"
	[ ! -e "$MNT/a" ]
}

@test "no network: the error, and nothing is lost" {
	submit_job a
	ended a
	stop_emulator
	same EHOSTUNREACH "$(errno_of 'os.rmdir(a[0])' "$MNT/a")"
	state_is a JOB_STATE_SUCCEEDED
}

# Each is a job at an API that says nothing to so many cancels (0: to any).
silent_rmdirs() { # CANCELS NAME...
	local name cancels=$1
	shift
	knob pending=600
	for name; do submit_job "$name"; done
	export BATCHFS_TEST_ANSWER_SECONDS=0.2 BATCHFS_TEST_REMOVAL_SECONDS=0.5 \
		BATCHFS_TEST_DEADLINE_SECONDS=2
	remount_jobs
	ls "$MNT"
	fault 'match=cancel&kind=stall&seconds=600&count='"$cancels"
	cd "$MNT" || return
	rmdir "$@"
	cd - || return
	same "" "$(ls "$MNT")"
}

@test "an API that does not answer: rmdir does, and goes on over a kill until it is done" {
	silent_rmdirs 0 a b c d e f g h i j k l
	same 12 "$(jobs_at_api)"
	same 12 "$(value_of removing "$MNT/.batchfs/status")"
	kill_batchfs
	no_more_faults
	mount_jobs
	becomes 0 jobs_at_api
	same "" "$(ls "$MNT")"
}

@test "an API that refuses what rmdir has answered already: the directory comes back" {
	fault 'match=delete&kind=status&status=400&count=0'
	silent_rmdirs 1 a
	eventually test -s "$MNT/a/error"
	contains "$(cat "$MNT/a/error")" "The API refused to delete this job."
	same 1 "$(jobs_at_api)"
}

@test "a directory that comes back under another name leaves names alone, over a restart" {
	knob cancel_delay=3
	silent_rmdirs 0 a b c d e
	mkdir "$MNT"/{a,b,c,d,e}
	no_more_faults
	# Long before the first of them has ended, and is to be deleted.
	fault 'match=delete&kind=status&status=400&count=0'
	eventually sh -c 'test "$(ls "$1" | wc -l)" = 10' - "$MNT"
	ls "$MNT" >"$HOME/before"
	remount_jobs
	ls "$MNT" | diff "$HOME/before" -
	same DRAFT "$(sort -u "$MNT"/[abcde]/state)"
}

@test "rmdir=ended: a job that has not ended is EBUSY" {
	unmount_jobs
	mount_jobs -o rmdir=ended
	knob pending=1000
	submit_job a
	same EBUSY "$(errno_of 'os.rmdir(a[0])' "$MNT/a")"
	same 0 "$(calls cancel)"
	echo cancel >"$MNT/a/ctl"
	ended a
	rmdir "$MNT/a"
	draft d
	rmdir "$MNT/d"
}

@test "readers of wait get ENOENT" {
	knob pending=1000
	submit_job a
	cat "$MNT/a/wait" >"$HOME/out" 2>&1 3>&- &
	local pid=$!
	sleep 0.3
	rmdir "$MNT/a"
	local status=0
	wait $pid || status=$?
	same 1 $status
	contains "$(cat "$HOME/out")" "No such file"
}

@test "local copies go to the trash, and none with trash=0" {
	local state=$XDG_STATE_HOME/batchfs/default@127.0.0.1:$EMU_PORT
	submit_job a
	ended a
	cp "$MNT/a/results.jsonl" "$HOME/results"
	eventually results_saved a
	rmdir "$MNT/a"
	eventually grep -rqF '"k1"' "$state/trash"
	find "$state/trash" -type f -exec cmp -s {} "$HOME/results" \; -print | grep -q .
	remount_jobs -o trash=0
	submit_job b
	ended b
	requests 3 other >"$HOME/other"
	rmdir "$MNT/b"
	becomes 0 jobs_at_api
	run ! grep -rqF '"other 1"' "$state"
}

# Entries of the trash are called by when they came.
came_days_ago() { # DAYS
	local entry
	for entry in "$TRASH"/*; do
		mv "$entry" "$TRASH/$(($(date +%s) - $1 * 86400 - 60))-${entry##*-}"
	done
}
replaced() { [ ! -e "$TRASH/$OLD" ] && [ "$(in_trash)" = 1 ]; }
in_trash() { find "$TRASH" -mindepth 1 -maxdepth 1 | grep -c .; }

@test "status lists the trash and how large all is; rm of an entry is safe at any time" {
	submit_job a
	ended a
	eventually results_saved a
	cp "$MNT/a/results.jsonl" "$HOME/results"
	rmdir "$MNT/a"
	eventually grep -qx 'trash 1' "$MNT/.batchfs/status"
	grep -q '^state_dir_bytes [0-9]*$' "$MNT/.batchfs/status"
	local line entry
	line=$(grep ^trashed "$MNT/.batchfs/status")
	same a "$(cut -f 2 <<<"$line")"
	entry=$(cut -f 3 <<<"$line")
	cmp "$HOME/results" "$entry/results.jsonl"
	submit_job b
	rm -r "$entry"
	grep -qx 'trash 0' "$MNT/.batchfs/status"
	succeeded b
	rmdir "$MNT/b"
	eventually grep -qx 'trash 1' "$MNT/.batchfs/status"
	rm -r "$XDG_STATE_HOME"/batchfs/*/trash/*
	remount_jobs
	grep -qx 'trash 0' "$MNT/.batchfs/status"
}

@test "the trash is kept for its days, also by a mount that lasts" {
	TRASH=$XDG_STATE_HOME/batchfs/default@127.0.0.1:$EMU_PORT/trash
	export BATCHFS_TEST_TRASH_SECONDS=0.001 # an hour
	remount_jobs -o trash=3
	submit_job a
	ended a
	rmdir "$MNT/a"
	becomes 1 in_trash
	came_days_ago 2
	remount_jobs -o trash=3
	same 1 "$(in_trash)"
	find "$TRASH" -type f -exec grep -l '"k1"' {} + | grep -q requests.jsonl
	submit_job b
	ended b
	came_days_ago 3
	OLD=$(ls "$TRASH")
	rmdir "$MNT/b"
	eventually replaced
	came_days_ago 1
	remount_jobs -o trash=1
	becomes 0 in_trash
	submit_job c
	ended c
	rmdir "$MNT/c"
	becomes 1 in_trash
	sleep 1
	remount_jobs -o trash=0
	becomes 0 in_trash
}

@test "a wall clock that is wrong empties no trash, and what it left is dated later" {
	TRASH=$XDG_STATE_HOME/batchfs/default@127.0.0.1:$EMU_PORT/trash
	export BATCHFS_TEST_TRASH_SECONDS=0.001 # an hour
	step_clock 0
	remount_jobs -o trash=3
	mkdir "$MNT/a" "$MNT/b" "$MNT/c"
	rmdir "$MNT/a"
	becomes 1 in_trash
	step_clock 4000000
	rmdir "$MNT/b"
	becomes 2 in_trash
	remount_jobs -o trash=3
	rmdir "$MNT/c"
	becomes 3 in_trash
	same 2 "$(find "$TRASH" -name 'undated-*' | wc -l)"
	step_clock 0
	remount_jobs -o trash=3
	eventually eval '[ -z "$(find "$TRASH" -name "undated-*")" ]'
	same 3 "$(in_trash)"
	came_days_ago 4
	remount_jobs -o trash=3
	becomes 0 in_trash
}

@test "a name can be used again" {
	submit_job a
	ended a
	rmdir "$MNT/a"
	submit_job a
	succeeded a
	same 2 "$(calls create)"
}

@test "rm -r stops at the first file that is not the user's, and the job stays" {
	submit_job a
	ended a
	run -1 rm -r "$MNT/a"
	contains "$output" "Operation not permitted"
	run -1 rm -rf "$MNT/a"
	[ -d "$MNT/a" ]
	state_is a JOB_STATE_SUCCEEDED
	[ -s "$MNT/a/requests.jsonl" ]
	same 1 "$(jobs_at_api)"
}

@test "rm -r of a draft takes none of its files, and the log says rmdir" {
	draft d
	echo 'What is this?' >"$MNT/d/prompt.txt"
	mkdir "$MNT/d/inputs/a"
	echo text >"$MNT/d/inputs/a/b.txt"
	echo mine >"$MNT/d/notes"
	run -1 rm -rf "$MNT/d"
	[ -s "$MNT/d/prompt.txt" ] && [ -s "$MNT/d/notes" ] && [ -s "$MNT/d/inputs/a/b.txt" ]
	same 1 "$(grep -c 'd: not removed: .*rmdir does' "$MNT/.batchfs/log")"
	# Somebody else may, and rmdir does.
	rm -r "$MNT/d/notes" "$MNT/d/inputs/a"
	[ ! -e "$MNT/d/inputs/a" ]
	rmdir "$MNT/d"
}

@test "shutil.rmtree deletes no job" {
	submit_job a
	ended a
	run ! python3 -c 'import shutil, sys; shutil.rmtree(sys.argv[1])' "$MNT/a"
	[ -d "$MNT/a" ]
	same 1 "$(jobs_at_api)"
}

@test "a job made elsewhere and deleted elsewhere leaves the tree" {
	unmount_jobs
	mount_jobs -o fetch=read
	local id
	id=$(make_foreign_job a)
	eventually test -d "$MNT/a"
	api DELETE "/v1beta/$id"
	# The whole list is read at most every five minutes; a look at the job itself asks.
	eventually sh -c 'cat "$1/state" >/dev/null 2>&1; ! ls "$(dirname "$1")" | grep -q a' - "$MNT/a" ||
		skip "not within the test's patience: the contract gives five minutes"
}

@test "a job sent from here and deleted elsewhere stays until rmdir" {
	submit_job a
	ended a
	eventually results_saved a
	api DELETE "/v1beta/$(cat "$MNT/a/id")"
	remount_jobs
	ls "$MNT"
	sleep 1
	[ -d "$MNT/a" ]
	same 3 "$(grep -c . "$MNT/a/results.jsonl")"
	rmdir "$MNT/a"
	[ ! -e "$MNT/a" ]
}

@test "unlink of what is not the user's is EPERM" {
	submit_job a
	ended a
	for f in requests.jsonl state stats model id job.json ctl results.jsonl; do
		echo "$f"
		same EPERM "$(errno_of 'os.unlink(a[0])' "$MNT/a/$f")"
	done
	draft d
	for f in state stats model ctl; do
		echo "$f"
		same EPERM "$(errno_of 'os.unlink(a[0])' "$MNT/d/$f")"
	done
}

@test "rmdir of what is no job" {
	same ENOENT "$(errno_of 'os.rmdir(a[0])' "$MNT/nothing")"
	same EPERM "$(errno_of 'os.rmdir(a[0])' "$MNT/.batchfs")"
	submit_job a
	same ENOTDIR "$(errno_of 'os.rmdir(a[0])' "$MNT/a/state")"
}

# find goes on to the directory after it was refused the files in it.
@test "find -delete does not delete the job either; rmdir after it does" {
	submit_job a
	ended a
	run -1 find "$MNT/a" -delete
	[ -d "$MNT/a" ]
	same 1 "$(jobs_at_api)"
	rmdir "$MNT/a"
	becomes 0 jobs_at_api
}

@test "what goes on behind is done once: one DELETE, one line in the history" {
	unmount_jobs
	BATCHFS_TEST_PAUSE=deleted=1 mount_jobs
	knob pending=1000
	submit_job a
	rmdir "$MNT/a"
	becomes 0 jobs_at_api
	becomes 0 value_of removing "$MNT/.batchfs/status"
	# Whoever else was on it would be done by now, too.
	unmount_jobs
	same 1 "$(calls delete)"
	same 1 "$(grep -c deleted "$XDG_STATE_HOME/batchfs/default@127.0.0.1:$EMU_PORT/history")"
	lacks "$(cat "$BATS_TEST_TMPDIR"/batchfs.*.log)" "local copies"
}
