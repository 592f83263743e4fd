#!/usr/bin/env bats
# Who closed, and who is left that can still write: bought once and whole, or not at
# all with `error` saying what to do. What programs do by themselves is in submit.bats
# and nosubmit.bats; this is about processes that are hard to see.

load ../helpers/mount

setup() {
	start_emulator
	mount_jobs
	IN=$HOME/in.jsonl
	requests 40 "a prompt of some length, to make more than one write of it" >"$IN"
	head -n 20 "$IN" >"$HOME/1"
	tail -n 20 "$IN" >"$HOME/2"
	draft a
	J=$MNT/a/requests.jsonl
}
teardown() {
	[ -z "${PYTHON:-}" ] || kill -KILL "$PYTHON" 2>/dev/null || true
	stop_all
}

# Not sent, said how to send it, and sendable by that.
left_to_ctl() {
	bought_nothing a
	eventually test -s "$MNT/a/error"
	contains "$(cat "$MNT/a/error")" "echo submit > ctl"
	echo submit >"$MNT/a/ctl"
	bought_once a "${1:-$IN}"
}

# A program in which `first` and `second` are the halves and `path` the file; what it
# prints goes to $HOME/out, and it waits where it says `wait()` for `let_go`.
start_python() {
	mkfifo "$HOME/go"
	local program
	program=$(cat)
	python3 - "$HOME/1" "$HOME/2" "$J" "$HOME/go" >"$HOME/out" 2>&1 3>&- <<-P &
		import array, ctypes, mmap, os, socket, sys, threading
		first, second = (open(a, "rb").read() for a in sys.argv[1:3])
		path, go = sys.argv[3:]
		def wait():
		    print("waits", flush=True)
		    open(go).read()
		$program
	P
	PYTHON=$!
}
waits() { eventually grep -q waits "$HOME/out"; }
let_go() {
	echo >"$HOME/go"
	wait $PYTHON || true
	cat "$HOME/out"
}

@test "two descriptors of one process: the second close is the last" {
	start_python <<-'P'
		a = os.open(path, os.O_WRONLY | os.O_CREAT)
		b = os.open(path, os.O_WRONLY)
		os.write(a, first)
		os.close(a)
		wait()
		os.pwrite(b, second, len(first))
		os.close(b)
	P
	waits
	bought_nothing a
	let_go
	bought_once a "$IN"
}

@test "threads: one closes while another still has a descriptor" {
	start_python <<-'P'
		a = os.open(path, os.O_WRONLY | os.O_CREAT)
		def other(fd):
		    wait()
		    os.write(fd, second)
		    os.close(fd)
		t = threading.Thread(target=other, args=(os.dup(a),))
		t.start()
		os.write(a, first)
		os.close(a)
		t.join()
	P
	waits
	bought_nothing a
	let_go
	bought_once a "$IN"
}

@test "in flight in a socket: not the last close; it is when it has arrived" {
	start_python <<-'P'
		a = os.open(path, os.O_WRONLY | os.O_CREAT)
		left, right = socket.socketpair()
		os.write(a, first)
		socket.send_fds(left, [b"x"], [a])
		os.close(a)
		wait()
		_, (b,), _, _ = socket.recv_fds(right, 1, 1)
		os.write(b, second)
		os.close(b)
	P
	waits
	bought_nothing a
	let_go
	bought_once a "$IN"
}

@test "in flight to another process, whose end is the last close" {
	start_python <<-'P'
		left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
		if not os.fork():
		    left.close()
		    wait()
		    _, (b,), _, _ = socket.recv_fds(right, 1, 1)
		    os.write(b, second)
		    os._exit(0)
		right.close()
		a = os.open(path, os.O_WRONLY | os.O_CREAT)
		os.write(a, first)
		socket.send_fds(left, [b"x"], [a])
		os.close(a)
		os.wait()
	P
	waits
	eventually grep -q . "$J"
	bought_nothing a
	let_go
	becomes 1 calls create
	bought_once a "$IN"
}

