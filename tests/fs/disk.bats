#!/usr/bin/env bats
# Full disks: of the state directory, of the cache.

load helpers

setup() {
	as_root || skip "making a small disk is root's"
	start_emulator
	SMALL=$BATS_TEST_TMPDIR/small
	mkdir "$SMALL"
	mount -t tmpfs -o size=8m,mode=700 tmpfs "$SMALL" || skip "no tmpfs can be mounted here"
}
teardown() { stop_all; }

# Lines of a kilobyte.
big_requests() {
	jq -cn --argjson n "$1" --arg t "$(printf 'x%.0s' {1..900})" '
		range(1; $n + 1) | {key: "k\(.)", request: {contents: [{parts: [{text: "prompt \(.) \($t)"}]}]}}'
}

@test "state_dir full while requests are written: ENOSPC, nothing bought, and it goes when there is room" {
	mount_jobs -o "state_dir=$SMALL/state,cache_dir=$HOME/cache"
	big_requests 20000 >"$HOME/big"
	big_requests 100 >"$HOME/small"
	draft a
	run -1 cp "$HOME/big" "$MNT/a/requests.jsonl"
	contains "$output" "No space left"
	bought_nothing a
	mount -o remount,size=100m "$SMALL"
	cp "$HOME/big" "$MNT/a/requests.jsonl"
	succeeded a
	same 20000 "$(value_of request_count "$MNT/a/stats")"
	same 1 "$(calls create)"
}

@test "state_dir full, a draft of a job that is small: made or ENOSPC, never half" {
	mount_jobs -o "state_dir=$SMALL/state,cache_dir=$HOME/cache"
	dd if=/dev/zero of="$SMALL/fill" bs=1M 2>/dev/null || true
	contains "OK ENOSPC" "$(errno_of 'os.mkdir(a[0])' "$MNT/a")"
	requests 3 >"$HOME/r"
	[ ! -d "$MNT/a" ] || run ! cp "$HOME/r" "$MNT/a/requests.jsonl"
	same 0 "$(calls create)"
	rm "$SMALL/fill"
	[ -d "$MNT/a" ] || draft a
	cp "$HOME/r" "$MNT/a/requests.jsonl"
	bought_once a "$HOME/r"
}

@test "results that do not fit: an error, never wrong bytes, and whole when there is room" {
	mount_jobs -o "fetch=read,state_dir=$SMALL/state,cache_dir=$SMALL/cache"
	requests 3000 >"$HOME/r"
	draft a
	cp "$HOME/r" "$MNT/a/requests.jsonl"
	succeeded a
	dd if=/dev/zero of="$SMALL/fill" bs=4k 2>/dev/null || true
	api GET "/download/v1beta/$(jq -r .metadata.output.responsesFile "$MNT/a/job.json"):download?alt=media" >"$HOME/truth"
	if timeout "$PATIENCE" cat "$MNT/a/results.jsonl" >"$HOME/got" 2>"$HOME/err"; then
		cmp "$HOME/truth" "$HOME/got"
	else
		contains "$(cat "$HOME/err")" "No space left"
		head -c "$(stat -c %s "$HOME/got")" "$HOME/truth" | cmp - "$HOME/got"
	fi
	state_is a JOB_STATE_SUCCEEDED
	rm "$SMALL/fill"
	mount -o remount,size=100m "$SMALL"
	cp "$MNT/a/results.jsonl" "$HOME/got"
	cmp "$HOME/truth" "$HOME/got"
}

@test "results that could not be brought home are named in status" {
	mount_jobs -o "state_dir=$SMALL/state,cache_dir=$SMALL/cache"
	requests 3000 >"$HOME/r"
	draft a
	knob pending=1
	cp "$HOME/r" "$MNT/a/requests.jsonl"
	dd if=/dev/zero of="$SMALL/fill" bs=4k 2>/dev/null || true
	ended a
	eventually grep -qE '(^|[^a-z])a([^a-z]|$)' "$MNT/.batchfs/status"
	rm "$SMALL/fill"
	mount -o remount,size=100m "$SMALL"
	cat "$MNT/a/results.jsonl" >"$HOME/got"
	same 3000 "$(grep -c . "$HOME/got")"
}

# The disk is full when the intent is to be written: after the upload, before the move.
mv_at_full_disk() { # DRAFT
	BATCHFS_TEST_PAUSE=after-upload=3 mount_jobs -o "state_dir=$SMALL/state,cache_dir=$HOME/cache"
	requests 30 >"$HOME/r"
	requests 3 old >"$HOME/old"
	draft a
	[ "$1" = a ] || draft "$1"
	# What the move replaces would make room for its intent.
	[ "$1" = b ] || cat "$HOME/old" >>"$MNT/a/requests.jsonl"
	cp "$HOME/r" "$MNT/$1/tmp"
	errno_of 'os.rename(a[0], a[1])' "$MNT/$1/tmp" "$MNT/a/requests.jsonl" >"$HOME/out" 3>&- &
	local mover=$!
	becomes 1 files_at_api
	dd if=/dev/zero of="$SMALL/fill" bs=4k 2>/dev/null || true
	wait $mover
	same ENOSPC "$(cat "$HOME/out")"
	same 0 "$(calls create)"
	cmp "$HOME/r" "$MNT/$1/tmp"
	[ "$1" = b ] || cmp "$HOME/old" "$MNT/a/requests.jsonl"
	rm "$SMALL/fill"
	mv "$MNT/$1/tmp" "$MNT/a/requests.jsonl"
	bought_once a "$HOME/r"
}

@test "state_dir full when a rename's intent is to be written: nothing is moved or bought" {
	mv_at_full_disk a
}

@test "state_dir full when the intent of a rename from another directory is to be written" {
	mv_at_full_disk b
}
