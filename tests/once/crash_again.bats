#!/usr/bin/env bats
# kill -9 at every step of a rmdir, and again at every step of the start that makes good
# what was killed: one job or none, as the mount says, and nothing left behind.

load ../helpers/mount
load ../helpers/pictures
load ../helpers/crash

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

@test "killed again at every point of the next start, when the answer had not come" {
	every_second_point by_rename submit=close after-create
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
	same DRAFT "$(state)" && grep -q 'before the whole file was on disk' "$MNT/$NAME/error" &&
		same 0 "$(bought)" || return
	cp "$IN" "$MNT/$NAME/requests.jsonl" && [ ! -e "$MNT/$NAME/error" ] &&
		same 1 "$(bought)"
}

# ---- rmdir -----------------------------------------------------------------------------------

gone() { same 0 "$(bought)" && [ ! -e "$MNT/$NAME" ]; }
all_gone() {
	gone && same 0 "$(value_of removing "$MNT/.batchfs/status")" && no_uploads
}
# Nothing of this case's is stored at the API any more.
no_uploads() {
	same '' "$(curl -sS -H "x-goog-api-key: $GEMINI_API_KEY" "$EMU_URL/v1beta/files" |
		jq -r '.files[]?.name')"
}
dead_or_gone() { dead || gone; }

made() { # STATE
	mount_jobs && by_files && case $1 in
	ended) succeeded "$NAME" && eventually results_saved "$NAME" ;;
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

@test "killed at every point of rmdir of an ended job with files" {
	export WITH_FILES=yes
	every_removal ended
	# What the trash has still refers to the uploads: none is released.
	grep -qx 'trashed#1' "$POINTS"
}

@test "killed at every point of rmdir of a job with files that has not ended" {
	export WITH_FILES=yes
	knob pending=1000
	every_removal pending
	grep -qx 'attachment-deleted#3' "$POINTS" && grep -qx 'cancelled#1' "$POINTS"
}

# Killed once more while the next start goes on with it.
trace_second_removal() { # STATE FIRST
	BATCHFS_TEST_TRACE='' made "$1" && mount_stop "$2" || return
	BATCHFS_TEST_TRACE='' rmdir "$MNT/$NAME"
	eventually dead || return
	bury
	: >"$BATCHFS_TEST_TRACE"
	mount_jobs && eventually all_gone
}
second_removal() { # STATE FIRST POINT
	made "$1" && mount_stop "$2" || return
	rmdir "$MNT/$NAME"
	eventually dead || return
	bury
	if mount_stop "$3" && ! dead; then
		eventually dead_or_gone || return
	fi
	bury
	mount_jobs && eventually all_gone && eventually has_trash
}
every_second_removal() { # STATE FIRST
	(in_case trace traced "$POINTS.raw" trace_second_removal "$@") 3>&-
	number_points <"$POINTS.raw" >"$POINTS"
	[ -s "$POINTS" ]
	each_point "$POINTS" second_removal "$@"
}

@test "killed again at every point of the next start, when rmdir had cancelled" {
	export WITH_FILES=yes
	knob pending=1000
	every_second_removal pending cancelled
	grep -qx 'deleted#1' "$POINTS"
}

@test "killed again at every point of the next start, when rmdir had deleted" {
	export WITH_FILES=yes
	every_second_removal ended deleted
	grep -qx 'trashed#1' "$POINTS"
}

# Half of a job in jobs/ would be shown again, without what has gone of it.
trash_is() { same "$1" "$(find "$XDG_STATE_HOME"/batchfs/*/trash -mindepth 1 | wc -l)"; }
jobs_are() { same "$1" "$(find "$XDG_STATE_HOME"/batchfs/*/jobs -mindepth 1 -maxdepth 1 | wc -l)"; }

removal_for_good() { # STATE
	case $1 in
	draft) mount_jobs && mkdir "$MNT/$NAME" && cp "$IN" "$MNT/$NAME/scratch" && unmount_jobs ;;
	*) made "$1" ;;
	esac
	mount_stop trashed -o trash=0 || return
	rmdir "$MNT/$NAME" || true
	eventually dead || return
	bury
	jobs_are 0 || return
	# Somewhere in the middle of it.
	find "$XDG_STATE_HOME"/batchfs/*/trash -name "${2:-journal}" -delete
	mount_jobs || return
	[ ! -e "$MNT/$NAME" ] && trash_is 0
}

@test "killed while what was removed is emptied out: nothing of it comes back, nor stays" {
	in_case draft removal_for_good draft
	in_case scratch removal_for_good draft scratch
	in_case ended removal_for_good ended
}
