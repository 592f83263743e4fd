#!/usr/bin/env bats
# Two at once, and others in between: a thread is held where it has chosen what to do
# and not yet done it (BATCHFS_TEST_PAUSE), while somebody else does it.

load ../helpers/mount

export BATCHFS_TEST_SETTLE_SECONDS=3 BATCHFS_TEST_CLOSE_SECONDS=1
export BATCHFS_TEST_OWN_SECONDS=1 BATCHFS_TEST_QUEUE_SECONDS=1

setup() {
	start_emulator
	IN=$HOME/in.jsonl
	requests 4 >"$IN"
	J=$BATS_TEST_TMPDIR/jobs/a/requests.jsonl
}
teardown() { stop_all; }

# mount_held POINT=SECONDS [argument...]
# So many at most, and no longer than until `release`.
mount_held() {
	local pause=$1
	shift
	rm -f "$HOME/trace" "$HOME/go"
	BATCHFS_TEST_PAUSE=$pause BATCHFS_TEST_TRACE=$HOME/trace BATCHFS_TEST_GO=$HOME/go \
		mount_jobs "$@"
}
# Until somebody is.
held() { eventually grep -q "^$1" "$HOME/trace"; } # POINT
release() { touch "$HOME/go"; }

made() { emu GET '/emu/jobs?count=1' | jq .count; }
once() {
	eventually test -s "$MNT/a/id"
	same 1 "$(made)"
	same 1 "$(calls create)"
	succeeded a
	cmp "$IN" "$J"
	same a "$(ls "$MNT")"
}

@test "two submit the same draft at the same time: one job" {
	mount_held submit-chosen=60 -o submit=ctl
	draft a
	cp "$IN" "$J"
	errno_of_ctl a submit >"$HOME/first" 3>&- &
	local first=$!
	held submit-chosen
	errno_of_ctl a submit >"$HOME/second"
	release
	wait $first
	same "EBUSY OK" "$(sort "$HOME/first" "$HOME/second" | xargs)"
	once
}

@test "ctl and rename at the same time: one job" {
	mount_held submit-chosen=60 -o submit=ctl
	draft a
	cp "$IN" "$J"
	cp "$IN" "$MNT/a/tmp"
	errno_of_ctl a submit >"$HOME/first" 3>&- &
	local first=$!
	held submit-chosen
	mv "$MNT/a/tmp" "$J"
	release
	wait $first
	same EBUSY "$(cat "$HOME/first")"
	once
}

@test "many threads submit the same draft" {
	mount_jobs -o submit=ctl
	draft a
	cp "$IN" "$J"
	local i pids=()
	for i in 1 2 3 4 5 6 7 8; do
		errno_of_ctl a submit >"$HOME/out.$i" 3>&- &
		pids+=($!)
	done
	wait "${pids[@]}"
	same 1 "$(cat "$HOME"/out.* | grep -c OK)"
	same 7 "$(cat "$HOME"/out.* | grep -c EBUSY)"
	once
}

@test "queued work that two tries choose at the same time: one job" {
	mount_jobs -o submit=background
	draft a
	fault 'match=create&kind=status&status=429'
	cp "$IN" "$J"
	eventually state_is a QUEUED
	unmount_jobs
	# The start chooses it and is held; a timer's try does it all.
	BATCHFS_TEST_QUEUE_SECONDS=1 mount_held queued-chosen=60
	mkdir "$MNT/b"
	cp "$IN" "$MNT/b/requests.jsonl"
	succeeded b
	eventually test -s "$MNT/a/id"
	release
	sleep 1
	same 2 "$(made)"
	same 3 "$(calls create)"
	succeeded a
}

@test "a draft is removed while its submission begins: no job, or no removal" {
	mount_held submit-chosen=60 -o submit=ctl
	draft a
	cp "$IN" "$J"
	errno_of_ctl a submit >"$HOME/first" 3>&- &
	local first=$!
	held submit-chosen
	rmdir "$MNT/a"
	release
	wait $first
	same ENOENT "$(cat "$HOME/first")"
	sleep 0.5
	same 0 "$(made)"
	same '' "$(ls "$MNT")"
}

@test "a submission begins while its draft is being removed: no job" {
	mount_held removal-chosen=60 -o submit=ctl
	draft a
	cp "$IN" "$J"
	exec 7>"$MNT/a/ctl"
	rmdir "$MNT/a" 3>&- 7>&- &
	local first=$!
	held removal-chosen
	run ! sh -c 'echo submit >&7'
	exec 7>&-
	release
	wait $first
	same 0 "$(made)"
	same '' "$(ls "$MNT")"
}

