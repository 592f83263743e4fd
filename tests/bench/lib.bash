# What the suites share: the emulator, mounts, samples. Sourced by run.

# ---- samples -------------------------------------------------------------------------

# sample MEASURE WHO VALUE: one more line in the raw file; rounds count by themselves.
# MEASURE may end in @N, a size or a number of jobs that it was taken with.
sample() { printf '%s\t%s\t%s\n' "$1" "$2" "$3" >>"$raw"; }

# timed MEASURE WHO COMMAND...: how long it takes, in the measure's unit.
timed() {
	local measure=$1 who=$2 start end
	shift 2
	start=$EPOCHREALTIME
	"$@" >/dev/null || die "$*"
	end=$EPOCHREALTIME
	sample "$measure" "$who" "$(in_unit "$measure" $((${end/./} - ${start/./})))"
}

# The same, and beside it as MEASURE-cpu the processor time of the command and of batchfs.
timed_cpu() {
	local measure=$1 who=$2 before
	before=$(cpu_ms "$who")
	timed "$@"
	sample "$measure-cpu" "$who" "$(($(cpu_ms "$who") - before))"
}

# Milliseconds so far of this shell's children, and for batchfs of the mount.
cpu_ms() { # WHO
	local pids=$$
	[ "$1" != batchfs ] || pids="$$ $mount_pid"
	# shellcheck disable=SC2086 # a list of numbers
	for pid in $pids; do
		sed 's/.*) //' "/proc/$pid/stat"
	done | awk -v hz="$(getconf CLK_TCK)" '
		{ ticks += NR == 1 ? $14 + $15 : $12 + $13 }
		END { print int(ticks * 1000 / hz) }'
}

# For the next command: a disk that has nothing left of what went before, and memory at
# hand (bench_warm.c). With --busy nobody has made room.
warm() {
	if $busy; then
		fill_page_cache
		return 0
	fi
	sync
	"$bin/bench_warm" $((size * 5 / 2))
}

in_unit() { # MEASURE MICROSECONDS
	awk -F'\t' -v m="${1%@*}" -v us="$2" '$1 == m { unit = $2 }
		END { print us / (unit == "us" ? 1 : unit == "ms" ? 1e3 : 1e6) }' \
		"$here/measures.tsv"
}

free_port() {
	local port
	while port=$((20000 + RANDOM % 10000)); (: </dev/tcp/127.0.0.1/"$port") 2>/dev/null; do :; done
	echo "$port"
}

note() { printf '%s\n' "$*" >&2; }
die() { note "bench: $*"; exit 1; }

# ---- the emulator --------------------------------------------------------------------

start_emulator() { # [argument...]
	"$build/tests/emulator/gemini-emulator" --data "$work/emu" --set validate=off --set sha256_max=0 \
		--set max_jobs=0 --set pending=0 --set running=0 "$@" >"$work/emu.out" </dev/null &
	emu_pid=$!
	until url=$(grep -soE 'https?://[^ ]+' "$work/emu.out"); do sleep 0.05; done
}

stop_emulator() {
	[ -n "${emu_pid:-}" ] || return 0
	kill "$emu_pid"
	wait "$emu_pid" || true
	rm -rf "$work/emu"
	emu_pid=
}

# Its own pages and the API, without the line in between.
emu() { curl -sSf "${emu_tls[@]}" -X "$1" "$url$2" "${@:3}"; }
api() { emu "$@" -H "x-goog-api-key: $GEMINI_API_KEY"; }
inject() { emu POST /emu/job -d "$1" >/dev/null; } # JSON
calls() { emu GET /emu/stats | jq '.ops | del(.emu) | add // 0'; }
bytes_out() { emu GET /emu/stats | jq .bytesOut; }

# The URL of the output of job $1.
output_url() {
	local file
	file=$(api GET '/v1beta/batches?pageSize=100' | jq -r --arg n "$1" '
		.operations[] | select(.metadata.displayName == $n) |
		.response.responsesFile // .metadata.output.responsesFile')
	printf '%s/v1beta/%s:download?alt=media' "${line_url:-$url}" "$file"
}

fetch() { curl -sSf "${emu_tls[@]}" -H "x-goog-api-key: $GEMINI_API_KEY" "$@"; }

# ---- mounts --------------------------------------------------------------------------

# mount_jobs [OPTION,...]: at $mnt; what it knew from before is still there.
mount_jobs() {
	mkdir -p "$mnt"
	"$build/fs/batchfs" -f -o "state_dir=$work/state,cache_dir=$work/cache,fetch=read${1:+,$1}" \
		"${line_url:-$url}" "$mnt" >"$work/mount.log" 2>&1 </dev/null &
	mount_pid=$!
	until mountpoint -q "$mnt"; do
		kill -0 "$mount_pid" 2>/dev/null || die "no mount: $(tail -1 "$work/mount.log")"
		sleep 0.01
	done
}

unmount_jobs() {
	[ -n "${mount_pid:-}" ] || return 0
	fusermount3 -u "$mnt"
	wait "$mount_pid" || true
	mount_pid=
}

# As if it had never run.
fresh_mount() {
	unmount_jobs
	rm -rf "$work/state" "$work/cache"
	mount_jobs "$@"
	ls "$mnt" >/dev/null
}

memory() { awk -v f="$1:" '$1 == f { print $2 }' "/proc/$mount_pid/status"; } # KiB
