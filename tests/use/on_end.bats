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