@test "a write that is under way when ctl submits: EBUSY, and what is sent is whole" {
	mount_held file-write=60 -o submit=ctl
	draft a
	cp "$IN" "$HOME/copy"
	# The first write is held at its byte; it has its descriptor open.
	cp "$IN" "$J" 3>&- &
	local cp=$!
	held file-write
	same EBUSY "$(errno_of_ctl a submit)"
	release
	wait $cp
	echo submit >"$MNT/a/ctl"
	once
}

@test "while it is being sent, requests and the source of a rename cannot be changed" {
	mount_jobs
	draft a
	cp "$IN" "$MNT/a/tmp"
	fault 'match=upload&kind=stall_body&seconds=2&at=10'
	mv "$MNT/a/tmp" "$J" 3>&- &
	local mv=$!
	becomes 1 calls upload_start
	# The kernel may hold it back until the rename is over.
	[[ $(errno_of_write_at "$MNT/a/tmp" x) =~ ^(EBUSY|EROFS|ENOENT)$ ]]
	wait $mv
	once
	run ! sh -c 'echo x >>"$1"' - "$J"
}
errno_of_write_at() {
	errno_of '
fd = os.open(a[0], os.O_WRONLY)
os.write(fd, a[1])
os.close(fd)' "$@"
}

@test "close while a check runs: not a success without a job" {
	mount_held before-check=1
	draft a
	fault 'match=upload&kind=stall_body&seconds=2&at=10'
	exec 7>"$J"
	cat "$IN" >&7
	errno_of_ctl a check >"$HOME/check" 3>&- 7>&- &
	local check=$! status=0
	exec 7>&- || status=$?
	wait $check
	if [ -s "$MNT/a/id" ]; then once; else
		cat "$HOME/check"
		state_is a DRAFT
		same EBUSY "$(cat "$HOME/check")"
	fi
}

@test "SIGTERM at every step: a draft or one job, and the next start goes on" {
	local point
	for point in before-check before-begin before-upload before-intend intended before-create after-create; do
		mount_held $point=1
		mkdir "$MNT/$point"
		cp "$IN" "$MNT/$point/requests.jsonl" 2>/dev/null 3>&- &
		local cp=$!
		held "$point"
		kill -TERM "$FS_PID"
		local pid=$FS_PID
		eventually sh -c '! kill -0 "$1" 2>/dev/null' - "$pid"
		wait $cp || true
		! mountpoint -q "$MNT" || fusermount3 -uz "$MNT"
		mount_jobs
		eventually sh -c 'grep -qE "^(DRAFT|SUBMIT_UNCERTAIN|JOB_)" "$1"' - "$MNT/$point/state"
		local state n
		state=$(cat "$MNT/$point/state")
		n=$(ids_of "$point" | wc -l)
		echo "$point: $state, $n"
		case $state in
		JOB_*) same 1 "$n" ;;
		*) same 0 "$n" ;;
		esac
		cmp "$IN" "$MNT/$point/requests.jsonl"
		case $state in
		DRAFT) echo submit >"$MNT/$point/ctl" ;;
		SUBMIT_UNCERTAIN) echo resubmit >"$MNT/$point/ctl" ;;
		esac
		eventually test -s "$MNT/$point/id"
		same 1 "$(ids_of "$point" | wc -l)"
		unmount_jobs
	done
}

# ---- an upload is for one content -------------------------------------------------------------

# What the API has of it: the lines that were sent.
sent() { # JOB
	local file
	file=$(jq -r .metadata.inputConfig.fileName "$MNT/$1/job.json")
	cat "$BATS_TEST_TMPDIR"/emulator/files/"${file#files/}"* 2>/dev/null
}

@test "a rename after an upload that broke off: the new content goes, from its first byte" {
	mount_jobs
	draft a
	requests 4 other- >"$HOME/old"
	requests 4 prompt >"$HOME/new"
	same "$(stat -c %s "$HOME/old")" "$(stat -c %s "$HOME/new")"
	interrupt_upload "$HOME/old" 150
	cp -p "$HOME/new" "$MNT/a/tmp"
	mv "$MNT/a/tmp" "$J"
	succeeded a
	same 0 "$(grep -c other- "$MNT/a/results.jsonl")"
	same 4 "$(grep -c prompt "$MNT/a/results.jsonl")"
}

# ---- two of us -----------------------------------------------------------------------------------

@test "two processes on one state_dir: the second is refused and told by whom" {
	mount_jobs
	mkdir "$HOME/other"
	run -1 "$BATCHFS" -f "$HOME/other"
	contains "$output" "pid $FS_PID"
	draft a
	cp "$IN" "$J"
	once
}

