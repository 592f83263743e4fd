#!/usr/bin/env bats
# kill -9 at every step of a submission, of its recovery, and of rmdir: one job or none,
# as the mount says, and the bytes whole.

load ../fs/helpers
load crash

setup() {
	start_emulator --set pending=0.1 --set running=0.1
	POINTS=$BATS_TEST_TMPDIR/points
}
teardown() { stop_all; }

# ---- submission ---------------------------------------------------------------------------

trace_submission() { # WAY OPTIONS
	mount_jobs -o "$2" && "$1" && eventually has_id && succeeded "$NAME" &&
		eventually results_home "$NAME"
}

# A run with nothing in its way names the points; then one run for each.
every_point() { # WAY OPTIONS
	(in_case trace traced "$POINTS.raw" trace_submission "$1" "$2") 3>&-
	number_points "$POINTS.raw" >"$POINTS"
	# Whatever else there is: the steps, and the journal between them.
	grep -qx 'after-create#1' "$POINTS" && grep -qx 'journal-written#3' "$POINTS"
	each_point "$POINTS" submission "$1" "$2"
}

@test "killed at every point of a submission by close" {
	every_point by_close submit=close
}

@test "killed at every point of a submission by rename" {
	every_point by_rename submit=close
}

@test "killed at every point of a submission by rename from another directory" {
	every_point by_move submit=close
}

@test "killed at every point of a submission by ctl" {
	every_point by_ctl submit=ctl
}

@test "killed at every point of a submission behind" {
	every_point by_close submit=background
}

@test "killed at every point of a submission behind, by rename" {
	every_point by_rename submit=background
}