# Of another family, and there before the file was: it counts as soon as it has run.
@test "handed to a program that ran before and is no relative: its end is the last close" {
	cat >"$HOME/broker.py" <<-'P'
		import os, socket, sys
		s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
		s.bind(sys.argv[1])
		print("up", flush=True)
		spare = os.dup(0)
		_, (b,), _, _ = socket.recv_fds(s, 1, 1)
		os.close(spare)
		print("has", flush=True)
		open(sys.argv[2]).read()
		os.write(b, open(sys.argv[3], "rb").read())
	P
	mkfifo "$HOME/hand"
	setsid -f python3 "$HOME/broker.py" "$HOME/s" "$HOME/hand" "$HOME/2" >"$HOME/has" 3>&-
	eventually grep -q up "$HOME/has"
	draft b
	J=$MNT/b/requests.jsonl
	start_python <<-'P'
		a = os.open(path, os.O_WRONLY | os.O_CREAT)
		os.write(a, first)
		s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
		s.connect(os.path.dirname(go) + "/s")
		socket.send_fds(s, [b"x"], [a])
		while "has" not in open(os.path.dirname(go) + "/has").read():
		    pass
		os.close(a)
		wait()
	P
	waits
	bought_nothing b
	echo >"$HOME/hand"
	becomes 1 calls create
	let_go
	bought_once b "$IN"
}

@test "in flight in a socket that nobody reads: nothing is bought, and error says how" {
	start_python <<-'P'
		a = os.open(path, os.O_WRONLY | os.O_CREAT)
		left, right = socket.socketpair()
		os.write(a, first + second)
		socket.send_fds(left, [b"x"], [a])
		os.close(a)
		wait()
	P
	waits
	bought_nothing a
	let_go
	left_to_ctl
}

@test "given to a ring for requests (io_uring): nothing is bought, and error says how" {
	start_python <<-'P'
		libc = ctypes.CDLL(None)
		a = os.open(path, os.O_WRONLY | os.O_CREAT)
		ring = libc.syscall(425, 4, ctypes.create_string_buffer(120))
		if ring < 0 or libc.syscall(427, ring, 2, (ctypes.c_int * 1)(a), 1):
		    print("no ring")
		os.write(a, first + second)
		os.close(a)
		wait()
	P
	waits
	! grep -q "no ring" "$HOME/out" || skip "this machine allows none"
	bought_nothing a
	let_go
	left_to_ctl
}

@test "mmap: what is open for writing cannot be mapped so, and nothing is bought by trying" {
	start_python <<-'P'
		a = os.open(path, os.O_RDWR | os.O_CREAT)
		os.ftruncate(a, len(first))
		try:
		    mmap.mmap(a, len(first))
		except OSError as e:
		    print(e.strerror)
		os.close(a)
		wait()
	P
	waits
	contains "$(cat "$HOME/out")" "No such device"
	bought_nothing a
	let_go
	cp "$IN" "$J"
	bought_once a "$IN"
}

@test "a process group killed at once, leader and all" {
	setsid bash -c 'echo $$ >"$4"; { cat "$1"; sleep 60; cat "$2"; } >"$3"' \
		- "$HOME/1" "$HOME/2" "$J" "$HOME/leader" 3>&- &
	local leader=$!
	eventually cmp -s "$HOME/1" "$J"
	kill -KILL -- "-$(cat "$HOME/leader")"
	wait $leader || true
	left_to_ctl "$HOME/1"
}

@test "the leader killed, and the member that goes on closes in good order" {
	mkfifo "$HOME/pipe"
	bash -c 'echo $$ >"$4"; { cat "$1"; cat "$3" >/dev/null; cat "$1"; } >"$2"' \
		- "$HOME/1" "$J" "$HOME/pipe" "$HOME/leader" 3>&- &
	local leader=$!
	exec 7>"$HOME/pipe"
	eventually cmp -s "$HOME/1" "$J"
	kill -KILL "$(cat "$HOME/leader")"
	wait $leader || true
	exec 7>&-
	left_to_ctl "$HOME/1"
}

@test "a supervisor that ends before its writer: the writer's end is the last close" {
	bash -c '(read -r _ <"$4"; cat "$2") >"$3" & disown; exit 0' \
		- "$HOME/1" "$IN" "$J" <(sleep 0.3)
	becomes 1 calls create
	bought_once a "$IN"
}

@test "an append loop with the descriptor kept: bought by ctl alone" {
	while read -r line; do printf '%s\n' "$line"; done <"$IN" >>"$J"
	left_to_ctl
}

@test "through a bind mount, beside a holder of the file itself, and the other way round" {
	as_root || skip "binding is root's"
	mkdir "$HOME/bound"
	mount --bind "$MNT/a" "$HOME/bound" || skip "cannot bind here"
	exec 7<>"$J"
	cp "$IN" "$HOME/bound/requests.jsonl"
	bought_nothing a
	exec 7>&-
	umount "$HOME/bound"
	bought_once a "$IN"
	draft b
	mount --bind "$MNT/b" "$HOME/bound"
	exec 7<>"$HOME/bound/requests.jsonl"
	cp "$IN" "$MNT/b/requests.jsonl"
	same 1 "$(calls create)"
	state_is b DRAFT
	exec 7>&-
	umount "$HOME/bound"
	same 2 "$(calls create)"
}

