#!/usr/bin/env bats
# kill -9 at every step of a submission, of its recovery, and of rmdir: one job or none,
# as the mount says, and the bytes whole.

load ../fs/helpers
load ../fs/pictures
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
	# A writer whose write broke off knows that its bytes are not whole.
	grep -vx file-write "$POINTS.raw" | number_points >"$POINTS"
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

@test "killed at every point of a submission with files" {
	export WITH_FILES=yes
	every_point by_files submit=close
	grep -qx 'attached#3' "$POINTS" && grep -qx 'sent-written#1' "$POINTS"
}

@test "killed at every point of a submission behind" {
	every_point by_close submit=background
}

@test "killed at every point of a submission behind, by rename" {
	every_point by_rename submit=background
}

every_point_composed() { # OPTIONS
	(in_case trace traced "$POINTS.raw" trace_composed "$1") 3>&-
	grep -vx file-write "$POINTS.raw" | number_points >"$POINTS"
	grep -qx 'composed-written#1' "$POINTS" && grep -qx 'after-create#1' "$POINTS"
	each_point "$POINTS" composed_submission "$1"
}
trace_composed() { # OPTIONS
	mount_jobs -o "$1" && by_parts && eventually has_id && succeeded "$NAME" &&
		eventually results_home "$NAME"
}

@test "killed at every point of a submission of a composed draft" {
	every_point_composed submit=close
}

@test "killed at every point of a submission of a composed draft, behind" {
	every_point_composed submit=background
}

@test "rmdir behind's back: queued work that is being tried is removed at every point" {
	printf '%s\n' before-upload after-upload before-intend >"$POINTS"
	each_point "$POINTS" overtaken
}
overtaken() { # POINT: rmdir while the submission is there
	BATCHFS_TEST_PAUSE=$1=1 mount_jobs -o submit=background || return
	by_close && rmdir "$MNT/$NAME" || return
	sleep 1.3
	same 0 "$(bought)" && same '' "$(ls "$MNT")" && remount_jobs || return
	sleep 0.5
	same 0 "$(bought)" && same '' "$(ls "$MNT")" &&
		same 0 "$(value_of removing "$MNT/.batchfs/status")"
}

# ---- recovery -------------------------------------------------------------------------------

trace_recovery() { # WAY OPTIONS FIRST
	mount_stop "$3" -o "$2" || return
	BATCHFS_TEST_TRACE='' "$1"
	bury
	: >"$BATCHFS_TEST_TRACE"
	mount_jobs -o "$2" && eventually settled
}

every_second_point() { # WAY OPTIONS FIRST
	(in_case trace traced "$POINTS.raw" trace_recovery "$@") 3>&-
	number_points <"$POINTS.raw" >"$POINTS"
	[ -s "$POINTS" ]
	each_point "$POINTS" recovery "$@"
}

@test "killed again at every point of the next start, when the create had not left" {
	every_second_point by_close submit=close before-create
}

@test "killed again at every point of the next start, when the answer had not come" {
	every_second_point by_rename submit=close after-create
}

@test "killed again at every point of the next start, when work was queued" {
	every_second_point by_rename submit=background journal-written#2
}

@test "the power goes before all of the requests is on disk: half of them is not sent as it is" {
	in_case cut power_cut
}
power_cut() {
	mount_stop before-upload -o submit=close || return
	by_close || true
	bury || true
	# What a file system leaves of bytes that were not written yet.
	truncate -s -1 "$XDG_STATE_HOME"/batchfs/*/jobs/*/files/requests.jsonl
	mount_jobs || return
	same DRAFT "$(state)" && grep -q 'before all of it was on disk' "$MNT/$NAME/error" &&
		same 0 "$(bought)" || return
	cp "$IN" "$MNT/$NAME/requests.jsonl" && [ ! -e "$MNT/$NAME/error" ] &&
		same 1 "$(bought)"
}

# ---- rmdir -----------------------------------------------------------------------------------

gone() { same 0 "$(bought)" && [ ! -e "$MNT/$NAME" ]; }
all_gone() { gone && same 0 "$(value_of removing "$MNT/.batchfs/status")"; }
dead_or_gone() { dead || gone; }

made() { # STATE
	mount_jobs && by_close && case $1 in
	ended) succeeded "$NAME" && eventually results_home "$NAME" ;;
	esac
	unmount_jobs
}

trace_removal() { # STATE
	BATCHFS_TEST_TRACE='' made "$1" && mount_jobs && rmdir "$MNT/$NAME" && eventually all_gone
}

removal() { # STATE POINT
	made "$1" && mount_stop "$2" || return
	local status=0
	rmdir "$MNT/$NAME" || status=$?
	[ $status != 0 ] || dead || eventually dead_or_gone || return
	bury
	mount_jobs || return
	# Success is for good; else the job is whole, or its removal goes on.
	if [ $status = 0 ]; then
		[ ! -e "$MNT/$NAME" ] || return
	elif [ -e "$MNT/$NAME" ]; then
		cmp "$IN" "$MNT/$NAME/requests.jsonl" && same 1 "$(bought)" &&
			rmdir "$MNT/$NAME" || return
	fi
	eventually all_gone && eventually has_trash
}
has_trash() {
	find "$XDG_STATE_HOME" -path '*/trash/*' -name requests.jsonl -exec cmp -s {} "$IN" \; -print |
		grep -q .
}

every_removal() { # STATE
	(in_case trace traced "$POINTS.raw" trace_removal "$1") 3>&-
	number_points <"$POINTS.raw" >"$POINTS"
	grep -qx 'local-removed#1' "$POINTS"
	each_point "$POINTS" removal "$1"
}

@test "killed at every point of rmdir of an ended job" {
	every_removal ended
}

@test "killed at every point of rmdir of a job that has not ended" {
	knob pending=1000
	every_removal pending
}
