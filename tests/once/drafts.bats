#!/usr/bin/env bats
# mkdir as the guard against buying twice; drafts, what they hold and what they outlive.

load ../helpers/mount

setup() { start_emulator; mount_jobs; }
teardown() { stop_all; }

# What is known by now must be asked for again (mount_jobs says ttl=1).
older_than_ttl() { sleep 1.2; }

mkdir_errno() { errno_of 'os.mkdir(a[0])' "$MNT/$1"; }

@test "mkdir sends nothing that would make anything" {
	draft a
	same 0 "$(calls create)"
	same 0 "$(jobs_at_api)"
	same 0 "$(files_at_api)"
}

@test "mkdir of a draft that is there is EEXIST" {
	draft a
	same EEXIST "$(mkdir_errno a)"
}

@test "mkdir of a job that is there is EEXIST, in every state of it" {
	knob pending=1000
	submit_job a
	same EEXIST "$(mkdir_errno a)"
	echo cancel >"$MNT/a/ctl"
	ended a
	same EEXIST "$(mkdir_errno a)"
	remount_jobs
	same EEXIST "$(mkdir_errno a)"
}

@test "mkdir of a job made elsewhere a moment ago is EEXIST" {
	ls "$MNT"
	make_foreign_job a
	older_than_ttl
	same EEXIST "$(mkdir_errno a)"
}

@test "two machines, one name: the second mkdir is EEXIST" {
	local first=$MNT pid=$FS_PID
	MNT=$BATS_TEST_TMPDIR/second mount_jobs -o state_dir="$HOME/s2",cache_dir="$HOME/c2"
	ls "$BATS_TEST_TMPDIR/second"
	submit_job a
	older_than_ttl
	MNT=$BATS_TEST_TMPDIR/second
	same EEXIST "$(mkdir_errno a)"
	unmount_jobs
	MNT=$first FS_PID=$pid
}

@test "mkdir && cp, run twice, buys once" {
	requests 3 >"$HOME/r"
	run -0 sh -c 'mkdir "$1" && cp "$2" "$1/requests.jsonl"' - "$MNT/a" "$HOME/r"
	run -1 sh -c 'mkdir "$1" && cp "$2" "$1/requests.jsonl"' - "$MNT/a" "$HOME/r"
	same 1 "$(calls create)"
}

@test "mkdir is EEXIST for a name whose encoded form a job bears" {
	make_foreign_job 'x/y'
	eventually test -d "$MNT/x%2Fy"
	same EEXIST "$(mkdir_errno 'x%2Fy')"
}

@test "a draft outlives the mount with all it holds" {
	draft a
	echo gemini-4-carbon >"$MNT/a/model"
	requests 3 >>"$MNT/a/requests.jsonl"
	echo note >"$MNT/a/note.txt"
	remount_jobs
	state_is a DRAFT
	same gemini-4-carbon "$(cat "$MNT/a/model")"
	same note "$(cat "$MNT/a/note.txt")"
	requests 3 | cmp - "$MNT/a/requests.jsonl"
	echo submit >"$MNT/a/ctl"
	same 1 "$(calls create)"
	same models/gemini-4-carbon "$(jq -r .metadata.model "$MNT/a/job.json")"
}

@test "a draft outlives kill -9, what was synced in it, too" {
	draft a
	requests 3 >>"$MNT/a/requests.jsonl"
	sync "$MNT/a/requests.jsonl"
	kill_batchfs
	mount_jobs
	state_is a DRAFT
	requests 3 | cmp - "$MNT/a/requests.jsonl"
	same 0 "$(calls create)"
}

@test "rmdir of a draft: it is gone at once, for good, and nothing was sent" {
	draft a
	requests 3 >>"$MNT/a/requests.jsonl"
	echo x >"$MNT/a/note.txt"
	rmdir "$MNT/a"
	[ ! -e "$MNT/a" ]
	remount_jobs
	[ ! -e "$MNT/a" ]
	same 0 "$(calls create)"
	same 0 "$(calls delete)"
	draft a
	same "" "$(ls "$MNT/a" | grep -xE 'requests.jsonl|note.txt' || true)"
}

@test "a draft can be renamed, a job cannot" {
	draft a
	requests 3 >>"$MNT/a/requests.jsonl"
	mv "$MNT/a" "$MNT/b"
	state_is b DRAFT
	[ ! -e "$MNT/a" ]
	echo submit >"$MNT/b/ctl"
	same 1 "$(ids_of b | wc -l)"
	same EPERM "$(errno_of 'os.rename(a[0], a[1])' "$MNT/b" "$MNT/c")"
}

@test "rename of a draft onto a job is EEXIST" {
	submit_job job
	draft a
	same EEXIST "$(errno_of 'os.rename(a[0], a[1])' "$MNT/a" "$MNT/job")"
	state_is a DRAFT
}

@test "rename of a draft to a name that cannot be" {
	draft a
	same EPERM "$(errno_of 'os.rename(a[0], a[1])' "$MNT/a" "$MNT/.a")"
	same EILSEQ "$(errno_of 'os.rename(a[0], a[1])' "$MNT/a" "$MNT/"$'\xff')"
	state_is a DRAFT
}

