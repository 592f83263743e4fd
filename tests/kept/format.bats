#!/usr/bin/env bats
# State directories of format 1 (make-state-v1) with the batchfs of now: whatever was
# there is there.

load ../helpers/mount
load ../helpers/kept_state

setup() {
	sandbox
	tar -C "$HOME" -xzf "$KEPT_STATES"
}
teardown() { stop_all; }

version() { cat "$1/version"; }
old() { same "batchfs state 1" "$(version "$HOME/$1/state")"; }
marked() { same "batchfs state 3" "$(version "$HOME/$1/state")"; }
as_it_was() { becomes "$(cat "$HOME/$1/shown")" shown; } # CASE

@test "format 1: every job is what it was, marked first, and again at the next start" {
	local case
	for case in "${KEPT_CASES[@]}"; do
		old "$case"
		mount_kept "$case"
		as_it_was "$case"
		marked "$case"
		unmount_jobs
		mount_kept "$case"
		as_it_was "$case"
		unmount_jobs
	done
}

@test "format 1, ro: every job is what it was" {
	mount_kept settled -o ro
	as_it_was settled
}

@test "format 1: killed at any point of the first start, the next one shows the same" {
	local point n=0
	cp -a "$HOME/settled" "$HOME/untouched"
	BATCHFS_TEST_TRACE=$HOME/points mount_kept settled
	as_it_was settled
	unmount_jobs
	grep -qx version-write "$HOME/points"
	grep -qx version-written "$HOME/points"
	for point in $(awk '{ print $1 "#" ++n[$1] }' "$HOME/points" | head -n 5); do
		rm -rf "$HOME/settled"
		cp -a "$HOME/untouched" "$HOME/settled"
		BATCHFS_TEST_STOP=$point mount_kept settled || ! kill -0 "$FS_PID" 2>/dev/null
		! is_mounted "$MNT" || kill_batchfs
		n=$((n + 1))
		mount_kept settled
		as_it_was settled || { echo "killed at $point" && return 1; }
		marked settled
		unmount_jobs
	done
	((n >= 2))
}

@test "format 1 on a full disk: nothing is changed, it is said, and there is room later" {
	as_root || skip "making a small disk is root's"
	local small=$BATS_TEST_TMPDIR/small
	mkdir "$small"
	mount -t tmpfs -o size=2m,mode=700 tmpfs "$small" || skip "no tmpfs can be mounted here"
	cp -a "$HOME/settled" "$small/"
	rm -rf "$HOME/settled"
	ln -s "$small/settled" "$HOME/settled"
	touch "$small/settled/state/lock"
	dd if=/dev/zero of="$small/fill" bs=4k 2>/dev/null || true
	run ! mount_kept settled
	contains "$output" "cannot be marked as format 3 (it is 1; nothing is changed)"
	contains "$output" "No space left"
	old settled
	rm "$small/fill"
	mount_kept settled
	as_it_was settled
	marked settled
}

@test "a directory of a newer format is refused by its number, and left as it is" {
	local before
	echo "batchfs state 4" >"$HOME/settled/state/version"
	before=$(cd "$HOME/settled" && find . -type f ! -name lock -exec sha256sum {} + | sort)
	run ! mount_kept settled
	contains "$output" "was written by a newer batchfs (format 4, this one knows 3)"
	same "$before" "$(cd "$HOME/settled" && find . -type f ! -name lock -exec sha256sum {} + | sort)"
}
