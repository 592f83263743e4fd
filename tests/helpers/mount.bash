# What every test file here loads: an emulator and a mount per test, in a directory
# of the test's own, and ways to look at both.
#
#	setup() { start_emulator; mount_jobs; }     # $EMU_URL, $MNT
#	teardown() { stop_all; }
#
# Nothing here asserts time: whoever waits does so with `eventually`, which looks
# again and again and gives up after a generous while.
#
# From outside: BATCHFS_BUILD_DIR, the build that is tested.

bats_require_minimum_version 1.5.0

: "${BATCHFS_BUILD_DIR:=$BATS_TEST_DIRNAME/../../build}"
BATCHFS=$BATCHFS_BUILD_DIR/fs/batchfs
EMULATOR=$BATCHFS_BUILD_DIR/tests/emulator/gemini-emulator
# A wall clock for each test; sanitizers and loaded machines are slow.
export BATS_TEST_TIMEOUT=${BATCHFS_TEST_TIMEOUT:-240}
# How long `eventually` looks, in seconds.
PATIENCE=${BATCHFS_PATIENCE:-60}
# Calls that failed are repeated sooner than for people.
export BATCHFS_TEST_BACKOFF_SECONDS=${BATCHFS_TEST_BACKOFF_SECONDS:-0.25}

# ---- the emulator -----------------------------------------------------------------

# Jobs live for a blink, so that waiting for one costs nothing.
FAST="--set pending=0.05 --set running=0.05 --set cancel_delay=0.05"

