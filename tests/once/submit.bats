#!/usr/bin/env bats
# Every way to write requests.jsonl that buys a job: exactly one, with all of it.

load ../helpers/mount

setup() {
	start_emulator
	mount_jobs
	IN=$HOME/in.jsonl
	requests 40 "a prompt of some length, to make more than one write of it" >"$IN"
	draft a
	J=$MNT/a/requests.jsonl
}
teardown() { stop_all; }

@test "cp" {
	cp "$IN" "$J"
	bought_once a "$IN"
}

@test "cp -p" {
	cp -p "$IN" "$J"
	bought_once a "$IN"
	same "$(stat -c %Y "$IN")" "$(stat -c %Y "$J")"
}

@test "cp of a file that bears the right name, into the directory" {
	cp "$IN" "$HOME/requests.jsonl"
	cp "$HOME/requests.jsonl" "$MNT/a/"
	bought_once a "$IN"
}

@test "cat >" {
	cat "$IN" >"$J"
	bought_once a "$IN"
}

@test "sh -c 'cat >', as dash does it" {
	dash -c 'cat "$1" >"$2"' - "$IN" "$J"
	bought_once a "$IN"
}

@test "tee" {
	tee "$J" <"$IN" >/dev/null
	bought_once a "$IN"
}

@test "dd in small blocks" {
	dd if="$IN" of="$J" bs=100 status=none
	bought_once a "$IN"
}

@test "dd conv=fsync" {
	dd if="$IN" of="$J" bs=512 conv=fsync status=none
	bought_once a "$IN"
}

@test "install" {
	install -m 644 "$IN" "$J"
	bought_once a "$IN"
}

@test "install -p" {
	install -p "$IN" "$J"
	bought_once a "$IN"
}

@test "mv from another filesystem" {
	cp "$IN" "$HOME/copy"
	mv "$HOME/copy" "$J"
	bought_once a "$IN"
	[ ! -e "$HOME/copy" ]
}

@test "a temporary name in the directory, then mv" {
	cp "$IN" "$MNT/a/tmp"
	same 0 "$(calls create)"
	mv "$MNT/a/tmp" "$J"
	bought_once a "$IN"
	[ ! -e "$MNT/a/tmp" ]
}

@test "mv from a draft beside it" {
	draft b
	cp "$IN" "$MNT/b/tmp"
	mv "$MNT/b/tmp" "$J"
	bought_once a "$IN"
}

# The kernel holds the lock of the directory until mv has its answer.
@test "while mv waits for the API what is known stays usable, and Ctrl-C ends it" {
	ls "$MNT" "$MNT/a"
	cat "$MNT/a/state" "$MNT/.batchfs/transfers"
	cp "$IN" "$MNT/a/new"
	fault 'match=upload_start&kind=stall&seconds=600&count=0'
	set -m # so that INT is not ignored
	mv "$MNT/a/new" "$J" &
	local mv=$!
	set +m
	becomes UPLOADING timeout 20 cat "$MNT/a/state"
	same a "$(timeout 20 ls "$MNT")"
	contains "$(timeout 20 cat "$MNT/.batchfs/jobs")" UPLOADING
	timeout 20 cat "$MNT/.batchfs/transfers"
	timeout 20 mkdir "$MNT/b"
	timeout 20 rmdir "$MNT/b"
	kill -INT $mv
	run wait $mv
	[ "$status" != 0 ]
	becomes DRAFT cat "$MNT/a/state"
	cmp "$IN" "$MNT/a/new"
}

@test "ctl submit" {
	cat "$IN" >>"$J"
	same 0 "$(calls create)"
	echo submit >"$MNT/a/ctl"
	bought_once a "$IN"
}

@test "rsync" {
	rsync "$IN" "$J"
	bought_once a "$IN"
}

@test "rsync -a" {
	rsync -a "$IN" "$J"
	bought_once a "$IN"
}

@test "rsync --inplace" {
	rsync --inplace "$IN" "$J"
	bought_once a "$IN"
}

@test "vim -es" {
	need vim
	vim -es -u NONE -N -i NONE "$IN" -c "saveas! $J" -c 'qa!' </dev/null
	bought_once a "$IN"
}

@test "vim -es on a draft that has a backup and a swap file beside it" {
	need vim
	sed '$d' "$IN" >>"$J"
	same 0 "$(calls create)"
	vim -es -u NONE -N -i NONE "$J" -c "\$read !tail -n 1 $IN" -c 'wq' </dev/null
	bought_once a "$IN"
}

