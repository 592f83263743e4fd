#!/usr/bin/env bats
# Signals, and the end of a mount: whoever waits is answered, whoever does not is left
# alone, and nothing that was begun is lost.

load ../helpers/mount

export BATCHFS_TEST_CLOSE_SECONDS=3

setup() {
	start_emulator
	IN=$HOME/in.jsonl
	requests 2000 "a prompt of some length, to make a download of some blocks" >"$IN"
	J=$BATS_TEST_TMPDIR/jobs/a/requests.jsonl
}
teardown() {
	local pid
	for pid in ${HELPERS:-}; do kill -KILL "$pid" 2>/dev/null || true; done
	stop_all
}

# behind COMMAND…: in the background; its output to $HOME/out.N, its pid to BEHIND.
behind() {
	COUNT=$((${COUNT:-0} + 1))
	"$@" >"$HOME/out.$COUNT" 2>"$HOME/err.$COUNT" 3>&- 7>&- </dev/null &
	BEHIND=$!
	HELPERS="${HELPERS:-} $BEHIND"
}

# Opens and reads a file once: `reads`, then `OK` or the errno. Signals are caught, so
# that it is the call that tells.
reader() { # FILE
	exec python3 -c 'import ctypes, errno, signal, sys
for s in (signal.SIGINT, signal.SIGTERM):
    signal.signal(s, lambda *a: None)
libc = ctypes.CDLL(None, use_errno=True)
buf = ctypes.create_string_buffer(65536)
print("reads", flush=True)
fd = libc.open(sys.argv[1].encode(), 0)
n = -1 if fd < 0 else libc.read(fd, buf, 65536)
print(errno.errorcode[ctypes.get_errno()] if n < 0 else "OK", flush=True)' "$1"
}
reads() { eventually grep -q reads "$HOME/out.$1"; }
says() { eventually grep -qE "$2" "$HOME/out.$1"; }

# A process sleeps inside a request of ours.
parked() { # PID
	eventually grep -q request_wait_answer "/proc/$1/wchan"
}

# The daemon has ended by itself with 0, and there is no mount left over.
ended_well() {
	local status=0
	eventually sh -c '! kill -0 "$1"' - "$FS_PID"
	wait "$FS_PID" || status=$?
	same 0 $status
	run ! grep -qF " $MNT " /proc/mounts
}

# What everybody finds at the next mount: the job once, with all it had.
whole_after() {
	no_more_faults
	mount_jobs
	[ -s "$MNT/a/id" ] || echo submit >"$MNT/a/ctl"
	bought_once a "$IN"
}

# ---- the daemon is told to end ---------------------------------------------------------

@test "SIGTERM during an upload: the writer is told, the upload is taken up" {
	mount_jobs
	draft a
	fault 'match=upload&kind=stall_body&seconds=300&at=1000&count=0'
	behind cp "$IN" "$J"
	eventually state_is a UPLOADING
	kill -TERM "$FS_PID"
	local status=0
	wait "$BEHIND" || status=$?
	same 1 $status
	ended_well
	same 0 "$(calls create)"
	whole_after
}

@test "SIGINT during a download: readers are told, and what came stays" {
	mount_jobs -o fetch=read
	draft a
	cp "$IN" "$J"
	succeeded a
	fault 'match=download&kind=stall&seconds=300&count=0'
	behind reader "$MNT/a/results.jsonl"
	behind reader "$MNT/a/results.jsonl"
	local second=$BEHIND
	reads 1
	reads 2
	parked "$second"
	kill -INT "$FS_PID"
	says 1 '^E'
	says 2 '^E'
	ended_well
	whole_after
}

@test "SIGTERM with many parked in wait, ctl and state: all are answered" {
	knob pending=1000
	mount_jobs
	submit_job a
	local i
	for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
		behind reader "$MNT/a/wait"
		parked "$BEHIND"
	done
	fault 'match=cancel&kind=stall&seconds=300&count=0'
	behind errno_of_ctl a cancel
	becomes 1 calls cancel
	kill -TERM "$FS_PID"
	for i in 1 2 3 4 5 6 7 8 9 10 11 12 13; do says "$i" '^E'; done
	ended_well
	no_more_faults
	mount_jobs
	eventually test -s "$MNT/a/id"
	same 1 "$(calls create)"
}

# `ulimit -f`: the kernel's own answer to a write that goes beyond is SIGXFSZ.
@test "a file size limit makes writes fail, and what fits goes on" {
	mount_jobs
	draft a
	prlimit --pid "$FS_PID" --fsize=100000:
	same EFBIG "$(errno_of 'fd = os.open(a[0], os.O_WRONLY | os.O_CREAT)
for i in range(3): os.write(fd, b"x" * 60000)' "$J")"
	same 0 "$(calls create)"
	contains "$(cat "$MNT/a/error")" "File too large"
	head -n 100 "$IN" >"$HOME/some"
	cp "$HOME/some" "$J"
	bought_once a "$HOME/some"
}

