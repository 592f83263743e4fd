#!/usr/bin/env bats
# inputs/: the one directory of a draft, and what tools for trees do in it.

load ../helpers/mount

setup() { start_emulator; mount_jobs; draft a; I=$MNT/a/inputs; }
teardown() { stop_all; }

tree() { # DIR: some files, some of them deep
	mkdir -p "$1/x/y/z" "$1/empty"
	echo one >"$1/one.txt"
	echo two >"$1/x/two.txt"
	echo three >"$1/x/y/z/three.txt"
	head -c 300000 /dev/urandom >"$1/x/blob"
}

@test "inputs/ is there from mkdir, empty, and outlives the mount" {
	[ -d "$I" ]
	same "" "$(ls -A "$I")"
	same inputs "$(cd "$MNT/a" && ls -d inputs)"
	remount_jobs
	[ -d "$I" ]
	echo x >"$I/x"
	mkdir "$I/d"
	remount_jobs
	same "d x" "$(ls "$I" | xargs)"
}

@test "below inputs/ directories can be made, elsewhere not; links and devices nowhere" {
	mkdir "$I/d" "$I/d/e"
	same EPERM "$(errno_of 'os.mkdir(a[0])' "$MNT/a/dir")"
	same EEXIST "$(errno_of 'os.mkdir(a[0])' "$I")"
	same EEXIST "$(errno_of 'os.mkdir(a[0])' "$I/d")"
	same EPERM "$(errno_of 'os.symlink(b"x", a[0])' "$I/link")"
	same EPERM "$(errno_of 'os.mkfifo(a[0])' "$I/fifo")"
	echo x >"$I/x"
	same EPERM "$(errno_of 'os.link(a[0], a[1])' "$I/x" "$I/y")"
	same EPERM "$(errno_of 'os.rename(a[0], a[1])' "$I/d" "$MNT/a/d")"
	same EPERM "$(errno_of 'os.rename(a[0], a[1])' "$I" "$MNT/a/other")"
	same EPERM "$(errno_of 'os.rmdir(a[0])' "$I")"
	same EISDIR "$(errno_of_write "$I" x)"
}

@test "names of a job's own files are just names below inputs/" {
	local f
	for f in requests.jsonl state ctl wait results.jsonl; do
		echo "$f!" >"$I/$f"
		same "$f!" "$(cat "$I/$f")"
	done
	state_is a DRAFT
	same 0 "$(calls create)"
}

@test "cp -r, cp -a, tar, rsync -a bring a tree there and back" {
	tree "$HOME/t"
	cp -r "$HOME/t" "$I/"
	diff -r "$HOME/t" "$I/t"
	cp -a "$HOME/t/." "$I/"
	same "$(stat -c %Y "$HOME/t/x/two.txt")" "$(stat -c %Y "$I/x/two.txt")"
	touch -d 2021-01-01 "$HOME/t/x"
	mkdir "$I/tar" "$I/rsync"
	tar -C "$HOME/t" -cf - . | tar -C "$I/tar" -xf -
	diff -r "$HOME/t" "$I/tar"
	rsync -a "$HOME/t/" "$I/rsync/"
	diff -r "$HOME/t" "$I/rsync"
	same "$(stat -c %Y "$HOME/t/x")" "$(stat -c %Y "$I/rsync/x")"
	same "" "$(rsync -rti "$HOME/t/" "$I/rsync/")"
	cp -r "$I" "$HOME/back"
	diff -r "$HOME/back" "$I"
	remount_jobs
	diff -r "$HOME/back" "$I"
	state_is a DRAFT
}

@test "rename: files and directories, within inputs/ and to the top and back" {
	tree "$I/t"
	mv "$I/t/one.txt" "$I/t/x/y/"
	same one "$(cat "$I/t/x/y/one.txt")"
	mv "$I/t/x" "$I/moved"
	same three "$(cat "$I/moved/y/z/three.txt")"
	same "" "$(find "$I/t" -name '*.txt')"
	mv "$I/moved/two.txt" "$MNT/a/two.txt"
	same two "$(cat "$MNT/a/two.txt")"
	mv "$MNT/a/two.txt" "$I/two.txt"
	same two "$(cat "$I/two.txt")"
	# As rename(2) has it.
	same ENOTEMPTY "$(errno_of 'os.rename(a[0], a[1])' "$I/t" "$I/moved")"
	same ENOTDIR "$(errno_of 'os.rename(a[0], a[1])' "$I/t" "$I/two.txt")"
	same EISDIR "$(errno_of 'os.rename(a[0], a[1])' "$I/two.txt" "$I/t")"
	same EINVAL "$(errno_of 'os.rename(a[0], a[1])' "$I/moved" "$I/moved/y/under")"
	mkdir "$I/gone"
	same OK "$(errno_of 'os.rename(a[0], a[1])' "$I/moved" "$I/gone")"
	same one "$(cat "$I/gone/y/one.txt")"
	remount_jobs
	same one "$(cat "$I/gone/y/one.txt")"
}

