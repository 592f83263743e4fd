#!/usr/bin/env bats
# Every way to touch a draft that must not buy anything.

load ../helpers/mount

setup() {
	start_emulator
	mount_jobs
	draft_to_send 40
}
teardown() { stop_all; }

# Later, still nothing: as late as anything could have happened by itself.
still_nothing() {
	bought_nothing a
	remount_jobs
	bought_nothing a
}

@test "touch" {
	touch "$J"
	still_nothing
	[ -e "$J" ]
}

@test "an empty file: cp and : >" {
	: >"$J"
	bought_nothing a
	cp /dev/null "$J"
	still_nothing
}

@test "fsync, and the descriptor is still open" {
	mkfifo "$HOME/go"
	python3 - "$IN" "$J" "$HOME/go" >"$HOME/out" <<-'P' &
		import os, sys
		fd = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT)
		os.write(fd, open(sys.argv[1], "rb").read())
		os.fsync(fd)
		print("synced", flush=True)
		open(sys.argv[3]).read()
		os.kill(os.getpid(), 9)
	P
	local pid=$!
	eventually grep -q synced "$HOME/out"
	bought_nothing a
	cmp "$IN" "$J"
	echo >"$HOME/go"
	wait $pid || true
	still_nothing
}

# cp reads a pipe that is held open after some bytes: then it dies.
start_slow_cp() {
	mkfifo "$HOME/pipe"
	cp "$HOME/pipe" "$J" 3>&- &
	CP=$!
	exec 7>"$HOME/pipe"
	head -n "$1" "$IN" >&7
	eventually test -s "$J"
}

@test "cp killed by SIGKILL between two lines" {
	start_slow_cp 20
	kill -KILL $CP
	wait $CP || true
	exec 7>&-
	still_nothing
	contains "$(cat "$MNT/a/error")" "echo submit > ctl"
}

@test "cp killed by SIGTERM" {
	start_slow_cp 20
	kill -TERM $CP
	wait $CP || true
	exec 7>&-
	still_nothing
}

@test "cp interrupted by SIGINT, as Ctrl-C does" {
	start_slow_cp 20
	kill -INT $CP
	# A background job of a script ignores SIGINT: hang up instead.
	kill -HUP $CP
	wait $CP || true
	exec 7>&-
	still_nothing
}

@test "a killed cp, then the whole file again: bought once" {
	start_slow_cp 20
	kill -KILL $CP
	wait $CP || true
	exec 7>&-
	bought_nothing a
	cp "$IN" "$J"
	bought_once a "$IN"
}

@test "a killed cp, then ctl submit: bought as it is" {
	start_slow_cp 20
	kill -KILL $CP
	wait $CP || true
	exec 7>&-
	bought_nothing a
	echo submit >"$MNT/a/ctl"
	head -n 20 "$IN" >"$HOME/half"
	bought_once a "$HOME/half"
}

@test "a killed cp, then touch and append: still tainted" {
	start_slow_cp 20
	kill -KILL $CP
	wait $CP || true
	exec 7>&-
	touch "$J"
	python3 -c 'import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY); os.lseek(fd, 0, 2)
os.write(fd, b"\n"); os.close(fd)' "$J" || true
	still_nothing
}

@test "a group of which one member was killed" {
	bash -c '{ head -n 20 "$1"; sh -c "kill -9 \$\$"; tail -n 20 "$1"; } >"$2"' - "$IN" "$J" || true
	still_nothing
}

@test "a whole group killed while a child of it still holds the file" {
	mkfifo "$HOME/go"
	bash -c '{ head -n 20 "$1"; cat "$3" >&2 & echo $$ >"$4"; wait; } >"$2"' \
		- "$IN" "$J" "$HOME/go" "$HOME/pid" 3>&- &
	eventually test -s "$HOME/pid"
	kill -KILL "$(cat "$HOME/pid")"
	wait $! || true
	echo >"$HOME/go"
	eventually sh -c '! fuser -s "$1"' - "$J"
	still_nothing
}

# What is there is good requests: nothing but the failure keeps it from being bought.
@test "a member of a group that wrote and failed" {
	sed -n '21,25p' "$IN" >"$HOME/some"
	bash -c '{ head -n 20 "$1"
		python3 -c "import os, sys; os.write(1, open(sys.argv[1], \"rb\").read()); os._exit(3)" "$3"
		tail -n 15 "$1"; } >"$2"' - "$IN" "$J" "$HOME/some" || true
	cmp "$IN" "$J"
	still_nothing
	grep -q 'failed with exit status 3' "$MNT/a/error"
	echo submit >"$MNT/a/ctl"
	bought_once a "$IN"
}