@test "a writer in a pid namespace of its own is seen from here" {
	unshare --pid --fork true 2>/dev/null || skip "no namespaces here"
	unshare --pid --fork bash -c '{ cat "$1"; cat "$2"; } >"$3"' - "$HOME/1" "$HOME/2" "$J"
	bought_once a "$IN"
}

@test "a holder in a pid namespace of its own is seen from here" {
	unshare --pid --fork true 2>/dev/null || skip "no namespaces here"
	mkfifo "$HOME/go"
	exec 7>>"$J"
	unshare --pid --fork sh -c 'echo up; read -r _ <"$1"' - "$HOME/go" >"$HOME/out" 3>&- &
	exec 7>&-
	eventually grep -q up "$HOME/out"
	cp "$IN" "$J"
	bought_nothing a
	echo >"$HOME/go"
	wait $!
	cp "$IN" "$J"
	bought_once a "$IN"
}

@test "a writer that becomes another program: left to ctl, and error says so" {
	start_python <<-'P'
		a = os.open(path, os.O_WRONLY | os.O_CREAT)
		os.write(a, first + second)
		os.execv("/bin/true", ["true"])
	P
	wait $PYTHON || true
	left_to_ctl
}

# As a set-user-ID program is: its descriptors are hidden from a mount of the user's.
@test "a child that inherited the file and hides itself: nobody can tell, so EBUSY" {
	as_root && skip "root sees all"
	start_python <<-'P'
		a = os.open(path, os.O_WRONLY | os.O_CREAT)
		os.write(a, first + second)
		r, w = os.pipe()
		if not os.fork():
		    ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)
		    os.write(w, b"x")
		    wait()
		    os._exit(0)
		os.read(r, 1)
		try:
		    os.close(a)
		except OSError as e:
		    print(e.strerror, flush=True)
		os.wait()
	P
	eventually grep -q busy "$HOME/out"
	waits
	contains "$(cat "$MNT/a/error")" "another user"
	let_go
	left_to_ctl
}

# ---- where the daemon itself cannot see -------------------------------------------------

@test "the mount's own process in a pid namespace, without a /proc of its own: ctl alone, a warning, and error says so" {
	unshare --pid --fork true 2>/dev/null || skip "no namespaces here"
	unmount_jobs
	printf '#!/bin/sh\nexec unshare --pid --fork --kill-child "%s" "$@"\n' "$(realpath "$BATCHFS")" >"$HOME/batchfs"
	chmod +x "$HOME/batchfs"
	BATCHFS=$HOME/batchfs mount_jobs
	grep -q "submit=ctl" "$FS_LOG"
	cp "$IN" "$J"
	contains "$(cat "$MNT/a/error")" "not submitted: /proc does not show"
	bought_nothing a
	echo submit >"$MNT/a/ctl"
	bought_once a "$IN"
}

@test "hidepid: ctl alone, a warning, and error says so" {
	need_other_uid
	mkdir "$HOME/other"
	chmod 755 "$HOME" "$IN"
	chown "$OTHER_UID" "$HOME/other"
	cat >"$HOME/script" <<-'X'
		mount -t proc -o hidepid=2 proc /proc
		cd "$2"
		mkdir jobs
		chown "$1" jobs
		as() { setpriv --reuid "$uid" --regid "$uid" --clear-groups env HOME="$PWD" "$@"; }
		uid=$1
		as "$3" -f -o "poll=1,state_dir=$2/state,cache_dir=$2/cache" jobs 2>log &
		i=0
		until grep -qs " $2/jobs " /proc/self/mounts || [ $i = 300 ]; do i=$((i + 1)); sleep 0.1; done
		as sh -ec 'mkdir jobs/a
			cp "$1" jobs/a/requests.jsonl
			cat jobs/a/state
			grep -q "not submitted: /proc" jobs/a/error
			echo submit >jobs/a/ctl
			cat jobs/a/wait' - "$4" >said 2>&1
		as fusermount3 -u jobs
		wait
	X
	unshare_mounts sh "$HOME/script" "$OTHER_UID" "$HOME/other" "$(realpath "$BATCHFS")" "$IN" 3>&-
	cat "$HOME/other/log" "$HOME/other/said"
	grep -q "submit=ctl" "$HOME/other/log"
	same "DRAFT JOB_STATE_SUCCEEDED" "$(xargs <"$HOME/other/said")"
	same 1 "$(calls create)"
}
