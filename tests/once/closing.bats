#!/usr/bin/env bats
# Who closes last, under conditions in which that is hard to tell: many at once, few
# descriptors, threads with tables of their own, execve, a /proc that goes away.

load ../helpers/mount

setup() {
	start_emulator
	IN=$HOME/in.jsonl
	requests 30 >"$IN"
	head -n 10 "$IN" >"$HOME/1"
	tail -n 20 "$IN" >"$HOME/2"
}
teardown() { stop_all; }

# Not sent, said how to send it, and sendable by that.
left_to_ctl() {
	bought_nothing a
	contains "$(cat "$MNT/a/error")" "echo submit > ctl"
	echo submit >"$MNT/a/ctl"
	bought_once a "$IN"
}

# ---- exactly one decides -----------------------------------------------------------------

# Each opens the file by itself, so that all have a description of their own.
@test "several writers that close at the same time: one job, every time" {
	mount_jobs
	python3 - "$IN" "$MNT" <<-'P'
		import os, sys
		lines = open(sys.argv[1], "rb").read().splitlines(True)
		def round(name, n):
		    os.mkdir(f"{sys.argv[2]}/{name}")
		    path = f"{sys.argv[2]}/{name}/requests.jsonl"
		    ready, go = os.pipe(), os.pipe()
		    at = 0
		    for i in range(n):
		        part = b"".join(lines[i * len(lines) // n:(i + 1) * len(lines) // n])
		        if not os.fork():
		            fd = os.open(path, os.O_WRONLY | os.O_CREAT)
		            os.pwrite(fd, part, at)
		            os.close(go[1])
		            os.write(ready[1], b"x")
		            os.read(go[0], 1)
		            os.close(fd)
		            os._exit(0)
		        at += len(part)
		    for i in range(n):
		        os.read(ready[0], 1)
		    os.close(go[0]); os.close(go[1])
		    for i in range(n):
		        assert os.wait()[1] == 0
		    os.close(ready[0]); os.close(ready[1])
		for i in range(12):
		    round(f"pair{i}", 2)
		round("many", 30)
	P
	same 13 "$(calls create)"
	same 13 "$(jobs_at_api)"
	cmp "$IN" "$MNT/many/requests.jsonl"
}

@test "sixty processes that inherited one descriptor and end at once: one job" {
	mount_jobs
	draft a
	python3 - "$IN" "$MNT/a/requests.jsonl" <<-'P'
		import os, sys
		fd = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT)
		go = os.pipe()
		for i in range(60):
		    if not os.fork():
		        os.close(go[1])
		        os.read(go[0], 1)
		        os._exit(0)
		os.write(fd, open(sys.argv[1], "rb").read())
		os.close(go[0]); os.close(go[1])
		os.close(fd)
		for i in range(60):
		    os.wait()
	P
	bought_once a "$IN"
}

# ---- what cannot be seen is unknown ------------------------------------------------------

@test "a thread with a table of its own still writes: nothing is bought before it closes" {
	mount_jobs
	draft a
	mkfifo "$HOME/go"
	python3 - "$HOME/1" "$HOME/2" "$MNT/a/requests.jsonl" "$HOME/go" >"$HOME/out" 3>&- <<-'P' &
		import ctypes, os, sys, threading
		first, second = (open(a, "rb").read() for a in sys.argv[1:3])
		fd = os.open(sys.argv[3], os.O_WRONLY | os.O_CREAT)
		os.write(fd, first)
		ready = threading.Event()
		def other():
		    assert not ctypes.CDLL(None).unshare(0x400)
		    ready.set()
		    open(sys.argv[4]).read()
		    os.write(fd, second)
		    os.close(fd)
		t = threading.Thread(target=other)
		t.start()
		ready.wait()
		os.close(fd)
		print("closed", flush=True)
		t.join()
	P
	local pid=$!
	eventually grep -q closed "$HOME/out"
	bought_nothing a
	echo >"$HOME/go"
	wait $pid
	bought_once a "$IN"
}

# The number that the daemon's next descriptor would have.
next_descriptor() {
	local n=0
	while [ -e "/proc/$FS_PID/fd/$n" ]; do n=$((n + 1)); done
	echo "$n"
}

@test "a batchfs that has one descriptor left still sees who holds the file" {
	as_root || skip "only root sees which it has"
	mount_jobs
	draft a
	exec 7>"$MNT/a/requests.jsonl"
	cat "$HOME/1" >&7
	prlimit --pid "$FS_PID" --nofile=$(($(next_descriptor) + 1)):
	sh -c 'exec 7>&-'
	prlimit --pid "$FS_PID" --nofile=1024:
	# Nor was it tried.
	[ ! -e "$MNT/a/error" ]
	bought_nothing a
	cat "$HOME/2" >&7
	exec 7>&-
	bought_once a "$IN"
}

@test "a batchfs that cannot look at all: EBUSY, and error says what to do" {
	mount_jobs
	draft a
	same EBUSY "$(errno_of 'import resource
fd = os.open(a[1], os.O_WRONLY | os.O_CREAT)
os.write(fd, open(a[0], "rb").read())
resource.prlimit(int(a[2]), resource.RLIMIT_NOFILE, (0, 1024))
os.close(fd)' "$IN" "$MNT/a/requests.jsonl" "$FS_PID")"
	prlimit --pid "$FS_PID" --nofile=1024:
	left_to_ctl
}

@test "/proc goes away while it is mounted: EBUSY, and error says what to do" {
	as_root || skip "mounting is root's"
	cat >"$HOME/script" <<-'X'
		mkdir jobs
		"$1" -f -o poll=1 jobs 2>log &
		i=0
		until mountpoint -q jobs || [ $i = 300 ]; do i=$((i + 1)); sleep 0.1; done
		mkdir jobs/a
		mount -t tmpfs none /proc
		cp "$2" jobs/a/requests.jsonl && echo copied
		cat jobs/a/state jobs/a/error
		echo submit >jobs/a/ctl
		cat jobs/a/wait
		umount /proc
		umount jobs
		wait
	X
	cd "$HOME"
	unshare_mounts timeout 60 sh "$HOME/script" "$(realpath "$BATCHFS")" "$IN" >said 2>&1 3>&-
	cat said
	grep -qi busy said
	grep -q "echo submit > ctl" said
	run ! grep -q copied said
	grep -q JOB_STATE_SUCCEEDED said
	same 1 "$(calls create)"
}

# ---- execve ------------------------------------------------------------------------------

# What execve closes is waited for by it, and by all who look at it meanwhile: FUSE threads
# that look would wait for each other. In a pid namespace of its own this can hang only
# itself.
@test "two hundred processes that append beside programs that exec: nobody waits for ever" {
	as_root || skip "namespaces of processes are root's"
	mount_jobs
	draft a
	cat >"$HOME/many.py" <<-'P'
		import os, sys, time
		root = sys.argv[1]
		def appender(i):
		    path = f"{root}/j{i}/requests.jsonl"
		    while time.monotonic() < end:
		        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
		        os.write(fd, b"x\n")
		        os.close(fd)
		def execer(i):
		    while time.monotonic() < end:
		        if not os.fork():
		            fd = os.open(f"{root}/j{i}/requests.jsonl", os.O_WRONLY | os.O_CREAT)
		            os.write(fd, b"y\n")
		            os.execv("/bin/true", ["true"])
		        os.wait()
		for i in range(200):
		    os.mkdir(f"{root}/j{i}")
		end = time.monotonic() + 4
		for i in range(200):
		    if not os.fork():
		        (execer if i % 20 == 0 else appender)(i)
		        os._exit(0)
		while True:
		    try:
		        os.wait()
		    except ChildProcessError:
		        break
		print("ended")
	P
	same ended "$(timeout -s KILL 100 unshare -p -f --kill-child --mount-proc \
		python3 "$HOME/many.py" "$MNT")"
	same 0 "$(calls create)"
	cp "$IN" "$MNT/a/requests.jsonl"
	bought_once a "$IN"
}
