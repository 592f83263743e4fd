#!/usr/bin/env bats
# The size of results.jsonl costs one request, and what is read by it another one: whatever
# either of them says, what a program gets is right, or it gets an error, and the next one
# is right. A lie is told in every order to readers of a library in
# tests/unit/test_results_told.c.

load ../helpers/mount

setup() { start_emulator; mount_jobs -o fetch=read; }
teardown() { stop_all; }

# Jobs of another client with some hundred kilobytes of results each, and what they are.
jobs() { # NAME...
	local name file
	for name; do
		emu POST /emu/job -d "{\"displayName\":\"$name\",\"outputBytes\":300000,\"requests\":300}" >/dev/null
		file=$(api GET "/v1beta/$(ids_of "$name")" | jq -r .response.responsesFile)
		api GET "/download/v1beta/$file:download?alt=media" >"$HOME/$name.truth"
		eventually test -d "$MNT/$name"
	done
}

# Requests for results that a command makes.
cost() { # COMMAND...
	local before
	before=$(calls download)
	"$@" >/dev/null || return
	echo $(($(calls download) - before))
}

# Ways to read, each into $HOME/got; what is to come of FILE goes to $HOME/due.
tools='cat cp tar rsync tail head head_but dd sendfile mmap'
by_cat() { cat "$1" >"$HOME/got"; }
by_cp() { rm -f "$HOME/got" && cp "$1" "$HOME/got"; }
by_tar() { tar -C "${1%/*}" -cf - "${1##*/}" >"$HOME/got.tar" && tar -xOf "$HOME/got.tar" >"$HOME/got"; }
by_rsync() { rm -f "$HOME/got" && rsync -q "$1" "$HOME/got"; }
by_tail() { tail -n 1 "$1" >"$HOME/got"; }
due_tail() { tail -n 1 "$1"; }
by_head() { head -c 4096 "$1" >"$HOME/got"; }
due_head() { head -c 4096 "$1"; }
by_head_but() { head -c -100 "$1" >"$HOME/got"; }
due_head_but() { head -c -100 "$1"; }
by_dd() { dd if="$1" bs=10000 skip=20 status=none >"$HOME/got"; }
due_dd() { tail -c +200001 "$1"; }
by_sendfile() {
	python3 -c '
import os, sys
f, to = os.open(sys.argv[1], os.O_RDONLY), os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
left = os.fstat(f).st_size
while left and (n := os.sendfile(to, f, None, left)):
    left -= n' "$1" "$HOME/got"
}
by_mmap() {
	python3 -c '
import mmap, os, sys
f = os.open(sys.argv[1], os.O_RDONLY)
sys.stdout.buffer.write(mmap.mmap(f, 0, mmap.MAP_PRIVATE, mmap.PROT_READ)[:])' "$1" >"$HOME/got" 2>/dev/null
}

# Whether TOOL read JOB without an error; if so, it must have got what is due.
read_by() { # TOOL JOB
	if declare -F "due_$1" >/dev/null; then
		"due_$1" "$HOME/$2.truth" >"$HOME/due"
	else
		cp "$HOME/$2.truth" "$HOME/due"
	fi
	"by_$1" "$MNT/$2/results.jsonl" 2>"$HOME/said" || return
	cmp "$HOME/due" "$HOME/got" || touch "$HOME/wrong"
}

# One program of each kind reads a job of its own while FAULT is armed, and again.
all_read() { # NAME FAULT [FIRST]
	local tool failed=""
	rm -f "$HOME/wrong"
	for tool in $tools; do
		jobs "$1.$tool"
		no_more_faults
		fault "match=download&$2"
		[ -z "${3-}" ] || stat "$MNT/$1.$tool/results.jsonl" >/dev/null
		read_by "$tool" "$1.$tool" || failed+=" $tool"
		no_more_faults
		if ! read_by "$tool" "$1.$tool"; then
			echo "$1.$tool fails again: $(cat "$HOME/said")"
			return 1
		fi
		if [ -e "$HOME/wrong" ]; then
			echo "$1.$tool: wrong bytes"
			return 1
		fi
		cmp "$HOME/$1.$tool.truth" "$MNT/$1.$tool/results.jsonl"
		same "$(stat -c %s "$HOME/$1.$tool.truth")" "$(stat -c %s "$MNT/$1.$tool/results.jsonl")"
	done
	echo "$1, $2:$failed failed"
	fails=$failed
}

