#!/usr/bin/env bats
# Times, sizes, modes, what tools for trees make of it, what is read-only when.

load ../helpers/mount

setup() { start_emulator; mount_jobs; }
teardown() { stop_all; }

seconds() { date -d "$1" +%s; }

@test "small files: end in a newline, and stat tells their true size" {
	submit_job a
	ended a
	draft d
	for f in "$MNT"/a/{state,stats,model,id,job.json,ctl} "$MNT"/d/{state,stats,model,ctl} \
		"$MNT"/.batchfs/{README,status,jobs}; do
		echo "$f"
		cp -f "$f" "$HOME/copy"
		same "" "$(tail -c 1 "$HOME/copy" | tr -d '\n')"
	done
	# Those that do not change between two looks.
	for f in "$MNT"/a/{state,stats,model,id,job.json,ctl} "$MNT"/d/{state,stats,model,ctl} \
		"$MNT"/.batchfs/README; do
		echo "$f"
		same "$(stat -c %s "$f")" "$(wc -c <"$f")"
		same "$(stat -c %s "$f")" "$(cat "$f" | wc -c)"
	done
}

@test "one snapshot per open" {
	knob pending=1
	submit_job a
	exec 7<"$MNT/a/state"
	ended a
	same JOB_STATE_SUCCEEDED "$(cat "$MNT/a/state")"
	same JOB_STATE_PENDING "$(cat <&7)"
	exec 7>&-
}

@test "results.jsonl has its size in stat before it is read" {
	unmount_jobs
	mount_jobs -o fetch=read
	submit_job a 50
	ended a
	local size
	size=$(stat -c %s "$MNT/a/results.jsonl")
	same 0 "$(calls download)" || true
	same "$size" "$(wc -c <"$MNT/a/results.jsonl")"
	same "$size" "$(cat "$MNT/a/results.jsonl" | wc -c)"
}

@test "times: directory createTime, results endTime, state updateTime, requests the writer's" {
	draft a
	requests 2 >"$HOME/r"
	touch -d '2021-02-03 04:05:06' "$HOME/r"
	cp -p "$HOME/r" "$MNT/a/requests.jsonl"
	ended a
	local m
	m=$MNT/a/job.json
	same "$(seconds "$(jq -r .metadata.createTime "$m")")" "$(stat -c %Y "$MNT/a")"
	same "$(seconds "$(jq -r .metadata.updateTime "$m")")" "$(stat -c %Y "$MNT/a/state")"
	[ "$(stat -c %Y "$MNT/a/results.jsonl")" -ge "$(seconds "$(jq -r .metadata.endTime "$m")")" ]
	same "$(stat -c %Y "$HOME/r")" "$(stat -c %Y "$MNT/a/requests.jsonl")"
	remount_jobs
	same "$(stat -c %Y "$HOME/r")" "$(stat -c %Y "$MNT/a/requests.jsonl")"
}

@test "times of a draft can be set" {
	draft a
	touch -d '2021-02-03 04:05:06 UTC' "$MNT/a"
	same 1612325106 "$(stat -c %Y "$MNT/a")"
	requests 2 >>"$MNT/a/requests.jsonl"
	touch -d '2021-02-03 04:05:06 UTC' "$MNT/a/requests.jsonl"
	same 1612325106 "$(stat -c %Y "$MNT/a/requests.jsonl")"
}

@test "find -newer and ls -t" {
	touch -d '1 hour ago' "$HOME/mark"
	submit_job first
	ended first
	sleep 1.1
	submit_job second
	ended second
	same "second first" "$(ls -t "$MNT" | xargs)"
	contains "$(find "$MNT" -newer "$HOME/mark" -name results.jsonl | LC_ALL=C sort | xargs)" "second/results.jsonl"
	touch -d '1 hour' "$HOME/mark"
	same "" "$(find "$MNT" -newer "$HOME/mark" -name results.jsonl)"
}

