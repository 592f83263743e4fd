#!/usr/bin/env bats
# Verbs where what they are given, or where they are started, is odd.

load ../helpers/mount
load ../helpers/verbs

setup() {
	start_emulator
	cd "$BATS_TEST_TMPDIR" || return
	SAID=$PWD/said
	requests 3 >in.jsonl
}
teardown() { stop_all; }

saved_results() { find "$XDG_STATE_HOME" -name results.jsonl -exec cat {} +; }

# The first file that was opened would have its number, and get the answers.
@test "descriptors that are closed write into no file of ours" {
	ends 0 b run -q a in.jsonl
	local before status=0
	before=$(saved_results)
	contains "$before" 'prompt 2'
	"$BATCHFS" run -q a in.jsonl 3>&- >&- 2>"$SAID" || status=$?
	same 1 $status
	said 'standard output'
	same "$before" "$(saved_results)"
	"$BATCHFS" wait a 3>&- 2>&- >&- <&- || true
	! "$BATCHFS" run nothing 3>&- 2>&- <&-
	same "$before" "$(saved_results)"
	ends 0 b run a in.jsonl
	same 3 "$(grep -c answered <<<"$OUT")"
}

@test "what cannot be written is said of where it goes" {
	[ -e /dev/full ] || skip "no /dev/full here"
	ends 0 b submit a in.jsonl
	ends 0 b wait -q a
	local verb status=0
	for verb in 'run a in.jsonl' 'cat a' 'jobs' 'ctl a' 'ls' 'wait a'; do
		# shellcheck disable=SC2086 # words
		b $verb -q >/dev/full || status=$?
		same 1 $status
		said 'standard output: No space left on device'
	done
	mkdir real
	ln -s real link
	ends 0 b run -q a in.jsonl --to link
	same $'k1.txt\nk2.txt\nk3.txt' "$(ls -A real)"
}

# Some programs hand on pipes that do not block.
@test "a pipe that does not block gets all of the answers" {
	jq -cn 'range(30) | {key: "k\(.)", request: {contents: [{parts: [{text: "[emu:big 9000]"}]}]}}' >big.jsonl
	ends 0 b run a big.jsonl
	python3 - "$BATCHFS" >slow <<-'EOF'
		import os, subprocess, sys, time
		r, w = os.pipe()
		os.set_blocking(w, False)
		p = subprocess.Popen([sys.argv[1], "run", "-q", "a", "big.jsonl"], stdout=w)
		os.close(w)
		time.sleep(0.5)
		sys.stdout.buffer.write(os.fdopen(r, "rb").read())
		sys.exit(p.wait())
	EOF
	same "$OUT" "$(cat slow)"
}

# background [COMMAND...]: run a in.jsonl behind the test, started by COMMAND; until it waits.
background() {
	: >"$SAID"
	"$@" "$BATCHFS" run a in.jsonl -o poll=1 >out 2>"$SAID" 3>&- </dev/null &
	PID=$!
	eventually grep -q PENDING "$SAID"
}

@test "a signal that is ignored stays ignored: nohup, and & of a script" {
	knob pending=600
	local sig status=0
	for sig in HUP INT; do
		background env --ignore-signal=$sig
		kill -$sig $PID
		kill -TERM $PID
		wait $PID || status=$?
		same 143 $status
	done
	background env --default-signal=HUP
	kill -HUP $PID
	wait $PID || status=$?
	same 129 $status
	MNT=$BATS_TEST_TMPDIR/jobs
	mkdir "$MNT"
	FS_CLOCK=(env --ignore-signal=HUP)
	mount_jobs
	kill -HUP "$FS_PID"
	same a "$(ls "$MNT")"
	state_is a JOB_STATE_PENDING
	unmount_jobs
	same 1 "$(calls create)"
}

@test "--to: an answer that has come takes the place of its error" {
	export BATCHFS_TEST_RETRY_SECONDS=0.2
	knob fail_every=3
	ends 3 b run a in.jsonl --to out
	same 1 "$(ls out | grep -c error)"
	knob fail_every=0
	ends 0 b retry a
	ends 0 b run a in.jsonl --to out
	same $'k1.txt\nk2.txt\nk3.txt' "$(ls -A out)"
}