@test ">> appends: one line, a loop, a whole file" {
	while read -r line; do echo "$line" >>"$J"; done <"$IN"
	bought_nothing a
	cmp "$IN" "$J"
	cat /dev/null >>"$J"
	still_nothing
	contains "$(cat "$MNT/a/error")" "echo submit > ctl"
	echo submit >"$MNT/a/ctl"
	bought_once a "$IN"
}

@test "tee -a" {
	tee -a "$J" <"$IN" >/dev/null
	still_nothing
}

@test "dd conv=notrunc oflag=append" {
	dd if="$IN" of="$J" conv=notrunc oflag=append status=none
	still_nothing
}

@test "reading it" {
	cat "$IN" >>"$J"
	cat "$J" >/dev/null
	cp "$J" "$HOME/copy"
	grep -c . "$J"
	dd if="$J" of=/dev/null status=none
	still_nothing
}

@test "opened for reading and writing, and only read" {
	cat "$IN" >>"$J"
	python3 -c 'import os, sys
fd = os.open(sys.argv[1], os.O_RDWR); os.read(fd, 100); os.close(fd)' "$J"
	still_nothing
}

@test "chmod, chown to oneself and touch -d" {
	cat "$IN" >>"$J"
	chmod 600 "$J"
	chown "$(id -u)" "$J"
	touch -d '2020-01-01' "$J"
	still_nothing
	same 2020-01-01 "$(date -ud "@$(stat -c %Y "$J")" +%F)"
}

@test "the close of somebody else, about which /proc tells nothing" {
	need_other_uid
	unmount_jobs
	mount_jobs -o allow_other,umask=000
	as_other dd if="$IN" of="$J" status=none <"$IN" 2>/dev/null ||
		as_other tee "$J" <"$IN" >/dev/null
	# Root sees all of /proc, so that this one may be bought; a mount of an ordinary
	# user may not. Never twice, and never in part.
	[ "$(calls create)" -le 1 ]
	cmp "$IN" "$J"
}

@test "bad JSONL is refused by close, with the line's number, and stays to be mended" {
	sed '3s/}$//' "$IN" >"$HOME/bad"
	run -1 cp "$HOME/bad" "$J"
	bought_nothing a
	cmp "$HOME/bad" "$J"
	contains "$(cat "$MNT/a/error")" "3"
	cp "$IN" "$J"
	bought_once a "$IN"
	[ ! -e "$MNT/a/error" ]
}

@test "scratch files and other names" {
	cp "$IN" "$MNT/a/notes.txt"
	cp "$IN" "$MNT/a/.requests.jsonl.swp"
	cp "$IN" "$MNT/a/4913"
	cp "$IN" "$MNT/a/requests.jsonl~"
	cmp "$IN" "$MNT/a/notes.txt"
	echo more >>"$MNT/a/notes.txt"
	mv "$MNT/a/notes.txt" "$MNT/a/other.txt"
	rm "$MNT/a/4913" "$MNT/a/requests.jsonl~"
	still_nothing
	[ -e "$MNT/a/other.txt" ]
	[ -e "$MNT/a/.requests.jsonl.swp" ]
}

@test "scratch that looks like a mistake is named in error" {
	cp "$IN" "$MNT/a/my-batch.jsonl"
	bought_nothing a
	contains "$(cat "$MNT/a/error")" my-batch.jsonl
	contains "$(cat "$MNT/a/error")" requests.jsonl
}

@test "mv is EBUSY while somebody can still write to the file" {
	exec 7>"$MNT/a/tmp"
	cat "$IN" >&7
	same EBUSY "$(errno_of 'os.rename(a[0], a[1])' "$MNT/a/tmp" "$J")"
	contains "$(cat "$MNT/a/error")" "tmp is still open for writing."
	bought_nothing a
	exec 7>&-
	mv "$MNT/a/tmp" "$J"
	bought_once a "$IN"
}

@test "ctl is EBUSY while somebody can still write to the file" {
	exec 7>>"$J"
	cat "$IN" >&7
	same EBUSY "$(errno_of_ctl a submit)"
	contains "$(cat "$MNT/a/error")" "requests.jsonl is still open for writing."
	bought_nothing a
	exec 7>&-
	same OK "$(errno_of_ctl a submit)"
	bought_once a "$IN"
}

@test "mv of bad requests moves nothing, and the bytes are kept twice" {
	sed '3s/}$//' "$IN" >"$MNT/a/tmp"
	same EBADMSG "$(errno_of 'os.rename(a[0], a[1])' "$MNT/a/tmp" "$J")"
	bought_nothing a
	[ -e "$MNT/a/tmp" ]
	cmp "$MNT/a/tmp" "$MNT/a/requests.jsonl.rejected"
}