@test "make with results as target: made once" {
	need make
	cd "$HOME"
	requests 3 >in.jsonl
	cat >Makefile <<-M
	out.txt: $MNT/a/results.jsonl
	\tjq -r .key \$< | sort >\$@
	$MNT/a/results.jsonl: in.jsonl
	\tmkdir $MNT/a
	\tcp in.jsonl $MNT/a/requests.jsonl
	\tgrep -q SUCCEEDED $MNT/a/wait
	M
	sed -i 's/^\\t/\t/' Makefile
	cat Makefile
	make
	same "k1 k2 k3" "$(xargs <out.txt)"
	run -0 make
	contains "$output" "up to date"
	remount_jobs
	run -0 make
	contains "$output" "up to date"
	same 1 "$(calls create)"
}

@test "modes" {
	unmount_jobs
	mount_jobs -o umask=022
	draft d
	requests 1 >>"$MNT/d/requests.jsonl"
	same "755 644 644 444 444 644" \
		"$(cd "$MNT/d" && stat -c %a . model requests.jsonl state stats ctl | xargs)"
	submit_job a
	ended a
	same "755 444 444 444 644" \
		"$(cd "$MNT/a" && stat -c %a . model requests.jsonl results.jsonl ctl | xargs)"
}

@test "chmod, chown to oneself and utimes succeed and change nothing" {
	submit_job a
	ended a
	local before
	before=$(stat -c '%a %u %Y' "$MNT/a" "$MNT/a/results.jsonl")
	chmod 777 "$MNT/a" "$MNT/a/results.jsonl"
	chown "$(id -u):$(id -g)" "$MNT/a" "$MNT/a/results.jsonl"
	touch -d 2020-01-01 "$MNT/a" "$MNT/a/results.jsonl"
	same "$before" "$(stat -c '%a %u %Y' "$MNT/a" "$MNT/a/results.jsonl")"
}

@test "chown to somebody else is refused" {
	as_root || skip "for an ordinary user the kernel refuses"
	draft a
	run ! chown 12345 "$MNT/a"
}

@test "after submission requests.jsonl and model cannot be written" {
	submit_job a
	local want=EACCES
	as_root && want=EROFS
	for f in requests.jsonl model; do
		same $want "$(errno_of_write "$MNT/a/$f" x)"
		same $want "$(errno_of 'os.close(os.open(a[0], os.O_WRONLY | os.O_APPEND))' "$MNT/a/$f")"
		same $want "$(errno_of 'os.truncate(a[0], 0)' "$MNT/a/$f")"
		same EPERM "$(errno_of 'os.unlink(a[0])' "$MNT/a/$f")"
	done
	echo x >"$MNT/a/tmp"
	run ! mv -f "$MNT/a/tmp" "$MNT/a/requests.jsonl"
	requests 3 | cmp - "$MNT/a/requests.jsonl"
	same EPERM "$(errno_of 'os.rename(a[0], a[1])' "$MNT/a/requests.jsonl" "$MNT/a/x")"
}

@test "read-only files are never written" {
	submit_job a
	ended a
	local want=EACCES
	as_root && want="EACCES EROFS EPERM"
	for f in state stats results.jsonl id job.json; do
		echo "$f"
		contains "$want" "$(errno_of_write "$MNT/a/$f" x)"
	done
	for f in README status jobs history; do
		echo "$f"
		contains "$want" "$(errno_of_write "$MNT/.batchfs/$f" x)"
	done
	same EPERM "$(errno_of_write "$MNT/.batchfs/new" x)"
}

# A tree with a job in every state, one of which never ends.
tree() {
	submit_job ended 5
	ended ended
	knob outcome=failed
	submit_job failed
	ended failed
	knob outcome=succeeded
	draft draft
	requests 2 >>"$MNT/draft/requests.jsonl"
	make_foreign_job foreign 2
	eventually test -d "$MNT/foreign"
	ended foreign
	knob pending=100000
	submit_job pending
}

@test "cp -r of the whole tree does not wait for a job" {
	tree
	timeout "$PATIENCE" cp -r "$MNT" "$HOME/copy"
	requests 3 | cmp - "$HOME/copy/pending/requests.jsonl"
	cmp "$MNT/ended/results.jsonl" "$HOME/copy/ended/results.jsonl"
	same 5 "$(grep -c . "$HOME/copy/ended/results.jsonl")"
	same JOB_STATE_PENDING "$(cat "$HOME/copy/pending/state")"
	[ -s "$HOME/copy/failed/error" ]
	[ ! -e "$HOME/copy/pending/wait" ]
}