# start_emulator [argument...]: sets EMU_URL and EMU_PID.
start_emulator() {
	sandbox
	local log=$BATS_TEST_TMPDIR/emulator.log
	rm -f "$log" # of one before, which has an address, too
	# shellcheck disable=SC2086 # FAST is a list
	"$EMULATOR" --listen "127.0.0.1:${EMU_PORT:-0}" --data "$BATS_TEST_TMPDIR/emulator" $FAST "$@" \
		>"$log" 2>"$log.err" 3>&- </dev/null &
	EMU_PID=$!
	eventually grep -qE 'http://[^ ]+' "$log"
	EMU_URL=$(grep -oEm1 'http://[^ /]+(:[0-9]+)?' "$log")
	EMU_PORT=${EMU_URL##*:}
	export GEMINI_API_KEY=test-key GOOGLE_GEMINI_BASE_URL=$EMU_URL
}

# The test's own home and nothing of the user's.
sandbox() {
	export HOME=$BATS_TEST_TMPDIR/home TMPDIR=$BATS_TEST_TMPDIR/tmp
	export XDG_STATE_HOME=$HOME/.state XDG_CACHE_HOME=$HOME/.cache
	export XDG_CONFIG_HOME=$HOME/.config
	mkdir -p "$HOME" "$TMPDIR"
	unset GOOGLE_API_KEY GEMINI_API_KEY GOOGLE_GEMINI_BASE_URL BATCHFS_MODEL \
		GOOGLE_GENAI_API_VERSION
	unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY all_proxy
	umask 022
	local san=log_path=$BATS_TEST_TMPDIR/sanitizer:print_stacktrace=1
	export ASAN_OPTIONS=$san:detect_leaks=1 UBSAN_OPTIONS=$san
	export TSAN_OPTIONS=$san:second_deadlock_stack=1
	export VALGRIND_LOGS=$BATS_TEST_TMPDIR
}

stop_emulator() {
	[ -n "${EMU_PID:-}" ] || return 0
	kill "$EMU_PID" 2>/dev/null || true
	wait "$EMU_PID" 2>/dev/null || true
	EMU_PID=
}

# The same data on the same port, as if the service came back.
restart_emulator() {
	stop_emulator
	start_emulator "$@"
}

emu() { # METHOD PATH [curl argument...]
	local method=$1 path=$2
	shift 2
	curl -sS --fail-with-body -X "$method" "$EMU_URL$path" "$@"
}

# API calls as any other client makes them.
api() { # METHOD PATH [curl argument...]
	emu "$@" -H "x-goog-api-key: test-key" -H 'content-type: application/json'
}

no_more_faults() { emu POST /emu/fault/reset >/dev/null; }

knob() { # NAME=VALUE...
	local pair
	for pair; do
		emu POST "/emu/set?$pair" >/dev/null
	done
}

fault() { # "match=create&kind=status&status=503"
	emu POST "/emu/fault?$1" >/dev/null
}

# How many calls of an operation the emulator has seen: create, get, list, …
calls() {
	emu GET /emu/stats | jq --arg op "$1" '.ops[$op] // 0'
}

# How many calls there have been in all.
all_calls() {
	emu GET /emu/stats | jq '.ops | del(.emu) | [.[]] | add // 0'
}

# How many jobs there are at the API: what a user would be billed for.
jobs_at_api() {
	api GET '/v1beta/batches?pageSize=100' | jq '.operations // [] | length'
}

files_at_api() { api GET /v1beta/files | jq '.files // [] | length'; }

# The ids of all jobs of a display name, newest first.
ids_of() {
	api GET '/v1beta/batches?pageSize=100' |
		jq -r --arg n "$1" '.operations // [] | .[] | select(.metadata.displayName == $n).name'
}

# make_foreign_job NAME [LINES]: a job of another client; prints its id.
make_foreign_job() {
	local name=$1 n=${2:-3}
	jq -cn --arg name "$name" --argjson n "$n" '
		{batch: {displayName: $name, inputConfig: {requests: {requests: [
			range(1; $n + 1) | {
				request: {contents: [{parts: [{text: "prompt \(.)"}]}]},
				metadata: {key: "k\(.)"}}]}}}}' |
		api POST /v1beta/models/gemini-3.8-flash:batchGenerateContent --data-binary @- |
		jq -r .name
}

# The same with the requests in a file, as the mount sends them.
make_foreign_file_job() {
	local name=$1 n=${2:-3} file upload url
	file=$BATS_TEST_TMPDIR/foreign.jsonl
	requests "$n" >"$file"
	url=$(curl -sS -D - -o /dev/null "$EMU_URL/upload/v1beta/files" \
		-H 'x-goog-api-key: test-key' -H 'X-Goog-Upload-Protocol: resumable' \
		-H 'X-Goog-Upload-Command: start' -H 'Content-Type: application/json' \
		-H "X-Goog-Upload-Header-Content-Length: $(stat -c %s "$file")" \
		-H 'X-Goog-Upload-Header-Content-Type: application/jsonl' \
		-d '{"file":{"displayName":"foreign"}}' |
		tr -d '\r' | sed -n 's/^x-goog-upload-url: //Ip')
	upload=$(curl -sS "$url" -H 'X-Goog-Upload-Command: upload, finalize' \
		-H 'X-Goog-Upload-Offset: 0' --data-binary "@$file" | jq -r .file.name)
	jq -cn --arg name "$name" --arg file "$upload" \
		'{batch: {displayName: $name, inputConfig: {fileName: $file}}}' |
		api POST /v1beta/models/gemini-3.8-flash:batchGenerateContent --data-binary @- |
		jq -r .name
}

# ---- the mount --------------------------------------------------------------------

# mount_jobs [-o option]... [argument...]: mounts at $MNT. Short ttl and poll, since
# jobs live shortly; the last of several equal options counts.
mount_jobs() {
	MNT=${MNT:-$BATS_TEST_TMPDIR/jobs}
	mkdir -p "$MNT"
	start_batchfs -o ttl=1,poll=1 "$@" "$MNT" || return
	eventually is_mounted "$MNT" || {
		daemon_log
		return 1
	}
}

FS_CLOCK=() # a command in front of batchfs: see step_clock

# Runs batchfs in the foreground behind the test; its pid is FS_PID.
start_batchfs() {
	FS_LOGS=${FS_LOGS:-0}
	FS_LOGS=$((FS_LOGS + 1))
	FS_LOG=$BATS_TEST_TMPDIR/batchfs.$FS_LOGS.log
	"${FS_CLOCK[@]}" "$BATCHFS" -f "$@" >"$FS_LOG" 2>&1 3>&- </dev/null &
	FS_PID=$!
	FS_PIDS="${FS_PIDS:-} $FS_PID"
}

# step_clock SECONDS: from now on the wall clock of mounts is that far ahead of the
# machine's (behind it where negative). Steps those that run too, if the first call was
# before they were started (`step_clock 0`). The emulator keeps the machine's time.
step_clock() {
	local file=$BATS_TEST_TMPDIR/clock
	echo "$1" >"$file.new" && mv "$file.new" "$file"
	FS_CLOCK=(env "LD_PRELOAD=$BATCHFS_BUILD_DIR/tests/clock/clock.so" "BATCHFS_TEST_CLOCK=$file"
		"ASAN_OPTIONS=${ASAN_OPTIONS:-}:verify_asan_link_order=0")
}

is_mounted() {
	mountpoint -q "$1" && return
	# Not yet: and never, if it has given up.
	kill -0 "$FS_PID" 2>/dev/null || GIVE_UP=yes
	return 1
}

unmount_jobs() {
	local pid=$FS_PID status=0
	eventually fusermount3 -u "$MNT"
	wait "$pid" || status=$?
	FS_PIDS=${FS_PIDS/ $pid/}
	[ $status = 0 ] || {
		echo "batchfs ended with status $status"
		daemon_log
		return 1
	}
}

remount_jobs() { # [argument...]
	unmount_jobs && mount_jobs "$@"
}

# As a crash or a power cut would: no chance to write anything.
kill_batchfs() {
	kill -KILL "$FS_PID"
	wait "$FS_PID" 2>/dev/null || true
	FS_PIDS=${FS_PIDS/ $FS_PID/}
	fusermount3 -uz "$MNT"
}

daemon_log() { tail -n 40 "$FS_LOG"; }

# For teardown: whatever is left goes away, and whatever a sanitizer said fails.
stop_all() {
	local dir pid bad=0
	# A copy: lines are passed over where mounts come and go while it is read in pieces.
	while read -r _ dir _; do
		[[ $dir == "$BATS_TEST_TMPDIR"/* ]] || continue
		fusermount3 -u "$dir" 2>/dev/null || fusermount3 -uz "$dir" 2>/dev/null ||
			umount -l "$dir" 2>/dev/null || true
	done < <(cat /proc/mounts)
	for pid in ${FS_PIDS:-}; do
		reap "$pid"
	done
	stop_emulator
	[ -n "${BATS_TEST_COMPLETED:-}" ] || {
		tail -n 15 "$BATS_TEST_TMPDIR"/batchfs.*.log 2>/dev/null || true
	}
	scan_sanitizers || bad=1
	return $bad
}

# Wait a while for a process of ours, then end it.
reap() {
	local i
	for ((i = 0; i < 100; i++)); do
		kill -0 "$1" 2>/dev/null || break
		sleep 0.05
	done
	kill -TERM "$1" 2>/dev/null && sleep 1
	kill -KILL "$1" 2>/dev/null
	wait "$1" 2>/dev/null || true
}

scan_sanitizers() {
	local found
	found=$(cat "$BATS_TEST_TMPDIR"/sanitizer.* 2>/dev/null
		grep -hE 'runtime error:|(Address|Thread|Leak|UndefinedBehavior)Sanitizer|Assertion .* failed' \
			"$BATS_TEST_TMPDIR"/*.log "$BATS_TEST_TMPDIR"/*.err 2>/dev/null)
	[ -z "$found" ] || {
		printf '%s\n' "$found" | head -n 80
		return 1
	}
}

# ---- waiting, looking --------------------------------------------------------------

# eventually COMMAND...: until it succeeds, or patience is out.
eventually() {
	local end=$((SECONDS + PATIENCE)) GIVE_UP=
	until "$@" >/dev/null 2>&1; do
		if ((SECONDS >= end)) || [ -n "$GIVE_UP" ]; then
			echo "never came true: $*"
			"$@" || true
			return 1
		fi
		sleep 0.05
	done
}

# becomes EXPECTED COMMAND...: until that is what it prints.
becomes() { eventually prints "$@"; }
prints() {
	local expected=$1
	shift
	same "$expected" "$("$@")"
}

# Prints the difference; for texts of a line or a hundred.
same() { # EXPECTED GOT
	[ "$1" = "$2" ] || {
		printf 'expected: %s\n     got: %s\n' "$1" "$2"
		return 1
	}
}

contains() { # TEXT PART
	[[ $1 == *"$2"* ]] || {
		printf 'expected to contain: %s\n     got: %s\n' "$2" "$1"
		return 1
	}
}

lacks() { # TEXT PART
	[[ $1 != *"$2"* ]] || {
		printf 'expected not to contain: %s\n     got: %s\n' "$2" "$1"
		return 1
	}
}

state_is() { # JOB STATE
	same "$2" "$(cat "$MNT/$1/state")"
}

ended() { # JOB: waits for it, whatever the end
	timeout "$PATIENCE" cat "$MNT/$1/wait" >/dev/null
}

succeeded() { # JOB
	same JOB_STATE_SUCCEEDED "$(timeout "$PATIENCE" cat "$MNT/$1/wait")"
}

# All of a job's results are on the local disk, as .batchfs/jobs tells.
results_saved() { # JOB
	awk -F '\t' -v n="$1" '
		NR == 1 { for (i = 1; i <= NF; i++) if ($i == "results_saved") c = i }
		$1 == n { found = $c }
		END { exit found != "yes" }' "$MNT/.batchfs/jobs"
}

# What .batchfs/status says of the API.
online() { grep -qE '^online (yes|since)' "$MNT/.batchfs/status"; }
offline() { grep -qE '^(online no|offline)' "$MNT/.batchfs/status"; }

# errno_of COMMAND...: the errno by name that a Python expression on `os` runs into,
# or OK. Tools word their errors differently; this asks the kernel.
errno_of() { # PYTHON [ARGUMENT...]
	python3 -c '
import errno, os, sys
a = [os.fsencode(x) for x in sys.argv[2:]]
try:
    exec(sys.argv[1])
except OSError as e:
    print(errno.errorcode[e.errno])
else:
    print("OK")' "$@"
}

# Write the bytes $2 into file $1 with one open, write, close; the errno of the first
# that fails.
errno_of_write() { # FILE TEXT
	errno_of '
fd = os.open(a[0], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
try:
    os.write(fd, a[1])
except OSError:
    os.close(fd)
    raise
os.close(fd)' "$@"
}

# One verb to ctl, as `echo verb > ctl` does, but with the errno.
errno_of_ctl() { # JOB VERB
	errno_of '
fd = os.open(a[0], os.O_WRONLY)
try:
    os.write(fd, a[1] + b"\n")
finally:
    os.close(fd)' "$MNT/$1/ctl" "$2"
}

# Value of a `name value` line.
value_of() { # NAME FILE
	awk -v n="$1" '$1 == n { sub(/^[^ \t]+[ \t]+/, ""); print }' "$2"
}

# requests N [PREFIX]: N good request lines with keys k1, k2, …
requests() {
	jq -cn --argjson n "$1" --arg p "${2:-prompt}" '
		range(1; $n + 1) | {key: "k\(.)", request: {contents: [{parts: [{text: "\($p) \(.)"}]}]}}'
}

# A draft and a job by the shortest way.
draft() { mkdir "$MNT/$1"; }

# Draft a, N requests for it in IN, and J, where they go.
draft_to_send() { # N
	IN=$HOME/in.jsonl
	requests "$1" >"$IN"
	draft a
	J=$MNT/a/requests.jsonl
}

# Submit a by copying FILE to J, interrupted when BYTES of it are at the API.
interrupt_upload() { # FILE BYTES
	local cp
	fault "match=upload&kind=stall_body&seconds=60&at=$2"
	cp "$1" "$J" 3>&- &
	cp=$!
	becomes 1 calls upload && state_is a UPLOADING || return
	kill -TERM $cp
	wait $cp || true
	eventually state_is a DRAFT
}

submit_job() { # NAME [LINES]
	requests "${2:-3}" >"$BATS_TEST_TMPDIR/in.jsonl"
	mkdir "$MNT/$1" && cp "$BATS_TEST_TMPDIR/in.jsonl" "$MNT/$1/requests.jsonl"
}

# One job of that name at the API and all of what file $2 holds in it.
bought_once() { # NAME FILE
	same 1 "$(calls create)" || return
	same 1 "$(jobs_at_api)" || return
	cmp "$2" "$MNT/$1/requests.jsonl" || return
	succeeded "$1" || return
	same "$(grep -c . "$2")" "$(value_of request_count "$MNT/$1/stats")" || return
	same "$(jq -r .key "$2" | sort)" "$(jq -r .key "$MNT/$1/results.jsonl" | sort)"
}

# Nothing was bought and the draft is still one.
bought_nothing() { # NAME
	same 0 "$(calls create)" && state_is "$1" DRAFT
}

as_root() { [ "$(id -u)" = 0 ]; }

# Run a command as somebody else; skips the test where that cannot be.
OTHER_UID=65534
need_other_uid() {
	as_root || skip "needs root, to be somebody else"
	# Somebody else must get through to the mount.
	local dir=$BATS_TEST_TMPDIR
	while [ "$dir" != / ]; do
		[ $((0$(stat -c %a "$dir") & 1)) = 1 ] || chmod o+x "$dir"
		dir=$(dirname "$dir")
	done
}
as_other() {
	setpriv --reuid "$OTHER_UID" --regid "$OTHER_UID" --clear-groups "$@"
}

# With mounts of its own. Those of other tests are let go of, or their daemons could
# not end before the command does.
unshare_mounts() { # COMMAND...
	unshare -m sh -c 'umount -l -a -t fuse.batchfs 2>/dev/null; exec "$@"' - "$@"
}

need() { # COMMAND
	command -v "$1" >/dev/null || skip "no $1 here"
}
