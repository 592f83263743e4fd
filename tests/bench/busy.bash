# A machine that is not fresh (run --busy). Sourced by run.

# Bytes that are written and synced, again and again, beside everything that is timed.
start_writer() {
	while dd if=/dev/zero of="$work/writer" bs=1M count=64 conv=fsync status=none; do
		sleep 0.1
	done &
}

# Pages of a file with nothing in it: they cost no disk, and are as clean as those of what
# people have read.
fill_page_cache() {
	local free
	free=$(awk '$1 == "MemFree:" { print int($2 / 1024) }' /proc/meminfo)
	[ "$free" -gt 1024 ] || return 0
	truncate -s "${free}M" "$work/nothing"
	cat "$work/nothing" >/dev/null
}

# What was of the same size, and has gone: earlier COMMAND... makes and removes it.
earlier() {
	! $busy || "$@" >/dev/null || die "$*"
}

copied_before() { # FILE
	cp "$1" "$work/earlier"
	rm "$work/earlier"
}

spooled_before() { # FILE
	mkdir "$mnt/earlier"
	cp "$1" "$mnt/earlier/requests.jsonl"
	rm "$mnt/earlier/requests.jsonl"
	rmdir "$mnt/earlier"
}

fetched_before() { # URL
	fetch -o "$work/earlier" "$1"
	rm "$work/earlier"
}

# Of another job like `big`, which is gone afterwards.
read_before() {
	inject "$(results_job earlier)"
	until [ -e "$mnt/earlier" ]; do ls "$mnt" >/dev/null; sleep 0.1; done
	cat "$mnt/earlier/results.jsonl" >/dev/null
	rmdir "$mnt/earlier"
}