@test "cp -a and diff -r" {
	tree
	timeout "$PATIENCE" cp -a "$MNT/ended" "$HOME/copy"
	timeout "$PATIENCE" diff -r "$MNT/ended" "$HOME/copy"
}

@test "grep -r" {
	tree
	same "$MNT/failed/state" "$(timeout "$PATIENCE" grep -rl JOB_STATE_FAILED "$MNT" --include state)"
	timeout "$PATIENCE" grep -rq 'prompt 5' "$MNT"
}

@test "tar" {
	tree
	timeout "$PATIENCE" tar -C "$MNT" -cf "$HOME/t.tar" . 2>"$HOME/err"
	same "" "$(grep -v 'file changed as we read it' "$HOME/err" || true)"
	mkdir "$HOME/x"
	tar -C "$HOME/x" -xf "$HOME/t.tar"
	cmp "$MNT/ended/results.jsonl" "$HOME/x/ended/results.jsonl"
}

@test "rsync -a of the whole tree" {
	tree
	timeout "$PATIENCE" rsync -a "$MNT/" "$HOME/copy/"
	cmp "$MNT/ended/results.jsonl" "$HOME/copy/ended/results.jsonl"
	cmp "$MNT/draft/requests.jsonl" "$HOME/copy/draft/requests.jsonl"
	# A second run finds the ended job unchanged.
	same "" "$(timeout "$PATIENCE" rsync -ai "$MNT/ended/" "$HOME/copy/ended/")"
}

@test "scratch can be mapped and shared, and the bytes are there for others" {
	draft a
	python3 - "$MNT/a/db" <<-'END'
		import mmap, os, sys
		f = open(sys.argv[1], "w+b")
		f.truncate(8192)
		m = mmap.mmap(f.fileno(), 8192, mmap.MAP_SHARED)
		m[5000:5005] = b"hello"
		m.flush()
		assert open(sys.argv[1], "rb").read()[5000:5005] == b"hello"
		with open(sys.argv[1], "r+b", buffering=0) as g:
		    g.seek(100)
		    g.write(b"there")
		assert m[100:105] == b"there"
		m[6000:6003] = b"end"
		m.close()
		f.close()
		assert os.path.getsize(sys.argv[1]) == 8192
		assert open(sys.argv[1], "rb").read()[6000:6003] == b"end"
	END
	printf X | dd of="$MNT/a/db" bs=1 seek=1 conv=notrunc status=none
	same X "$(dd if="$MNT/a/db" bs=1 skip=1 count=1 status=none)"
	cp "$MNT/a/db" "$HOME/db"
	remount_jobs
	cmp "$HOME/db" "$MNT/a/db"
}

@test "find, du, ls -lR, file, wc -l over everything" {
	tree
	timeout "$PATIENCE" find "$MNT" -type f -exec wc -l {} + >/dev/null
	timeout "$PATIENCE" du -sh "$MNT" >/dev/null
	timeout "$PATIENCE" ls -laR "$MNT" >/dev/null
	timeout "$PATIENCE" find "$MNT" -type f -exec file {} + >"$HOME/file"
	lacks "$(cat "$HOME/file")" "cannot open"
}

@test "df tells of state_dir's disk" {
	same "$(stat -f -c '%b %S' "$XDG_STATE_HOME")" "$(stat -f -c '%b %S' "$MNT")"
}

@test "inode numbers stay while the mount does, and differ" {
	tree
	find "$MNT" -printf '%i %p\n' | sort >"$HOME/1"
	find "$MNT" -printf '%i %p\n' | sort >"$HOME/2"
	cmp "$HOME/1" "$HOME/2"
	same "" "$(awk '{print $1}' "$HOME/1" | uniq -d)"
}

@test "link counts: find without -noleaf and with it see the same" {
	tree
	same "$(find "$MNT" | sort)" "$(find "$MNT" -noleaf | sort)"
}