@test "signals that mean nothing here end nothing; one that the time is over unmounts" {
	mount_jobs
	local s
	for s in PIPE XFSZ USR1 USR2 IO PROF VTALRM PWR STKFLT; do kill "-$s" "$FS_PID"; done
	submit_job a
	kill -XCPU "$FS_PID"
	ended_well
}

# ---- unmounting ---------------------------------------------------------------------------

@test "a mount in use cannot be unmounted, and who waits in it goes on waiting" {
	knob pending=1000
	mount_jobs
	submit_job a
	behind reader "$MNT/a/wait"
	local pid=$BEHIND
	reads 1
	parked "$pid"
	run ! fusermount3 -u "$MNT"
	kill -0 "$pid"
	state_is a JOB_STATE_PENDING
	echo cancel >"$MNT/a/ctl"
	wait "$pid"
	grep -q OK "$HOME/out.1"
	unmount_jobs
}

@test "unmounted lazily the daemon stays for its last reader, and goes with it" {
	knob pending=1000
	mount_jobs
	submit_job a
	behind reader "$MNT/a/wait"
	local pid=$BEHIND
	reads 1
	parked "$pid"
	exec 7<"$MNT/a/requests.jsonl"
	fusermount3 -uz "$MNT"
	kill -0 "$FS_PID"
	same 3 "$(grep -c . <&7)"
	exec 7<&-
	kill -0 "$FS_PID"
	api POST "/v1beta/$(ids_of a):cancel" -d '{}' >/dev/null
	wait "$pid"
	grep -q OK "$HOME/out.1"
	ended_well
	mount_jobs
	state_is a JOB_STATE_CANCELLED
}

# ---- signals for readers and writers ---------------------------------------------------

@test "Ctrl-C for one of two readers: EINTR for it, and the other gets its bytes" {
	mount_jobs -o fetch=read
	draft a
	cp "$IN" "$J"
	succeeded a
	fault 'match=download&kind=stall&seconds=5'
	behind reader "$MNT/a/results.jsonl"
	local first=$BEHIND
	parked "$first"
	behind reader "$MNT/a/results.jsonl"
	local second=$BEHIND
	reads 2
	kill -INT "$first"
	says 1 EINTR
	wait "$first"
	kill -0 "$second"
	wait "$second"
	says 2 OK
	bought_once a "$IN"
}

# What a shell with jobs, a window and Go's scheduler send all day.
@test "what is no reason to give up interrupts no submission: CHLD, URG, WINCH, CONT, Ctrl-Z" {
	mount_jobs
	draft a
	fault 'match=upload&kind=stall&seconds=3'
	behind python3 -c 'import os, signal, sys
for s in (signal.SIGCHLD, signal.SIGURG, signal.SIGWINCH, signal.SIGCONT, signal.SIGIO):
    signal.signal(s, lambda *a: None)
fd = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT)
os.write(fd, open(sys.argv[1], "rb").read())
os.close(fd)
print("closed")' "$IN" "$J"
	local pid=$BEHIND s
	eventually state_is a UPLOADING
	for s in CHLD URG WINCH CONT IO TSTP CONT STOP CONT; do
		kill "-$s" "$pid"
		sleep 0.1
	done
	wait "$pid"
	grep -q closed "$HOME/out.1"
	bought_once a "$IN"
}

@test "what is a reason gives the submission up at once: INT, TERM, HUP, ALRM, USR1" {
	mount_jobs
	draft a
	fault 'match=upload&kind=stall_body&seconds=300&at=10&count=0'
	local s
	for s in INT TERM HUP ALRM USR1; do
		behind python3 -c 'import ctypes, errno, os, signal, sys
signal.signal(getattr(signal, "SIG" + sys.argv[3]), lambda *a: None)
fd = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
os.write(fd, open(sys.argv[1], "rb").read())
libc = ctypes.CDLL(None, use_errno=True)
print(errno.errorcode[ctypes.get_errno()] if libc.close(fd) else "OK", flush=True)' "$IN" "$J" "$s"
		eventually state_is a UPLOADING
		parked "$BEHIND"
		kill "-$s" "$BEHIND"
		wait "$BEHIND"
		same EINTR "$(cat "$HOME/out.$COUNT")"
		eventually state_is a DRAFT
	done
	same 0 "$(calls create)"
	no_more_faults
	echo submit >"$MNT/a/ctl"
	bought_once a "$IN"
}