@test "only directories can be made at the top" {
	same EPERM "$(errno_of_write "$MNT/file" x)"
	same EPERM "$(errno_of 'os.symlink(b"x", a[0])' "$MNT/link")"
	same EPERM "$(errno_of 'os.mkfifo(a[0])' "$MNT/fifo")"
}

@test "no directories, links or devices in a draft" {
	draft a
	same EPERM "$(errno_of 'os.mkdir(a[0])' "$MNT/a/dir")"
	same EPERM "$(errno_of 'os.symlink(b"x", a[0])' "$MNT/a/link")"
	same EPERM "$(errno_of 'os.mkfifo(a[0])' "$MNT/a/fifo")"
	echo x >"$MNT/a/x"
	same EPERM "$(errno_of 'os.link(a[0], a[1])' "$MNT/a/x" "$MNT/a/y")"
}

@test "names of files that a draft does not have yet cannot be made" {
	draft a
	for f in results.jsonl error id job.json; do
		echo "$f"
		same EPERM "$(errno_of '
os.close(os.open(a[0], os.O_WRONLY | os.O_CREAT | os.O_EXCL))' "$MNT/a/$f")"
	done
	echo x >"$MNT/a/x"
	same EPERM "$(errno_of 'os.rename(a[0], a[1])' "$MNT/a/x" "$MNT/a/results.jsonl")"
}

@test "scratch in a job that was submitted is still writable and never sent" {
	submit_job a
	echo later >"$MNT/a/later.txt"
	same later "$(cat "$MNT/a/later.txt")"
	remount_jobs
	same later "$(cat "$MNT/a/later.txt")"
	rm "$MNT/a/later.txt"
	[ ! -e "$MNT/a/later.txt" ]
	same 1 "$(calls create)"
}

@test "a scratch file stays open and writable after it was removed" {
	draft a
	exec 7<>"$MNT/a/x"
	echo one >&7
	rm "$MNT/a/x"
	echo two >&7
	[ ! -e "$MNT/a/x" ]
	same "one
two" "$(python3 -c 'import os; print(os.pread(7, 100, 0).decode(), end="")' 7<&7)"
	exec 7>&-
}

@test "offline: the draft is made all the same, submitting is EHOSTUNREACH" {
	unmount_jobs
	unset GEMINI_API_KEY
	mount_jobs -o offline
	draft a
	same EHOSTUNREACH "$(errno_of_write "$MNT/a/requests.jsonl" "$(requests 1)")"
	same EHOSTUNREACH "$(errno_of_ctl a submit)"
	same "$(requests 1)" "$(cat "$MNT/a/requests.jsonl")"
	unmount_jobs
	export GEMINI_API_KEY=test-key
	mount_jobs
	echo submit >"$MNT/a/ctl"
	same 1 "$(calls create)"
}

@test "mkdir gets no answer: the draft is made all the same" {
	ls "$MNT"
	older_than_ttl
	fault 'match=list&kind=stall&seconds=60&count=0'
	draft a
	state_is a DRAFT
}

@test "names that cannot be made, and one that was mistyped: error says what to do" {
	draft d
	mkdir "$HOME/texts"
	echo text >"$HOME/texts/one.txt"
	run ! cp -r "$HOME/texts" "$MNT/d/"
	contains "$(cat "$MNT/d/error")" 'texts cannot be made here'
	contains "$(cat "$MNT/d/error")" 'cp -r FOLDER/. inputs/'
	cp -r "$HOME/texts/." "$MNT/d/inputs/"
	[ ! -e "$MNT/d/error" ]
	requests 1 >"$HOME/retry.jsonl"
	run ! cp "$HOME/retry.jsonl" "$MNT/d/"
	contains "$(cat "$MNT/.batchfs/log")" 'd: retry.jsonl cannot be made here'
	contains "$(cat "$MNT/.batchfs/log")" 'cp OLD/retry.jsonl NEW/requests.jsonl'
	echo 'What is this?' >"$MNT/d/promt.txt"
	contains "$(cat "$MNT/d/error")" 'If it is meant to be prompt.txt'
	cp "$HOME/texts/one.txt" "$MNT/d/reviews.csv"
	echo Summarize. >"$MNT/d/system.txt"
	run ! sh -c 'echo check >"$1/ctl"' - "$MNT/d"
	contains "$(cat "$MNT/d/error")" 'promt.txt: is not part of a composed draft. If it is meant to be prompt.txt: mv it'
	contains "$(cat "$MNT/d/error")" 'reviews.csv: is not part of a composed draft. If it is meant to be inputs.csv: mv it'
	rm "$MNT/d/reviews.csv"
	mv "$MNT/d/promt.txt" "$MNT/d/prompt.txt"
	[ ! -e "$MNT/d/error" ]
	run ! sh -c 'echo sumbit >"$1/ctl"' - "$MNT/d"
	contains "$(cat "$MNT/.batchfs/log")" 'did you mean submit'
}
