# Crash points: the program names them itself (BATCHFS_TEST_TRACE), each test kills it
# at every one and looks at what the next start makes of it.
#
# A case is one life in a directory, with a key and so a project of its own at the one
# emulator of the test; several live at the same time, as they mostly wait.

setup() {
	start_emulator --set pending=0.1 --set running=0.1
	# shellcheck disable=SC2034 # for those who load this
	POINTS=$BATS_TEST_TMPDIR/points
}
teardown() { stop_all; }

: "${CRASH_CASES:=8}" # at the same time

# Times that tests cannot wait for.
export BATCHFS_TEST_SETTLE_SECONDS=3 BATCHFS_TEST_CLOSE_SECONDS=1
export BATCHFS_TEST_QUEUE_SECONDS=1

# in_case NAME COMMAND...: in a home of its own. $NAME is the job's name.
in_case() {
	NAME=$1
	BATS_TEST_TMPDIR=$BATS_TEST_TMPDIR/$1
	MNT=$BATS_TEST_TMPDIR/jobs FS_PIDS=''
	shift
	mkdir -p "$BATS_TEST_TMPDIR"
	sandbox
	export GEMINI_API_KEY=key-$NAME GOOGLE_GEMINI_BASE_URL=$EMU_URL
	IN=$HOME/in.jsonl
	case ${WITH_FILES:-} in
	'') requests 4 ;;
	*) file_lines ;;
	esac >"$IN"
	local status=0
	"$@" || status=1
	! is_mounted "$MNT" || fusermount3 -uz "$MNT"
	[ -z "$FS_PIDS" ] || kill -KILL $FS_PIDS 2>/dev/null || true
	scan_sanitizers || status=1
	return $status
}

# each_point POINTS COMMAND...: a case for every line of the file POINTS, which COMMAND
# gets as its last argument. Fails with what the failed cases said.
each_point() {
	local points=$1 out=$BATS_TEST_TMPDIR/out.$RANDOM point n=0 pid
	local -A running=()
	shift
	mkdir "$out"
	while read -r point; do
		while ((${#running[@]} >= CRASH_CASES)); do
			sleep 0.05
			for pid in "${!running[@]}"; do
				kill -0 "$pid" 2>/dev/null || unset "running[$pid]"
			done
		done
		n=$((n + 1))
		(
			trap - EXIT ERR DEBUG
			set +eET
			in_case "c$n-${out##*.}" "$@" "$point" >"$out/$n" 2>&1 </dev/null 3>&- ||
				echo "$n" >>"$out/failed"
		) 3>&- &
		running[$!]=1
	done <"$points"
	wait "${!running[@]}" || true
	echo "# $n crash points: $*" >&3
	[ -e "$out/failed" ] || return 0
	while read -r n; do
		echo "---- $* $(sed -n "${n}p" "$points")"
		tail -n 30 "$out/$n"
	done <"$out/failed"
	return 1
}

# The Nth time each name is passed is a point of its own.
number_points() { awk '{ print $0 "#" ++n[$0] }'; }

# ---- one life --------------------------------------------------------------------------

# mount_stop POINT [argument...]: a mount that dies there. It may be dead before it is
# mounted.
mount_stop() {
	local point=$1
	shift
	BATCHFS_TEST_STOP=$point mount_jobs "$@" || ! kill -0 "$FS_PID" 2>/dev/null
}

# It may have died before there was a mount to do anything in.
there() { is_mounted "$MNT" && "$@"; }

dead() { ! kill -0 "$FS_PID" 2>/dev/null; }

# Whether it died where it was told to, or had nothing left to do.
bury() {
	kill -KILL "$FS_PID" 2>/dev/null
	wait "$FS_PID" 2>/dev/null
	FS_PIDS=
	fusermount3 -uz "$MNT" 2>/dev/null
	return 0
}

state() { cat "$MNT/$NAME/state"; }

# Jobs of this case at the API, whoever made them.
bought() {
	emu GET /emu/jobs | jq --arg n "$NAME" '[.jobs[] | select(.metadata.displayName == $n)] | length'
}

has_id() { [ -s "$MNT/$NAME/id" ]; }
settled() { [[ $(state) =~ ^(DRAFT|SUBMIT_FAILED|SUBMIT_UNCERTAIN|JOB_STATE_.*)$ ]]; }
dead_or_sent() { dead || has_id; }

# What the mount says is what the API has.
truth() {
	case $(state) in
	DRAFT | SUBMIT_FAILED | SUBMIT_UNCERTAIN) same 0 "$(bought)" && ! has_id ;;
	JOB_STATE_*) same 1 "$(bought)" && has_id ;;
	*) echo "state: $(state)" && false ;;
	esac
}

# The bytes are whole wherever they are.
whole() {
	local f
	for f in "$MNT/$NAME"/{requests.jsonl,tmp}; do
		[ ! -e "$f" ] || cmp "$IN" "$f" || return
	done
}

# By hand: what a person does who reads the state, until there is a job.
finish() {
	local f
	case $(state) in
	DRAFT | SUBMIT_FAILED)
		add_files || return
		for f in "$MNT/$NAME/tmp" "$IN"; do
			[ -e "$MNT/$NAME/requests.jsonl" ] || [ ! -e "$f" ] ||
				cp "$f" "$MNT/$NAME/requests.jsonl" || return
		done
		[ "$(state)" != DRAFT ] || echo submit >"$MNT/$NAME/ctl" || return
		;;
	SUBMIT_UNCERTAIN) echo resubmit >"$MNT/$NAME/ctl" || return ;;
	esac
	eventually has_id
}

