#!/usr/bin/env bats
# One project, two clients: Google's SDK and the mount.

load ../helpers/mount

setup() {
	: "${SDK_DIR:=$BATS_TEST_DIRNAME/../sdk}"
	TOOL=$SDK_DIR/tool.mjs
	[ -e "$TOOL" ] || skip "no tests/sdk/tool.mjs"
	need node
	[ -d "$SDK_DIR/node_modules" ] || skip "tests/sdk/run installs the SDK"
	start_emulator
	mount_jobs
}
teardown() { stop_all; }

sdk() { node "$TOOL" "$@" 3>&-; }

@test "a job made by the SDK shows in the mount and is read there" {
	requests 4 >"$HOME/r.jsonl"
	sdk create from-sdk "$HOME/r.jsonl"
	eventually test -d "$MNT/from-sdk"
	succeeded from-sdk
	same "k1 k2 k3 k4" "$(jq -r .key "$MNT/from-sdk/results.jsonl" | sort | xargs)"
	same "$(ids_of from-sdk)" "$(cat "$MNT/from-sdk/id")"
}

@test "a job made in the mount is seen, read and deleted by the SDK" {
	submit_job from-mount 4
	succeeded from-mount
	eventually results_saved from-mount
	local id
	id=$(cat "$MNT/from-mount/id")
	contains "$(sdk list)" "$id"
	contains "$(sdk get "$id")" from-mount
	sdk download "$id" >"$HOME/sdk.jsonl"
	cmp "$HOME/sdk.jsonl" "$MNT/from-mount/results.jsonl"
	sdk delete "$id"
	same 0 "$(jobs_at_api)"
	# Nothing paid for is lost.
	cmp "$HOME/sdk.jsonl" "$MNT/from-mount/results.jsonl"
}

@test "a job cancelled in the mount is cancelled for the SDK" {
	knob pending=1000
	submit_job c
	echo cancel >"$MNT/c/ctl"
	ended c
	contains "$(sdk get "$(cat "$MNT/c/id")")" CANCELLED
}
