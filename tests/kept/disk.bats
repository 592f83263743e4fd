#!/usr/bin/env bats
# Full disks: of the state directory, of the cache.

load ../helpers/mount

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

# A disk that has so many pages left and no more.
fill_but() { # PAGES
	rm -f "$SMALL/fill"
	dd if=/dev/zero of="$SMALL/fill" bs=4k 2>/dev/null || true
	truncate -s $(($(stat -c %s "$SMALL/fill") - 4096 * $1)) "$SMALL/fill"
}

made() { emu GET '/emu/jobs?count=1' | jq .count; }

# One page more each time: another write is the first that fails.
@test "whichever write finds the state_dir full: all or nothing, and all when there is room" {
	mount_jobs -o "state_dir=$SMALL/state,cache_dir=$HOME/cache"
	requests 60 >"$HOME/r"
	local pages errno seen='' n before
	for pages in {0..16}; do
		n=d$pages before=$(made)
		fill_but "$pages"
		errno=$(errno_of 'os.mkdir(a[0])' "$MNT/$n")
		[ "$errno" != OK ] || errno=$(errno_of_write "$MNT/$n/requests.jsonl" "$(cat "$HOME/r")"$'\n')
		echo "$pages: $errno"
		seen="$seen $errno"
		case $errno in
		OK) same $((before + 1)) "$(made)" ;;
		ENOSPC) same "$before" "$(made)" ;;
		*) return 1 ;;
		esac
		rm "$SMALL/fill"
		[ -d "$MNT/$n" ] || draft "$n"
		[ "$errno" = OK ] || cp "$HOME/r" "$MNT/$n/requests.jsonl"
		succeeded "$n"
		same $((before + 1)) "$(made)"
	done
	[[ $seen == " ENOSPC"*" OK" ]]
	remount_jobs -o "state_dir=$SMALL/state,cache_dir=$HOME/cache"
	for n in "$MNT"/d*; do
		state_is "${n##*/}" JOB_STATE_SUCCEEDED
		eventually results_saved "${n##*/}"
		cmp "$HOME/r" "$n/requests.jsonl"
		same 60 "$(grep -c . "$n/results.jsonl")"
	done
	same 17 "$(made)"
}

@test "whichever write finds the cache full: the bytes of the API or an error" {
	make_foreign_file_job far 100
	mount_jobs -o "fetch=read,state_dir=$HOME/state,cache_dir=$SMALL/cache"
	eventually test -d "$MNT/far"
	succeeded far
	api GET "/download/v1beta/$(jq -r .response.responsesFile "$MNT/far/job.json"):download?alt=media" >"$HOME/truth"
	unmount_jobs
	cp -a "$SMALL/cache" "$HOME/cache"
	local pages seen=''
	for pages in {0..14}; do
		rm -r "$SMALL/cache"
		cp -a "$HOME/cache" "$SMALL/cache"
		mount_jobs -o "fetch=read,state_dir=$HOME/state,cache_dir=$SMALL/cache"
		eventually test -d "$MNT/far"
		fill_but "$pages"
		if cat "$MNT/far/results.jsonl" >"$HOME/got" 2>"$HOME/err"; then
			cmp "$HOME/truth" "$HOME/got"
			seen="$seen OK"
		else
			contains "$(cat "$HOME/err")" "No space left"
			cmp -n "$(stat -c %s "$HOME/got")" "$HOME/truth" "$HOME/got"
			seen="$seen ENOSPC"
		fi
		state_is far JOB_STATE_SUCCEEDED
		remount_jobs -o "fetch=read,state_dir=$HOME/state,cache_dir=$SMALL/cache"
		rm "$SMALL/fill"
		cmp "$HOME/truth" "$MNT/far/results.jsonl"
		same 100 "$(grep -c . "$MNT/far/answers.tsv")"
		unmount_jobs
	done
	[[ $seen == " ENOSPC"*" OK" ]]
}