@test "two state_dirs, one account: both see both jobs, and mkdir of a name that is taken fails" {
	mount_jobs
	local one=$MNT
	MNT=$BATS_TEST_TMPDIR/two mount_jobs -o "state_dir=$HOME/s2,cache_dir=$HOME/c2"
	local two=$BATS_TEST_TMPDIR/two
	MNT=$one
	mkdir "$one/a" && cp "$IN" "$one/a/requests.jsonl" 3>&- &
	mkdir "$two/b"
	cp "$IN" "$two/b/requests.jsonl"
	wait $!
	eventually test -s "$one/b/id"
	eventually test -s "$two/a/id"
	same "a b" "$(ls "$one" | xargs)"
	same "a b" "$(ls "$two" | xargs)"
	cmp "$one/a/id" "$two/a/id"
	mkdir "$one/c"
	cp "$IN" "$one/c/requests.jsonl"
	sleep 1.1
	same EEXIST "$(errno_of 'os.mkdir(a[0])' "$two/c")"
	same 3 "$(calls create)"
	# What one removes leaves the other's tree only when the API says so: not ours.
	timeout 20 cat "$one/a/wait" "$two/b/wait" >/dev/null
	cmp "$IN" "$one/a/requests.jsonl"
	[ ! -e "$two/a/requests.jsonl" ]
}

@test "a lost create while another machine makes a job of the same name: each has its own" {
	mount_jobs
	local one=$MNT two=$BATS_TEST_TMPDIR/two
	MNT=$two mount_jobs -o "state_dir=$HOME/s2,cache_dir=$HOME/c2"
	MNT=$one
	mkdir "$one/a" "$two/a"
	fault 'match=create&kind=drop_after&count=2'
	cp "$IN" "$one/a/requests.jsonl" 2>/dev/null 3>&- &
	cp "$IN" "$two/a/requests.jsonl" 2>/dev/null || true
	wait $! || true
	eventually test -s "$one/a/id"
	eventually test -s "$two/a/id"
	run ! cmp -s "$one/a/id" "$two/a/id"
	same 2 "$(made)"
	eventually sh -c '[ "$(ls "$1" | wc -l)" = 2 ]' - "$one"
	eventually sh -c '[ "$(ls "$1" | wc -l)" = 2 ]' - "$two"
}

# ---- another key ------------------------------------------------------------------------------------

another() { unmount_jobs && GEMINI_API_KEY=another-key mount_jobs; }

@test "another key: queued work stays, is shown, and goes with the right one" {
	mount_jobs -o submit=background
	draft a
	stop_emulator
	cp "$IN" "$J"
	unmount_jobs
	start_emulator
	GEMINI_API_KEY=another-key mount_jobs
	sleep 1.5
	state_is a QUEUED
	contains "$(cat "$MNT/a/error")" "another key"
	same 0 "$(calls create)"
	unmount_jobs
	mount_jobs
	once
}

@test "another key: what is ours stays in the tree, whatever lists, 404 and 403 say" {
	mount_jobs
	submit_job a 4
	succeeded a
	eventually results_saved a
	knob pending=1000
	submit_job b 4
	another
	ls "$MNT"
	timeout 5 cat "$MNT/b/state" || true
	same "a b" "$(ls "$MNT" | xargs)"
	same 4 "$(grep -c . "$MNT/a/results.jsonl")"
	requests 4 | cmp - "$MNT/b/requests.jsonl"
	fault 'match=get&kind=status&status=403&count=0'
	sleep 1.2
	timeout 5 cat "$MNT/b/state" || true
	same "a b" "$(ls "$MNT" | xargs)"
	no_more_faults
	unmount_jobs
	mount_jobs
	same "a b" "$(ls "$MNT" | xargs)"
	same JOB_STATE_PENDING "$(cat "$MNT/b/state")"
}

@test "another key: a lost create is not given up for good" {
	mount_jobs
	draft a
	knob list_delay=2
	fault 'match=create&kind=drop_after'
	cp "$IN" "$J" 2>/dev/null || true
	another
	eventually state_is a SUBMIT_UNCERTAIN
	unmount_jobs
	mount_jobs
	once
}

@test "another key: rmdir that was begun is not finished by a 404" {
	mount_jobs
	knob pending=1000 cancel_delay=3
	submit_job a 4
	rmdir "$MNT/a"
	kill_batchfs
	GEMINI_API_KEY=another-key mount_jobs
	eventually test -s "$MNT/a/error"
	requests 4 | cmp - "$MNT/a/requests.jsonl"
	same 1 "$(made)"
	unmount_jobs
	mount_jobs
	rmdir "$MNT/a"
	becomes 0 made
}

# ---- behind, and rmdir -------------------------------------------------------------------------------

@test "behind: the power goes right after close: made at the next start, once" {
	mount_held before-upload=60 -o submit=background
	draft a
	cp "$IN" "$J"
	kill_batchfs
	mount_jobs
	once
}

