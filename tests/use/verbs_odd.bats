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
	# shellcheck disable=SC2034 # mount.bash puts it before the command
	FS_CLOCK=(env --ignore-signal=HUP)
	mount_jobs
	kill -HUP "$FS_PID"
	same a "$(ls "$MNT")"
	state_is a JOB_STATE_PENDING
	unmount_jobs
	same 1 "$(calls create)"
}

from_a_pipe() {
	ends 0 b run -q a in.jsonl || return
	ends 0 b run -q a <(cat in.jsonl) || return
	same 3 "$(grep -c answered <<<"$OUT")" || return
	ends 0 b run -q a /dev/stdin <in.jsonl || return
	ends 0 b run -q a /dev/stdin < <(cat in.jsonl) || return
	mkfifo fifo
	cat in.jsonl >fifo 3>&- &
	ends 0 b run -q a fifo || return
	rm fifo
	ends 2 b run -q a <(head -n 2 in.jsonl) && said 'other requests' || return
	ends 2 b run -q a /dev/null && said 'no requests' || return
	ends 2 b run -q a . && said '--inputs DIR' || return
	ends 0 b run -q c --inputs <(echo one) --prompt @<(echo two) || return
	contains "$OUT" 'two' || return
	ends 2 b run -q d --inputs - --prompt @- <in.jsonl && said 'only once' || return
	TMPDIR=$PWD/nowhere ends 1 b run -q a - <in.jsonl || return
	said "cannot be kept in $PWD/nowhere: No such file" && said TMPDIR=
}

@test "requests come from a pipe, too" {
	both_ways from_a_pipe
	same 4 "$(calls create)"
}

# The prompt is opened when the inputs have been looked at.
@test "a file that changes while it is read is not bought by half" {
	mkdir in
	cp in.jsonl in/1.txt
	echo two >in/2.txt
	mkfifo slow
	{
		echo more >>in/1.txt
		echo 'What is it?'
	} >slow 3>&- &
	ends 75 b run a --inputs in --prompt @slow
	said 'in/1.txt changed while it was read'
	same 0 "$(calls create)"
	echo 'What is it?' >prompt
	ends 0 b run a --inputs in --prompt @prompt
	contains "$OUT" more
	same 1 "$(calls create)"
}

@test "inputs: a link in a circle, an extension in capitals" {
	mkdir -p in/deeper
	echo one >in/1.txt
	ln -s .. in/deeper/up
	ends 2 b run a --inputs in --prompt x
	said 'in/deeper/up is a link to in,'
	rm in/deeper/up
	mkfifo in/pipe
	ends 2 b run a --inputs in --prompt x
	said 'in/pipe is no file'
	printf 'id,word\nx,ape\ny,bee\n' >T.CSV
	ends 0 b run t --inputs T.CSV --prompt 'Repeat {word}'
	same $'x\ny' "$(cut -f 1 <<<"$OUT")"
}

@test "a control character cannot be in a NAME" {
	ends 2 b run $'a\nb' in.jsonl
	said 'without control characters'
	ends 2 b run $'a\xc2\x85b' in.jsonl
	ends 2 b run $'\xff' in.jsonl
	said 'UTF-8'
	ends 0 b run 'a%0Ab' in.jsonl
	ends 0 b ls
	same 'a%0Ab' "$OUT"
	mount_jobs
	same EILSEQ "$(errno_of 'os.mkdir(a[0])' "$MNT/"$'c\nd')"
}

@test "what is wrong is said in words of verbs" {
	echo '{"key": "a"}' >bad.jsonl
	ends 1 b run 'a b' bad.jsonl
	said "batchfs rm 'a b', and the same command again"
	ends 1 b run m in.jsonl -m no-such-model
	said 'batchfs models'
	said 'with -m NAME'
	ends 0 b run m in.jsonl -m gemini-3.8-flash
	: >empty.txt
	mkdir in
	mv empty.txt in
	ends 1 b run c --inputs in --prompt x
	said 'batchfs rm c, and the same command again'
	fault 'match=create&kind=status&status=400'
	ends 1 b run r in.jsonl
	said 'batchfs ctl r submit'
	lacks "$(cat "$SAID")" '> ctl'
	ends 2 b ls -s http://example.com
	said 'use https'
	XDG_STATE_HOME=/proc/nowhere ends 1 b ls
	said '-o state_dir=PATH'
	XDG_CACHE_HOME=/proc/nowhere ends 1 b ls
	said '-o cache_dir=PATH'
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