@test "sed -i" {
	sed 's/prompt/PROMPT/' "$IN" >>"$J"
	same 0 "$(calls create)"
	sed -i 's/PROMPT/prompt/' "$J"
	bought_once a "$IN"
}

@test "perl -i" {
	sed 's/prompt/PROMPT/' "$IN" >>"$J"
	perl -i -pe 's/PROMPT/prompt/' "$J"
	becomes 1 calls create
	bought_once a "$IN"
}

@test "python, a with block" {
	python3 - "$IN" "$J" <<-'P'
		import sys
		with open(sys.argv[1]) as i, open(sys.argv[2], "w") as o:
		    for line in i:
		        o.write(line)
	P
	bought_once a "$IN"
}

@test "python, shutil.copyfile" {
	python3 -c 'import shutil, sys; shutil.copyfile(*sys.argv[1:])' "$IN" "$J"
	bought_once a "$IN"
}

@test "python, written back to front" {
	python3 - "$IN" "$J" <<-'P'
		import os, sys
		b = open(sys.argv[1], "rb").read()
		fd = os.open(sys.argv[2], os.O_RDWR | os.O_CREAT | os.O_TRUNC)
		for off in reversed(range(0, len(b), 777)):
		    os.pwrite(fd, b[off:off + 777], off)
		assert os.pread(fd, len(b), 0) == b
		os.close(fd)
	P
	bought_once a "$IN"
}

@test "python, one descriptor duplicated and both closed" {
	python3 - "$IN" "$J" <<-'P'
		import os, sys
		b = open(sys.argv[1], "rb").read()
		fd = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT)
		other = os.dup(fd)
		os.write(fd, b[:1000])
		os.close(fd)
		os.write(other, b[1000:])
		os.close(other)
	P
	bought_once a "$IN"
}

@test "python, mmap" {
	python3 - "$IN" "$J" <<-'P' || skip "no shared writable mmap on this mount"
		import mmap, sys
		b = open(sys.argv[1], "rb").read()
		with open(sys.argv[2], "w+b") as f:
		    f.truncate(len(b))
		    try:
		        m = mmap.mmap(f.fileno(), len(b))
		    except OSError:
		        f.truncate(0)
		        sys.exit(1)
		    m[:] = b
		    m.flush()
		    m.close()
	P
	bought_once a "$IN"
}

@test "perl" {
	perl -e 'open I, "<", $ARGV[0]; open O, ">", $ARGV[1]; print O $_ while <I>;
		close O or die "$!"' "$IN" "$J"
	bought_once a "$IN"
}

@test "jq -c >" {
	jq -c . "$IN" >"$J"
	bought_once a "$IN"
}

@test "curl -o" {
	curl -sS "file://$IN" -o "$J"
	bought_once a "$IN"
}

@test "sort -o" {
	sort -o "$J" "$IN"
	sort "$IN" >"$HOME/sorted"
	bought_once a "$HOME/sorted"
}

@test "a pipeline into cat" {
	head -n 20 "$IN" >"$HOME/1"
	tail -n 20 "$IN" >"$HOME/2"
	cat "$HOME/1" "$HOME/2" | cat >"$J"
	bought_once a "$IN"
}

@test "{ a; b; } >" {
	head -n 20 "$IN" >"$HOME/1"
	tail -n 20 "$IN" >"$HOME/2"
	{ cat "$HOME/1"; cat "$HOME/2"; } >"$J"
	bought_once a "$IN"
}

@test "( a; b ) > in dash" {
	head -n 20 "$IN" >"$HOME/1"
	tail -n 20 "$IN" >"$HOME/2"
	dash -c '( cat "$1"; cat "$2" ) >"$3"' - "$HOME/1" "$HOME/2" "$J"
	bought_once a "$IN"
}

@test "for … done > with a builtin a line" {
	while read -r line; do printf '%s\n' "$line"; done <"$IN" >"$J"
	bought_once a "$IN"
}

@test "for … done > with a process a line" {
	while read -r line; do printf '%s\n' "$line" | cat; done <"$IN" >"$J"
	bought_once a "$IN"
}

@test "exec 3>, several writers, exec 3>&-" {
	bash -c 'exec 3>"$2"; while read -r l; do echo "$l" >&3; done <"$1"
		/bin/echo -n >&3; exec 3>&-' - "$IN" "$J"
	bought_once a "$IN"
}

@test "exec 3> and no close but the shell's end" {
	bash -c 'exec 3>"$2"; cat "$1" >&3' - "$IN" "$J"
	becomes 1 calls create
	bought_once a "$IN"
}