@test "offline a removal that was begun is not gone on with" {
	mount_jobs
	knob pending=1000 cancel_delay=2
	submit_job a 4
	rmdir "$MNT/a"
	kill_batchfs
	mount_jobs -o offline
	local before
	before=$(all_calls)
	sleep 1.5
	same "$before" "$(all_calls)"
	[ ! -e "$MNT/a" ]
	unmount_jobs
	mount_jobs
	becomes 0 made
}

@test "queued work that is removed takes its upload along" {
	mount_jobs -o submit=background
	draft a
	fault 'match=create&kind=status&status=429&count=0'
	cp "$IN" "$J"
	eventually state_is a QUEUED
	eventually grep -q 'quota' "$MNT/a/error"
	same 1 "$(files_at_api)"
	rmdir "$MNT/a"
	becomes 0 files_at_api
	same 0 "$(made)"
}

# Whole, and sealed in the cache, but not yet known to be: whoever wants them elsewhere
# waits for that.
read_and_hold() {
	make_foreign_file_job far 5
	export BATCHFS_TEST_SETTLED_SECONDS=0.1
	mount_held results-sealed=2,fetch-begins=4 -o fetch=read
	succeeded far
	cat "$MNT/far/results.jsonl" >"$HOME/truth"
	eventually grep -q results-sealed "$HOME/trace"
}

@test "answers of another's job asked for while its results are made safe" {
	read_and_hold
	cp "$MNT/far/answers.tsv" "$HOME/answers"
	same 5 "$(grep -c '	answered	' "$HOME/answers")"
	same 5 "$(ls "$MNT/far/responses" | grep -c .)"
	remount_jobs -o offline
	cmp "$HOME/truth" "$MNT/far/results.jsonl"
	cmp "$HOME/answers" "$MNT/far/answers.tsv"
}

@test "results of another's job fetched while they are made safe" {
	read_and_hold
	same OK "$(errno_of_ctl far fetch)"
	cmp "$HOME/truth" "$MNT/far/results.jsonl"
	same 5 "$(grep -c . "$MNT/far/answers.tsv")"
	unmount_jobs
	rm -r "$XDG_CACHE_HOME"
	mount_jobs -o offline
	cmp "$HOME/truth" "$MNT/far/results.jsonl"
	same 5 "$(grep -c . "$MNT/far/answers.tsv")"
}

# A seal rests while somebody reads; not when somebody waits for it.
@test "answers, and a fetch, of results that are still open do not wait for their readers" {
	make_foreign_file_job far 5
	make_foreign_file_job more 5
	mount_jobs -o fetch=read
	succeeded far
	succeeded more
	exec 5<"$MNT/far/results.jsonl" 6<"$MNT/more/results.jsonl"
	cat <&5 >"$HOME/truth"
	cat <&6 >/dev/null
	same 5 "$(timeout "$PATIENCE" grep -c "	answered	" "$MNT/far/answers.tsv")"
	timeout "$PATIENCE" sh -c 'echo fetch >"$0"' "$MNT/more/ctl"
	results_saved more
	exec 5<&- 6<&-
	cmp "$HOME/truth" "$MNT/far/results.jsonl"
}

@test "results that were whole and not yet safe at the end are there at the next start, and made safe" {
	make_foreign_file_job far 5
	mount_jobs -o fetch=read
	succeeded far
	cat "$MNT/far/results.jsonl" >"$HOME/truth"
	remount_jobs -o offline
	cmp "$HOME/truth" "$MNT/far/results.jsonl"
	becomes 1 sealed_flag
	cmp "$HOME/truth" "$MNT/far/results.jsonl"
}
sealed_flag() { od -An -tu4 -j12 -N4 "$XDG_CACHE_HOME"/batchfs/*/results/*.map | tr -d ' '; }

@test "results are called home once they are safe, not before" {
	export BATCHFS_TEST_SETTLED_SECONDS=0.1
	mount_held results-sealed=60
	submit_job a 4
	succeeded a
	held results-sealed
	run ! results_saved a
	release
	eventually results_saved a
	kill_batchfs
	mount_jobs -o offline
	same 4 "$(grep -c . "$MNT/a/results.jsonl")"
}

# A reader of pages stops at the size that the kernel believes in: that there is none yet
# must not be believed for longer than it is so.
@test "results without a length, read twice within a second, are not empty" {
	knob gzip=always
	make_foreign_file_job far 5
	mount_jobs -o fetch=read
	succeeded far
	python3 - "$MNT/far/results.jsonl" <<-'P'
		import os, sys, time
		with open(sys.argv[1], "rb") as f:  # asks for its size
		    whole = f.read()
		assert whole
		time.sleep(0.3)
		again = os.read(os.open(sys.argv[1], os.O_RDONLY), 1 << 20)
		assert again == whole, again
	P
}