@test "what mv kept is a file of its own: writing the other does not change it" {
	sed '3s/}$//' "$IN" >"$MNT/a/tmp"
	cp "$MNT/a/tmp" "$HOME/bad"
	run -1 mv "$MNT/a/tmp" "$J"
	echo else >"$MNT/a/tmp"
	cmp "$HOME/bad" "$MNT/a/requests.jsonl.rejected"
	remount_jobs
	cmp "$HOME/bad" "$MNT/a/requests.jsonl.rejected"
}

@test "mv of what was kept, still bad: it is there yet" {
	sed '3s/}$//' "$IN" >"$MNT/a/tmp"
	cp "$MNT/a/tmp" "$HOME/bad"
	run -1 mv "$MNT/a/tmp" "$J"
	run -1 mv "$MNT/a/requests.jsonl.rejected" "$J"
	cmp "$HOME/bad" "$MNT/a/requests.jsonl.rejected"
	remount_jobs
	cmp "$HOME/bad" "$MNT/a/requests.jsonl.rejected"
	bought_nothing a
}

@test "mv of bad requests over what was there before leaves that" {
	cat "$IN" >>"$J"
	sed '3s/}$//' "$IN" >"$MNT/a/tmp"
	run -1 mv "$MNT/a/tmp" "$J"
	cmp "$IN" "$J"
	bought_nothing a
}

@test "rsync of bad requests: the bytes stay as requests.jsonl.rejected" {
	sed '3s/}$//' "$IN" >"$HOME/bad"
	run rsync "$HOME/bad" "$J"
	[ "$status" != 0 ]
	bought_nothing a
	cmp "$HOME/bad" "$MNT/a/requests.jsonl.rejected"
}

@test "sed -i that breaks the requests" {
	cat "$IN" >>"$J"
	run sed -i '3s/}$//' "$J"
	[ "$status" != 0 ]
	bought_nothing a
	sed '3s/}$//' "$IN" | cmp - "$MNT/a/requests.jsonl.rejected"
}

# execve closes what is marked for that while nobody can look into the process: one
# that runs another program must not hang, nor buy half a file.
@test "a writer that runs another program, its descriptor marked close-on-exec" {
	python3 - "$IN" "$J" <<-'P'
		import os, sys
		data = open(sys.argv[1], "rb").read()
		fd = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT)
		os.write(fd, data[:100])
		for _ in range(3):
		    assert os.posix_spawn("/bin/true", ["true"], {}) and os.wait()[1] == 0
		assert os.stat(sys.argv[2]).st_size == 100
		os.write(fd, data[100:])
		if os.fork() == 0:
		    os.execv("/bin/true", ["true"])
		assert os.wait()[1] == 0
		os.close(fd)
	P
	bought_once a "$IN"
}

@test "a writer that becomes another program: nothing is bought, and it does not hang" {
	python3 - "$IN" "$J" <<-'P'
		import os, sys
		fd = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT)
		os.write(fd, open(sys.argv[1], "rb").read())
		os.execv("/bin/true", ["true"])
	P
	cmp "$IN" "$J"
	echo submit >"$MNT/a/ctl"
	bought_once a "$IN"
}

@test "removing requests.jsonl of a draft" {
	cat "$IN" >>"$J"
	rm "$J"
	still_nothing
	[ ! -e "$J" ]
}

@test "submit=ctl: close never submits, mv and ctl do" {
	unmount_jobs
	mount_jobs -o submit=ctl
	cp "$IN" "$J"
	bought_nothing a
	cp "$IN" "$MNT/a/tmp"
	mv "$MNT/a/tmp" "$J"
	bought_once a "$IN"
}

@test "interrupted while the last close submits: error says so, and a copy at once is taken" {
	local cp
	fault 'match=upload&kind=stall_body&seconds=60&at=10'
	cp "$IN" "$J" 2>/dev/null 3>&- &
	cp=$!
	eventually state_is a UPLOADING
	kill -TERM $cp
	wait $cp || true
	# At once, without a look in between.
	same 'DRAFT The submission was interrupted: nothing was bought.' \
		"$(cat "$MNT/a/state") $(head -n 1 "$MNT/a/error")"
	cp "$IN" "$J"
	bought_once a "$IN"
	[ ! -e "$MNT/a/error" ]
}

@test "interrupted when the job is being created: it goes on, error and then warnings say so" {
	local cp
	knob create_delay=60
	cp "$IN" "$J" 2>/dev/null 3>&- &
	cp=$!
	eventually state_is a SUBMITTING
	kill -TERM $cp
	wait $cp || true
	contains "$(cat "$MNT/a/error")" 'interrupted while the job was being created, so it goes on'
	grep -q resubmit "$MNT/a/ctl" && return 1
	knob create_delay=0
	eventually test -e "$MNT/a/warnings"
	contains "$(cat "$MNT/a/warnings")" 'this is that job, and the only one'
	[ ! -e "$MNT/a/error" ]
	bought_once a "$IN"
}
