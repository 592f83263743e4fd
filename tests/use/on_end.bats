#!/usr/bin/env bats
# on_end=COMMAND: a command for each job that has ended.

load ../helpers/mount

setup() { start_emulator; OUT=$BATS_TEST_TMPDIR/out; }
teardown() { stop_all; }

# A command that writes down how it was called; its words end up behind -c.
note() { printf 'printf "%%s|" "$PWD" "${GEMINI_API_KEY-none}" >>%s; printf "%%s|" >>%s' "$OUT" "$OUT"; }
lines() { tr '|' '\n' <"$OUT"; }

@test "on_end: once a job, in the mountpoint, with name and state, without the key" {
	mount_jobs -o "on_end=$(note)"
	submit_job 'a $(touch x) b'
	eventually test -s "$OUT"
	eventually grep -q SUCCEEDED "$OUT"
	same "$MNT
none
a \$(touch x) b
JOB_STATE_SUCCEEDED" "$(lines)"
	[ ! -e "$MNT/x" ]
	remount_jobs -o "on_end=$(note)"
	cat "$MNT/.batchfs/jobs" >/dev/null
	submit_job c
	eventually grep -q '|c|' "$OUT"
	same 1 "$(lines | grep -c 'a \$(touch x) b')"
}

@test "on_end: results are saved by then, and the command may use the mount" {
	mount_jobs -o "on_end=f() { cat \"\$1/answers.tsv\" >$OUT.new; mv $OUT.new $OUT; }; f"
	submit_job a 3
	eventually test -s "$OUT"
	same "k1 k2 k3" "$(cut -f 1 "$OUT" | xargs)"
}

@test "on_end: jobs that ended while nothing was mounted, and no older ones" {
	mount_jobs
	submit_job old
	succeeded old
	eventually results_saved old
	knob running=2
	submit_job b
	remount_jobs -o offline
	sleep 2
	remount_jobs -o "on_end=$(note)"
	eventually grep -q '|b|JOB_STATE_SUCCEEDED' "$OUT"
	run ! grep -q '|old|' "$OUT"
}

@test "on_end: a job that was cancelled, too; failures and output are in the log" {
	knob pending=30
	mount_jobs -o 'on_end=echo said; echo failed >&2; sleep 60 & exit 7;'
	submit_job a
	echo cancel >"$MNT/a/ctl"
	eventually grep -q 'on_end a: exit status 7' "$MNT/.batchfs/log"
	grep -q 'on_end a: said' "$MNT/.batchfs/log"
	grep -q 'on_end a: failed' "$MNT/.batchfs/log"
	state_is a JOB_STATE_CANCELLED
}

@test "on_end: SIGTERM ends the mount though a command does not end" {
	mount_jobs -o "on_end=f() { echo \$\$ >$OUT; exec sleep 300; }; f"
	submit_job a
	eventually test -s "$OUT"
	kill -TERM "$FS_PID"
	wait "$FS_PID"
	run ! mountpoint -q "$MNT"
	kill "$(cat "$OUT")"
}

# ---- verbs ------------------------------------------------------------------------------

# b VERB [argument...]: without a mount.
b() { timeout "$PATIENCE" "$BATCHFS" "$@" -o ttl=1,poll=1 3>&-; }

@test "on_end: verbs that wait run it where no mount does, once a job, whoever comes next" {
	cd "$HOME"
	requests 2 >in.jsonl
	b run 'a $(touch x)' in.jsonl -o "on_end=echo said; $(note)" >answers 2>said
	same "$HOME
none
a \$(touch x)
JOB_STATE_SUCCEEDED" "$(lines)"
	[ ! -e x ]
	same 'k1 k2' "$(cut -f 1 answers | xargs)"
	grep -qx said said
	b run 'a $(touch x)' in.jsonl -o "on_end=$(note)" >answers
	b submit b in.jsonl
	b submit c in.jsonl
	b wait b c -o "on_end=$(note)"
	b wait b c -o "on_end=$(note)"
	mount_jobs -o "on_end=$(note)"
	cat "$MNT/.batchfs/jobs" >/dev/null
	submit_job d
	eventually grep -q '|d|' "$OUT"
	unmount_jobs
	same 'a b c d' "$(lines | grep -E '^[a-d]( |$)' | cut -c 1 | sort | xargs)"
}

@test "on_end: of a verb, may use batchfs, and how it ends changes nothing" {
	cd "$HOME"
	requests 2 >in.jsonl
	b run a in.jsonl -o "on_end=f() { '$BATCHFS' cat -o offline \"\$1\" >$OUT; exit 7; }; f" >answers 2>said
	cmp answers "$OUT"
	grep -q 'on_end a: exit status 7' said
	knob outcome=failed
	status=0
	b run b in.jsonl -o "on_end=$(note)" >answers 2>said || status=$?
	same 1 $status
	grep -q '|b|JOB_STATE_FAILED' "$OUT"
}

@test "on_end: the end that a verb saw between two mounts is told to the next" {
	cd "$HOME"
	requests 2 >in.jsonl
	mount_jobs -o "on_end=$(note)"
	unmount_jobs
	b run a in.jsonl >/dev/null
	b ls -l
	mount_jobs -o "on_end=$(note)"
	eventually grep -q '|a|JOB_STATE_SUCCEEDED' "$OUT"
	# A mount without it says that nobody wants to know.
	remount_jobs
	unmount_jobs
	b run b in.jsonl >/dev/null
	mount_jobs -o "on_end=$(note)"
	submit_job c
	eventually grep -q '|c|' "$OUT"
	run ! grep -q '|b|' "$OUT"
}

@test "on_end: a verb through a mount leaves it to the mount" {
	cd "$HOME"
	requests 2 >in.jsonl
	mount_jobs -o "on_end=$(note)"
	b run a in.jsonl -o "on_end=touch $HOME/twice" >/dev/null
	eventually grep -q '|a|' "$OUT"
	[ ! -e twice ]
}