@test "a stat is one request, whatever reads then one more" {
	jobs a b c d e
	local f=results.jsonl
	same 1 "$(cost stat "$MNT/a/$f")"
	same 0 "$(cost stat "$MNT/a/$f")"
	same 0 "$(cost ls -l "$MNT/a")"
	same 1 "$(cost cmp "$MNT/a/$f" "$HOME/a.truth")"
	same 0 "$(cost cmp "$MNT/a/$f" "$HOME/a.truth")"
	same 2 "$(cost cat "$MNT/b/$f")"
	same 2 "$(cost tail -n 1 "$MNT/c/$f")"
	same 2 "$(cost tar -C "$MNT/d" -cf "$HOME/d.tar" "$f")"
	same 2 "$(cost head -c 4096 "$MNT/e/$f")"
	# Read, it is proven: also for the next mount.
	same "$(stat -c %s "$HOME/a.truth")" "$(stat -c %s "$MNT/a/$f")"
	remount_jobs -o fetch=read
	eventually test -d "$MNT/b"
	same 0 "$(cost stat "$MNT/b/$f")"
}

@test "a size that the first reply tells wrong: who reads by it fails, the next one does not" {
	local tool lie i=0
	for lie in 'changed_length&bytes=-5000' 'lying_range&text=total&bytes=4999'; do
		i=$((i + 1))
		all_read "first$i" "kind=$lie"
		# These ask for the size before they read.
		for tool in cat cp tar rsync tail; do
			contains "$fails" " $tool"
		done
	done
}

@test "… in a stat some time before" {
	local tool
	all_read stat "kind=changed_length&bytes=-5000" stat
	for tool in cat cp tar rsync tail head dd; do
		contains "$fails" " $tool"
	done
}

@test "a size that the second reply tells wrong harms nobody" {
	all_read second 'kind=changed_length&bytes=-5000&skip=1'
	same "" "$fails"
	all_read third 'kind=lying_range&text=total&bytes=4999&skip=1'
	same "" "$fails"
}

@test "… where no range is served, and no length" {
	knob range=off
	all_read first 'kind=changed_length&bytes=-5000'
	all_read second 'kind=changed_length&bytes=-5000&skip=1'
	# Without any size that is told before the end only the end is read to.
	tools='cat head'
	knob length=off
	all_read third 'kind=changed_length&bytes=-5000'
}

@test "replies that all tell another size give not one byte" {
	local i
	jobs a
	for i in {1..20}; do
		fault "match=download&kind=changed_length&bytes=$((i * 1000))"
	done
	! cat "$MNT/a/results.jsonl" >"$HOME/got" || return 1
	same 0 "$(stat -c %s "$HOME/got")"
	no_more_faults
	for i in 1 2; do cat "$MNT/a/results.jsonl" >"$HOME/got" || continue; done
	cmp "$HOME/a.truth" "$HOME/got"
}

# A save settles the size that somebody was told: who has the file open is told so, and
# nobody whom a stat told it before is, who opens it then.
@test "a size told wrong, and saved meanwhile" {
	jobs a b
	fault 'match=download&kind=changed_length&bytes=-5000'
	stat "$MNT/a/results.jsonl" >/dev/null
	echo fetch >"$MNT/a/ctl"
	tar -C "$MNT/a" -cf - results.jsonl | tar -xOf - | cmp - "$HOME/a.truth"
	no_more_faults
	fault 'match=download&kind=changed_length&bytes=-5000'
	exec 7<"$MNT/b/results.jsonl"
	stat -L /proc/self/fd/7 >/dev/null
	echo fetch >"$MNT/b/ctl"
	! cat <&7 >"$HOME/got" || return 1
	same 0 "$(stat -c %s "$HOME/got")"
	exec 7<&-
	cmp "$HOME/b.truth" "$MNT/b/results.jsonl"
}