@test "a background child that inherits the descriptor ends last" {
	bash -c '{ head -n 20 "$1"; (sleep 0.5; tail -n 20 "$1") & } >"$2"' - "$IN" "$J"
	same 0 "$(calls create)"
	becomes 1 calls create
	bought_once a "$IN"
}

@test "a child holds the file while its parent closes first" {
	mkfifo "$HOME/go"
	bash -c 'exec 3>"$2"; cat "$1" >&3
		{ read -r _ <"$3"; } 3>&3 &
		exec 3>&-; echo closed' - "$IN" "$J" "$HOME/go" >"$HOME/out" &
	eventually grep -q closed "$HOME/out"
	same 0 "$(calls create)"
	state_is a DRAFT
	echo >"$HOME/go"
	wait $!
	becomes 1 calls create
	bought_once a "$IN"
}

@test "a reader at the end of the file does not hinder" {
	: >>"$J"
	tail -f "$J" >/dev/null 2>&1 3>&- &
	local tail=$!
	eventually ls "/proc/$tail/fd"
	cp "$IN" "$J"
	kill $tail
	bought_once a "$IN"
}

@test "a descriptor that only reads, held by the writer itself" {
	: >>"$J"
	bash -c 'exec 4<"$2"; cat "$1" >"$2"; cat <&4 >/dev/null' - "$IN" "$J"
	bought_once a "$IN"
}

@test "written twice before anything is closed for good: the last content goes" {
	bash -c 'exec 3>"$2"; echo nonsense >&3; cat "$1" >"$2"; exec 3>&-' - "$IN" "$J" || true
	becomes 1 calls create
	bought_once a "$IN"
}

@test "cp has returned 0: the job is there, and nothing is sent twice afterwards" {
	cp "$IN" "$J"
	same 1 "$(jobs_at_api)"
	cat "$J" >/dev/null
	touch "$J" || true
	sync "$J" || true
	run -1 cp "$IN" "$J"
	bought_once a "$IN"
}

@test "bare lines and lines without a key get their line number as key" {
	draft b
	{
		echo '{"contents":[{"parts":[{"text":"one"}]}]}'
		echo '{"request":{"contents":[{"parts":[{"text":"two"}]}]}}'
		for i in 3 4 5 6 7 8 9 10; do
			echo '{"key":"x'$i'","request":{"contents":[{"parts":[{"text":"'$i'"}]}]}}'
		done
	} >"$HOME/bare"
	cp "$HOME/bare" "$MNT/b/requests.jsonl"
	succeeded b
	same "01 02 x10 x3 x4 x5 x6 x7 x8 x9" \
		"$(jq -r .key "$MNT/b/results.jsonl" | LC_ALL=C sort | xargs)"
	cmp "$HOME/bare" "$MNT/b/requests.jsonl"
}

@test "blank lines and a BOM are dropped on the way out only" {
	printf '\xef\xbb\xbf' >"$HOME/bom"
	head -n 2 "$IN" >>"$HOME/bom"
	printf '\n  \n' >>"$HOME/bom"
	tail -n 1 "$IN" >>"$HOME/bom"
	knob blank_lines=refuse
	cp "$HOME/bom" "$J"
	cmp "$HOME/bom" "$J"
	succeeded a
	same "k1 k2 k40" "$(jq -r .key "$MNT/a/results.jsonl" | sort | xargs)"
}

@test "a missing final newline is fine" {
	head -c -1 "$IN" >"$HOME/cut"
	cp "$HOME/cut" "$J"
	cmp "$HOME/cut" "$J"
	succeeded a
	same 40 "$(jq -r .key "$MNT/a/results.jsonl" | grep -c .)"
}

@test "a line of a megabyte" {
	jq -cn --arg t "$(head -c 1000000 /dev/zero | tr '\0' x | head -c 100000)" \
		'{key: "long", request: {contents: [{parts: [{text: ($t * 10)}]}]}}' >"$HOME/long"
	cp "$HOME/long" "$J"
	bought_once a "$HOME/long"
}

@test "what is beyond ASCII goes and comes back unharmed" {
	jq -cn '{key: "Schlüssel 鍵 🔑", request: {contents: [{parts: [{text: "naïve 日本語 🎉 \u0001 \"quoted\""}]}]}}' >"$HOME/u"
	cp "$HOME/u" "$J"
	bought_once a "$HOME/u"
	contains "$(jq -r '.response.candidates[0].content.parts[0].text' "$MNT/a/results.jsonl")" "naïve 日本語 🎉"
}