@test "rename between drafts: files, and directories with all that is in them" {
	draft b
	tree "$I/t"
	exec 7<"$I/t/x/two.txt"
	same OK "$(errno_of 'os.rename(a[0], a[1])' "$I/t" "$MNT/b/inputs/u")"
	same two "$(cat <&7)"
	exec 7>&-
	same "" "$(ls "$I")"
	same three "$(cat "$MNT/b/inputs/u/x/y/z/three.txt")"
	same OK "$(errno_of 'os.rename(a[0], a[1])' "$MNT/b/inputs/u/one.txt" "$I/one.txt")"
	same one "$(cat "$I/one.txt")"
	same "" "$(find "$MNT" -mindepth 1 -printf '%i\n' | sort | uniq -d)"
	remount_jobs
	same three "$(cat "$MNT/b/inputs/u/x/y/z/three.txt")"
	same one "$(cat "$I/one.txt")"
}

@test "rm -r of a directory, and of the job: its own rule stays" {
	tree "$I/t"
	same ENOTEMPTY "$(errno_of 'os.rmdir(a[0])' "$I/t")"
	rm -r "$I/t"
	same "" "$(ls -A "$I")"
	tree "$I/t"
	run ! rm -rf "$MNT/a"
	[ -d "$MNT/a" ]
	rmdir "$MNT/a"
	[ ! -e "$MNT/a" ]
}

@test "a file stays open and readable after it was removed or replaced" {
	echo one >"$I/x"
	echo two >"$I/y"
	exec 7<"$I/x" 8<"$I/y"
	rm "$I/y"
	echo new >"$I/z"
	mv "$I/z" "$I/x"
	same one "$(cat <&7)"
	same two "$(cat <&8)"
	same new "$(cat "$I/x")"
	exec 7>&- 8>&-
}

@test "vim and sed -i work in it" {
	echo one >"$I/x"
	sed -i s/one/two/ "$I/x"
	same two "$(cat "$I/x")"
	need vim
	timeout "$PATIENCE" vim -es -u NONE -c '%s/two/three/' -c 'wq' "$I/x" </dev/null
	same three "$(cat "$I/x")"
}

@test "five thousand files: made, listed, found after a remount, removed; no descriptor is kept" {
	python3 -c '
import os, sys
for i in range(5000):
    with open(f"{sys.argv[1]}/f{i:05}", "w") as f: f.write(f"{i}\n")' "$I"
	same 5000 "$(ls "$I" | wc -l)"
	same 5000 "$(find "$I" -type f -printf '%i\n' | sort -u | wc -l)"
	(($(ls "/proc/$FS_PID/fd" | wc -l) < 200))
	same 4321 "$(cat "$I/f04321")"
	remount_jobs
	same 5000 "$(ls -l "$I" | grep -c ^-)"
	same 4321 "$(cat "$I/f04321")"
	(($(ls "/proc/$FS_PID/fd" | wc -l) < 200))
	rm -r "$I"/f0[0-3]*
	same 1000 "$(ls "$I" | wc -l)"
}

@test "a name too deep is refused, not half made" {
	local deep
	deep=$(printf 'd%.0s' {1..200})
	mkdir -p "$I/$deep/$deep/$deep/$deep"
	same ENAMETOOLONG "$(errno_of 'os.mkdir(a[0])' "$I/$deep/$deep/$deep/$deep/$deep$deep")" ||
		same ENAMETOOLONG "$(errno_of 'os.mkdir(a[0])' "$I/$deep/$deep/$deep/$deep/$deep")"
}

@test "a job that was sent without inputs shows none" {
	requests 2 >"$HOME/r"
	cp "$HOME/r" "$MNT/a/requests.jsonl"
	same "" "$(ls "$MNT/a" | grep -x inputs || true)"
	same EPERM "$(errno_of_write "$MNT/a/prompt.txt" x)"
	echo note >"$MNT/a/note.txt"
	same note "$(cat "$MNT/a/note.txt")"
}
