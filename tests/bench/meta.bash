# Names and attributes: many jobs, and one small file.

suite_meta() {
	local n
	meta_open
	for n in "${jobs[@]}"; do
		note "meta: $n jobs"
		meta_jobs "$n"
	done
}

meta_open() {
	local n
	start_emulator
	inject '{"displayName": "one", "output": true}'
	mkdir -p "$work/null"
	"$bin/bench_nullfs" "$work/null"
	fresh_mount
	cat "$mnt/one/state" >/dev/null
	for ((n = 0; n < rounds; n++)); do
		sample open-state nullfs "$("$bin/bench_clock" opens "$work/null/state" 20000)"
		sample open-state batchfs "$("$bin/bench_clock" opens "$mnt/one/state" 20000)"
	done
	fusermount3 -u "$work/null"
	empty_memory=$(memory VmRSS)
	unmount_jobs
	stop_emulator
}

meta_jobs() { # N
	local n=$1 tree=$shm/tree i
	start_emulator
	inject "{\"displayName\": \"job\", \"count\": $n, \"output\": true}"
	make_tree "$n" "$tree"
	emu POST /emu/stats/reset >/dev/null
	unmount_jobs
	rm -rf "$work/state" "$work/cache"
	mount_jobs ttl=3600
	timed "first-ls@$n" batchfs ls "$mnt"
	until [ "$(find "$mnt" -maxdepth 1 -name 'job*' | wc -l)" = "$n" ]; do sleep 1; done
	sample "list-calls@$n" pages $(((n + 99) / 100))
	sample "list-calls@$n" batchfs "$(emu GET /emu/stats | jq .ops.list)"
	# Of few jobs it is the first pages of the process.
	((n < 10000)) || sample "job-memory@$n" batchfs $((($(memory VmRSS) - empty_memory) * 1024 / n))
	for ((i = 0; i < rounds; i++)); do
		meta_look "$n" "$tree" "$mnt"
	done
	unmount_jobs
	meta_start "$n"
	stop_emulator
	rm -rf "$tree"
}

# What it is compared with: as many directories in tmpfs.
make_tree() { # N DIR
	mkdir -p "$2"
	seq -f 'job %.0f' "$1" | (cd "$2" && xargs -d '\n' mkdir)
}

meta_look() { # N TREE MOUNT
	local n=$1 who dir
	for who in tmpfs batchfs; do
		dir=$2
		[ "$who" = tmpfs ] || dir=$3
		timed "ls@$n" "$(reference "$who" ls)" ls "$dir"
		timed "ls-l@$n" "$(reference "$who" ls-l)" ls -l "$dir"
		timed "find@$n" "$(reference "$who" find)" find "$dir" -maxdepth 1 -type d
	done
	[ "$n" -le 10000 ] || return 0
	timed "find-all@$n" batchfs find "$3"
	timed "du@$n" batchfs du -s "$3"
}

reference() { [ "$1" = batchfs ] && echo batchfs || echo "$1-$2"; }

mount_and_ls() {
	mount_jobs
	ls "$mnt"
}

meta_start() { # N: known from disk
	local i
	for ((i = 0; i < rounds; i++)); do
		timed "start@$1" batchfs mount_and_ls
		unmount_jobs
	done
}
