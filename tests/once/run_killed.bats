#!/usr/bin/env bats
# batchfs run NAME, killed at every point on its way, and started again as cron does: one
# job is bought, and the answers are whole.

load ../helpers/mount
load ../helpers/crash
load ../helpers/pictures
load ../helpers/verbs

# In a case: its NAME, and IN with its requests.
lines() { b run -q "$NAME" <"$IN"; }
composed() {
	mkdir -p "$HOME/in/deeper"
	echo one >"$HOME/in/1.txt" && picture 2 >"$HOME/in/deeper/2.png" || return
	b run -q "$NAME" --inputs "$HOME/in" --prompt 'What is it?'
}

# shellcheck disable=SC2034 # of verbs.bash
traced() { # WAY
	SAID=$HOME/said
	BATCHFS_TEST_TRACE=$POINTS.raw "$1" >/dev/null
}

# shellcheck disable=SC2034 # of verbs.bash
killed() { # WAY POINT
	local n
	SAID=$HOME/said
	BATCHFS_TEST_STOP=$2 ends 137 "$1" || [ "$(bought)" = 1 ] || return
	# Killed between intent and create: a person decides, nothing has been bought.
	ends 0 "$1" || {
		said SUBMIT_UNCERTAIN && same 0 "$(bought)" && ends 0 b ctl "$NAME" resubmit &&
			ends 0 "$1"
	} || return
	n=$(awk -F '\t' '$2 == "answered"' <<<"$OUT" | wc -l)
	case $1 in
	lines) same "$(jq -r .key "$IN")" "$(cut -f 1 <<<"$OUT")" && same 4 "$n" || return ;;
	composed) same 2 "$n" || return ;;
	esac
	same 1 "$(bought)" && ends 0 "$1" && same 1 "$(bought)"
}

every_point() { # WAY
	(in_case trace traced "$1") 3>&-
	number_points <"$POINTS.raw" >"$POINTS"
	grep -qx 'after-create#1' "$POINTS"
	each_point "$POINTS" killed "$1"
}

@test "run is killed at every point, its requests come from a pipe" {
	every_point lines
}

@test "run is killed at every point, its requests are composed of files" {
	every_point composed
}
