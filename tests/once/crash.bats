#!/usr/bin/env bats
# kill -9 at every step of a submission: one job or none, as the mount says, and the bytes
# whole. Of what comes after it: crash_again.bats.

load ../helpers/mount
load ../helpers/pictures
load ../helpers/crash

# ---- submission ---------------------------------------------------------------------------

trace_submission() { # WAY OPTIONS
	mount_jobs -o "$2" && "$1" && eventually has_id && succeeded "$NAME" &&
		eventually results_saved "$NAME"
}

# A run with nothing in its way names the points; then one run for each.
every_point() { # WAY OPTIONS
	(in_case trace traced "$POINTS.raw" trace_submission "$1" "$2") 3>&-
	# A writer whose write broke off knows that its bytes are not whole.
	grep -vx file-write "$POINTS.raw" | number_points >"$POINTS"
	# Whatever else there is: the steps, and the journal between them.
	grep -qx 'after-create#1' "$POINTS" && grep -qx 'journal-written#3' "$POINTS" || return
	each_point "$POINTS" submission "$1" "$2"
}

@test "killed at every point of a submission by close" {
	every_point by_close submit=close
}

@test "killed at every point of a submission by rename" {
	every_point by_rename submit=close
}

@test "killed at every point of a submission with files" {
	export WITH_FILES=yes
	every_point by_files submit=close
	grep -qx 'attached#3' "$POINTS" && grep -qx 'sent-written#1' "$POINTS"
}

@test "killed at every point of a submission behind" {
	every_point by_close submit=background
}

every_point_composed() { # OPTIONS
	(in_case trace traced "$POINTS.raw" trace_composed "$1") 3>&-
	grep -vx file-write "$POINTS.raw" | number_points >"$POINTS"
	grep -qx 'composed-written#1' "$POINTS" && grep -qx 'after-create#1' "$POINTS" || return
	each_point "$POINTS" composed_submission "$1"
}
trace_composed() { # OPTIONS
	mount_jobs -o "$1" && by_parts && eventually has_id && succeeded "$NAME" &&
		eventually results_saved "$NAME"
}

@test "killed at every point of a submission of a composed draft" {
	every_point_composed submit=close
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

# What was composed is not what the parts make any more: it is never sent.
trace_change() {
	mount_jobs && checked && echo changed >"$MNT/$NAME/inputs.txt"
}
checked() {
	mkdir "$MNT/$NAME" && printf 'prompt %d\n' 1 2 3 4 >"$MNT/$NAME/inputs.txt" &&
		echo check >"$MNT/$NAME/ctl"
}
change() { # POINT
	mount_stop "$1" || return
	! there checked || echo changed >"$MNT/$NAME/inputs.txt"
	bury
	mount_jobs || return
	[ -d "$MNT/$NAME" ] || mkdir "$MNT/$NAME" || return
	[ ! -s "$MNT/$NAME/inputs.txt" ] || [ ! -e "$MNT/$NAME/requests.jsonl" ] ||
		same "$(cat "$MNT/$NAME/inputs.txt")" \
			"$(jq -r '.request.contents[0].parts[0].text' "$MNT/$NAME/requests.jsonl")" || return
	echo again >"$MNT/$NAME/inputs.txt" && echo submit >"$MNT/$NAME/ctl" &&
		succeeded "$NAME" && same 1 "$(bought)" &&
		same "You said: again" "$(jq -r '.response.candidates[0].content.parts[0].text' \
			"$MNT/$NAME/results.jsonl")"
}

@test "killed at every point of a change to what was composed" {
	(in_case trace traced "$POINTS.raw" trace_change) 3>&-
	number_points <"$POINTS.raw" >"$POINTS"
	grep -qx 'composed-taken-back#1' "$POINTS"
	each_point "$POINTS" change
}