# After a crash: settled, true, whole, can be finished, and then it is one job.
recovers() {
	mount_jobs "$@" || return
	[ -d "$MNT/$NAME" ] || {
		same 0 "$(bought)" && mkdir "$MNT/$NAME"
	} || return
	eventually settled && truth && whole && finish && one
}

one() {
	same 1 "$(bought)" && cmp "$IN" "$MNT/$NAME/requests.jsonl" && succeeded "$NAME" &&
		same 4 "$(grep -c . "$MNT/$NAME/results.jsonl")" &&
		same "$NAME" "$(ls "$MNT")" && right_files
}

# Requests that name files, and those files, with WITH_FILES.
file_lines() {
	local n k=0
	for n in 1 2 3 1; do
		ask "k$((++k))" "$n.png"
	done
}
add_files() {
	local n
	[ -n "${WITH_FILES:-}" ] || return 0
	for n in 1 2 3; do
		picture "$n" >"$MNT/$NAME/$n.png" || return
	done
}
# The right one went with each key.
right_files() {
	local n k=0
	[ -n "${WITH_FILES:-}" ] || return 0
	for n in 1 2 3 1; do
		picture "$n" >"$HOME/$n.png"
		got_file "$NAME" "k$((++k))" "$HOME/$n.png" || return
	done
}

# ---- ways to submit ----------------------------------------------------------------------

by_close() { mkdir "$MNT/$NAME" && cp "$IN" "$MNT/$NAME/requests.jsonl"; }
by_files() { mkdir "$MNT/$NAME" && add_files && cp "$IN" "$MNT/$NAME/requests.jsonl"; }
by_rename() {
	mkdir "$MNT/$NAME" && cp "$IN" "$MNT/$NAME/tmp" &&
		mv "$MNT/$NAME/tmp" "$MNT/$NAME/requests.jsonl"
}

# The same four requests, as lines of which they are made.
by_parts() {
	mkdir "$MNT/$NAME" && printf 'prompt %d\n' 1 2 3 4 >"$MNT/$NAME/inputs.txt" &&
		echo submit >"$MNT/$NAME/ctl"
}

submission() { # WAY OPTIONS POINT
	local status=0
	mount_stop "$3" -o "$2" || return
	there "$1" || status=$?
	# Success is a job, or with background one that will be.
	[ $status != 0 ] || dead || eventually dead_or_sent || return
	bury
	[ $status != 0 ] || [ "$2" = submit=background ] || same 1 "$(bought)" || return
	recovers -o "$2"
}

# Killed once more while the next start makes good.
recovery() { # WAY OPTIONS FIRST POINT
	mount_stop "$3" -o "$2" || return
	"$1"
	bury
	if mount_stop "$4" -o "$2" && ! dead; then
		eventually dead_or_settled || return
	fi
	bury
	recovers -o "$2"
}
dead_or_settled() { dead || settled; }

# points_of FILE COMMAND...: what a life passes that ends well.
traced() { # FILE COMMAND...
	local file=$1
	shift
	export BATCHFS_TEST_TRACE=$file
	"$@" && unmount_jobs
}

# ---- a composed draft -------------------------------------------------------------------

# What there is of it is whole, and what was composed is nothing else than its parts.
parts_whole() {
	local parts=$MNT/$NAME/inputs.txt composed=$MNT/$NAME/requests.jsonl
	[ ! -e "$parts" ] || grep -q . "$parts" || rm "$parts" || return
	[ ! -e "$parts" ] || printf 'prompt %d\n' 1 2 3 4 | cmp - "$parts" || return
	[ ! -e "$composed" ] ||
		same "$(printf 'prompt %d\n' 1 2 3 4)" \
			"$(jq -r '.request.contents[0].parts[0].text' "$composed")"
}

composed_submission() { # OPTIONS POINT
	local status=0
	mount_stop "$2" -o "$1" || return
	there by_parts || status=$?
	[ $status != 0 ] || dead || eventually dead_or_sent || return
	bury
	[ $status != 0 ] || [ "$1" = submit=background ] || same 1 "$(bought)" || return
	composed_recovers "$1"
}

composed_recovers() { # OPTIONS
	mount_jobs -o "$1" || return
	[ -d "$MNT/$NAME" ] || {
		same 0 "$(bought)" && mkdir "$MNT/$NAME"
	} || return
	eventually settled && truth && parts_whole || return
	case $(state) in
	DRAFT | SUBMIT_FAILED)
		printf 'prompt %d\n' 1 2 3 4 >"$MNT/$NAME/inputs.txt" &&
			echo submit >"$MNT/$NAME/ctl" || return
		;;
	SUBMIT_UNCERTAIN) echo resubmit >"$MNT/$NAME/ctl" || return ;;
	esac
	eventually has_id && same 1 "$(bought)" && parts_whole && succeeded "$NAME" &&
		same "1 2 3 4" "$(jq -r .key "$MNT/$NAME/results.jsonl" | sort | xargs)"
}
