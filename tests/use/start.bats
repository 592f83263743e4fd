#!/usr/bin/env bats
# Starting: options, the key, mountpoints and state directories that will not do, the
# background, fstab, several mounts side by side.

load ../helpers/mount

setup() { start_emulator; M=$BATS_TEST_TMPDIR/jobs; mkdir "$M"; }
teardown() { stop_all; }

# refuses PART... -- ARGUMENT...: exit status 1, nothing mounted, one line that has all
# the parts.
refuses() {
	local parts=() part
	while [ "$1" != -- ]; do
		parts+=("$1")
		shift
	done
	shift
	run -1 timeout "$PATIENCE" "$BATCHFS" "$@"
	for part in "${parts[@]}"; do
		contains "$output" "$part"
	done
	same 1 "${#lines[@]}"
	run ! mountpoint -q "$M"
}

# In the background, as a user types it.
start() {
	timeout "$PATIENCE" "$BATCHFS" "$@" 3>&- >"$BATS_TEST_TMPDIR/start.out" 2>&1 || {
		cat "$BATS_TEST_TMPDIR/start.out"
		return 1
	}
}

# ---- help --------------------------------------------------------------------------

@test "-h fits a screen and names the options" {
	run -0 "$BATCHFS" -h
	[ "${#lines[@]}" -le 40 ]
	contains "$output" MOUNTPOINT
	contains "$output" state_dir
	contains "$output" api_key_file
	run -0 "$BATCHFS" --help
}

@test "-V prints the version" {
	run -0 "$BATCHFS" -V
	contains "$output" batchfs
	[[ $output =~ [0-9]+\.[0-9]+ ]]
}

@test "no mountpoint" {
	run ! "$BATCHFS"
	[ -n "$output" ]
}

@test "an option misspelt is named" {
	refuses modle -- -o modle=x "$M"
	run ! "$BATCHFS" --nonsense "$M"
}

@test "values that cannot be are named" {
	for o in poll=abc ttl=-1 fetch=some submit=never rmdir=all trash=x inline_max=20000001 \
		inline_max=x cache_max=lots umask=999 uid=nobody-of-that-name; do
		echo "$o"
		refuses "${o%%=*}" -- -o "$o" "$M"
	done
}

# ---- the background ------------------------------------------------------------------

@test "what mount.fuse3(8) names is taken, or refused by name" {
	local word
	for word in kernel_cache auto_cache direct_io entry_timeout=1 remember=1 modules=x blkdev; do
		refuses "option ${word%=*} is not supported" -- -o "$word" "$M"
	done
	refuses max_read -- -o max_read=100 "$M"
	refuses "must be an https URL" -- -o webhook=http://127.0.0.1/ "$M"
	refuses "must be auto, none or a number" -- -o split=0 "$M"
	start -o max_read=65536,max_threads=4,max_idle_threads=2,clone_fd "$M"
	mountpoint -q "$M"
	grep -q " $M .*max_read=65536" /proc/mounts
	mkdir "$M/j"
	head -c 300000 /dev/urandom >"$BATS_TEST_TMPDIR/bytes"
	cp "$BATS_TEST_TMPDIR/bytes" "$M/j/scratch"
	cmp "$BATS_TEST_TMPDIR/bytes" "$M/j/scratch"
}

@test "a session that fails after the mount: exit status 1, nothing mounted" {
	# As when kernel and libfuse disagree at the first request.
	cc -shared -fPIC -o "$BATS_TEST_TMPDIR/loop.so" -x c - <<-END
		int fuse_session_loop_mt(void *se, void *config) { return -71; }
	END
	LD_PRELOAD=$BATS_TEST_TMPDIR/loop.so refuses "the session ended: Protocol error" -- "$M"
}

@test "without -f it returns when the mount is usable, and unmounting ends it" {
	start "$M"
	mountpoint "$M"
	ls "$M"
	mkdir "$M/a"
	local pid
	pid=$(pgrep -f "^$BATCHFS $M")
	fusermount3 -u "$M"
	eventually sh -c '! kill -0 "$1"' - "$pid"
}

@test "the process in the background holds neither terminal, nor directory, nor our pipe" {
	# A pipe that the daemon kept would never end.
	timeout "$PATIENCE" sh -c '"$1" "$2" 2>&1 | cat' - "$BATCHFS" "$M" 3>&-
	mountpoint "$M"
}

@test "SIGTERM unmounts and ends with 0" {
	mount_jobs
	kill -TERM "$FS_PID"
	wait "$FS_PID"
	run ! mountpoint -q "$M"
}

@test "SIGTERM while somebody reads wait: the reader gets an answer at once" {
	mount_jobs
	knob pending=1000
	submit_job a
	cat "$M/a/wait" >"$HOME/out" 2>&1 3>&- &
	local reader=$!
	sleep 0.3
	kill -TERM "$FS_PID"
	wait $reader || true
	wait "$FS_PID" || true
}

@test "unmounting while a file is open is refused and harms nothing" {
	mount_jobs
	draft a
	exec 7>>"$M/a/note"
	run ! fusermount3 -u "$M"
	echo x >&7
	exec 7>&-
	same x "$(cat "$M/a/note")"
	unmount_jobs
}

# ---- the key -------------------------------------------------------------------------

@test "no key: says where it could be, and that the quick start needs none" {
	unset GEMINI_API_KEY
	cd "$BATS_TEST_DIRNAME/../.."
	refuses GEMINI_API_KEY default.key quickstart -- "$M"
}

@test "an empty key is none" {
	GEMINI_API_KEY='' refuses GEMINI_API_KEY -- "$M"
}

@test "a refused key" {
	export GEMINI_API_KEY=invalid
	refuses key -- "$M"
	lacks "$output" invalid
}

@test "a refused key, in the foreground" {
	export GEMINI_API_KEY=invalid
	refuses key -- -f "$M"
}

@test "GOOGLE_API_KEY comes before GEMINI_API_KEY, with a warning when they differ" {
	export GOOGLE_API_KEY=google-key
	mount_jobs
	contains "$(cat "$M/.batchfs/status")" GOOGLE_API_KEY
	contains "$(cat "$FS_LOG")" GEMINI_API_KEY
}

@test "no warning when both are the same" {
	export GOOGLE_API_KEY=$GEMINI_API_KEY
	mount_jobs
	lacks "$(cat "$FS_LOG")" GEMINI_API_KEY
}

@test "the key file of the account" {
	unset GEMINI_API_KEY
	mkdir -p "$XDG_CONFIG_HOME/batchfs"
	(umask 077; echo test-key >"$XDG_CONFIG_HOME/batchfs/work.key")
	mount_jobs -o account=work
	contains "$(cat "$M/.batchfs/status")" work.key
	unmount_jobs
	refuses GEMINI_API_KEY -- "$M"
}

@test "api_key_file is the only source then, and others must not read it" {
	export GEMINI_API_KEY=invalid
	(umask 077; printf '  test-key\r\n' >"$HOME/key")
	mount_jobs -o api_key_file="$HOME/key"
	unmount_jobs
	chmod 644 "$HOME/key"
	refuses "$HOME/key" -- -o api_key_file="$HOME/key" "$M"
	export GEMINI_API_KEY=test-key
	refuses "$HOME/nokey" -- -o api_key_file="$HOME/nokey" "$M"
}

@test "the key is in no file, no argument, no log" {
	export GEMINI_API_KEY=sEcReT-kEy-0123456789
	mount_jobs -d
	submit_job a 2
	ended a
	cat "$M/a/results.jsonl" "$M/.batchfs/"* "$M/a/job.json" >"$HOME/read"
	tr '\0' ' ' <"/proc/$FS_PID/cmdline" >"$HOME/cmdline"
	run ! grep -rqF "$GEMINI_API_KEY" "$HOME" "$FS_LOG"
	unmount_jobs
	run ! grep -rqF "$GEMINI_API_KEY" "$HOME" "$FS_LOG"
}

@test "no upload URL and no prompt in the log" {
	mount_jobs -d
	requests 3 "sEcReT-prompt" >"$HOME/r"
	draft a
	cp "$HOME/r" "$M/a/requests.jsonl"
	ended a
	run ! grep -qE 'upload_id=|sEcReT-prompt' "$FS_LOG"
}

@test "the process can leave no core with the key" {
	ulimit -S -c "$(ulimit -H -c)" # or there would be none anyway
	mount_jobs
	local limit
	limit=$(awk '/Max core file size/ { print $5 }' "/proc/$FS_PID/limits")
	# Either no core at all, or not dumpable (then /proc/PID is root's).
	[ "$limit" = 0 ] || same 0 "$(stat -c %u "/proc/$FS_PID/mem")"
}

@test "plain http to anything but a loopback address is refused" {
	refuses https -- http://192.0.2.1/ "$M"
	refuses https -- http://example.com "$M"
}

# ---- the source ----------------------------------------------------------------------

@test "SOURCE before the environment; none and nothing mean the environment" {
	GOOGLE_GEMINI_BASE_URL=http://127.0.0.1:1 mount_jobs "$EMU_URL"
	contains "$(cat "$M/.batchfs/status")" "$EMU_URL"
	unmount_jobs
	mount_jobs none
	contains "$(cat "$M/.batchfs/status")" "$EMU_URL"
}

@test "a trailing slash makes no difference" {
	mount_jobs "$EMU_URL/"
	submit_job a
	succeeded a
}

@test "a SOURCE that is no URL" {
	refuses URL -- nonsense "$M"
	refuses http -- ftp://127.0.0.1/ "$M"
}

@test "http_proxy in the environment is not asked about loopback" {
	export http_proxy=http://127.0.0.1:1 HTTP_PROXY=http://127.0.0.1:1
	mount_jobs
	submit_job a
}

@test "no network: a warning, mounted offline, and it recovers by itself" {
	stop_emulator
	mount_jobs
	[ -n "$(cat "$FS_LOG")" ]
	offline
	draft a
	same EHOSTUNREACH "$(errno_of_write "$M/a/requests.jsonl" "$(requests 1)")"
	state_is a SUBMIT_FAILED || state_is a DRAFT
	same "$(requests 1)" "$(cat "$M/a/requests.jsonl")"
	start_emulator
	make_foreign_job foreign
	eventually test -d "$M/foreign"
	echo submit >"$M/a/ctl"
	succeeded a
}

@test "an API that answers HTML: not mounted as if all were well" {
	fault 'match=*&kind=html&status=200&count=0'
	run timeout "$PATIENCE" "$BATCHFS" "$M"
	[ -n "$output" ]
	contains "$output" API
	lacks "$output" '<html'
}

# ---- the mountpoint --------------------------------------------------------------------

@test "a mountpoint that is missing" {
	refuses "$BATS_TEST_TMPDIR/missing" -- "$BATS_TEST_TMPDIR/missing"
}

@test "a mountpoint that is a file" {
	echo x >"$HOME/file"
	refuses "$HOME/file" -- "$HOME/file"
}

@test "a mountpoint that is not empty" {
	echo x >"$M/precious"
	refuses "$M" empty -- "$M"
	rm "$M/precious"
}

@test "a mountpoint that bears a mount already" {
	mount_jobs
	run -1 timeout "$PATIENCE" "$BATCHFS" -o state_dir="$HOME/s2" "$M"
	contains "$output" "$M"
	ls "$M"
}

# What the kernel remembers of the root would do for a stat.
@test "a mount that has died this moment is a dead mount, too" {
	mount_jobs
	ls "$M"
	stat "$M" >/dev/null
	kill -KILL "$FS_PID"
	wait "$FS_PID" || true
	run -1 timeout "$PATIENCE" "$BATCHFS" "$M"
	contains "$output" "dead mount"
	contains "$output" "fusermount3 -u"
	fusermount3 -uz "$M"
}

@test "a dead mount: says how to get rid of it" {
	mount_jobs
	kill -KILL "$FS_PID"
	wait "$FS_PID" || true
	eventually sh -c '! ls "$1"' - "$M"
	refuses "$M" "fusermount3 -u" -- "$M" || true
	run -1 timeout "$PATIENCE" "$BATCHFS" "$M"
	contains "$output" "fusermount3 -u"
	fusermount3 -uz "$M"
	mount_jobs
}

# ---- the state directory ----------------------------------------------------------------

@test "state and cache are where they belong, and for our eyes only" {
	mount_jobs
	local host=127.0.0.1:$EMU_PORT
	[ -d "$XDG_STATE_HOME/batchfs/default@$host" ]
	[ -d "$XDG_CACHE_HOME/batchfs/default@$host" ]
	same 700 "$(stat -c %a "$XDG_STATE_HOME/batchfs/default@$host")"
	same 700 "$(stat -c %a "$XDG_CACHE_HOME/batchfs/default@$host")"
}

@test "without XDG variables they are in ~/.local/state and ~/.cache" {
	unset XDG_STATE_HOME XDG_CACHE_HOME
	mount_jobs
	[ -d "$HOME/.local/state/batchfs/default@127.0.0.1:$EMU_PORT" ]
	[ -d "$HOME/.cache/batchfs/default@127.0.0.1:$EMU_PORT" ]
}

@test "state_dir and cache_dir are made, with what leads to them" {
	mount_jobs -o "state_dir=$HOME/a/b/state,cache_dir=$HOME/a/b/cache"
	submit_job j
	succeeded j
	[ -n "$(ls -A "$HOME/a/b/state")" ]
	[ ! -e "$XDG_STATE_HOME/batchfs" ]
}

@test "one process per state_dir: host, pid and mountpoint of the other are told" {
	mount_jobs
	mkdir "$HOME/other"
	local first=$M
	M=$HOME/other
	refuses "$(uname -n)" "$FS_PID" "$first" -- "$M"
	ls "$first"
}

@test "a state_dir that cannot be written" {
	mkdir "$HOME/s"
	if as_root; then
		need_other_uid
		chown 12345 "$HOME/s"
	else
		chmod 500 "$HOME/s"
	fi
	refuses "$HOME/s" -- -o state_dir="$HOME/s" "$M"
}

@test "a state_dir or cache_dir that others can write, read or only enter" {
	local option mode
	for option in state_dir cache_dir; do
		for mode in 777 755 710 701; do
			echo "$option $mode"
			mkdir "$HOME/$option.$mode"
			chmod "$mode" "$HOME/$option.$mode"
			refuses "$HOME/$option.$mode" "chmod 700" -- -o "$option=$HOME/$option.$mode" "$M"
			same "" "$(ls -A "$HOME/$option.$mode")"
		done
	done
}

@test "a state_dir or cache_dir of somebody else" {
	as_root || skip "needs root, to give one away"
	local option
	for option in state_dir cache_dir; do
		mkdir -m 700 "$HOME/$option"
		chown 12345 "$HOME/$option"
		refuses "$HOME/$option" -- -o "$option=$HOME/$option" "$M"
	done
}

@test "a state_dir that is a file" {
	echo x >"$HOME/s"
	refuses "$HOME/s" -- -o state_dir="$HOME/s" "$M"
}

@test "a state_dir of a newer version is refused by name, and left alone" {
	mount_jobs -o state_dir="$HOME/s"
	unmount_jobs
	local file
	file=$(find "$HOME/s" -maxdepth 1 -type f \( -iname '*version*' -o -iname '*format*' \))
	[ -n "$file" ]
	sed -i 's/[0-9]\+/999/' "$file"
	refuses "$HOME/s" 999 -- -o state_dir="$HOME/s" "$M"
	contains "$(cat "$file")" 999
}

# ---- side by side --------------------------------------------------------------------

@test "several mounts with a state_dir each, of the same project" {
	local a=$HOME/a b=$HOME/b
	MNT=$a mount_jobs -o state_dir="$HOME/sa",cache_dir="$HOME/ca"
	MNT=$b mount_jobs -o state_dir="$HOME/sb",cache_dir="$HOME/cb"
	MNT=$a submit_job j
	eventually test -d "$b/j"
	same "$(cat "$a/j/id")" "$(cat "$b/j/id")"
	MNT=$a succeeded j
	MNT=$b succeeded j
	cmp "$a/j/results.jsonl" "$b/j/results.jsonl"
	rmdir "$b/j"
	# What was sent from a's state_dir never leaves a's tree but by rmdir.
	eventually sh -c '! test -d "$1"' - "$b/j"
	[ -d "$a/j" ]
}

@test "accounts with a key each do not see each other's jobs" {
	stop_emulator
	start_emulator --key one=p1 --key two=p2
	local a=$HOME/a b=$HOME/b
	GEMINI_API_KEY=one MNT=$a mount_jobs -o account=one
	GEMINI_API_KEY=two MNT=$b mount_jobs -o account=two
	MNT=$a submit_job j
	MNT=$b submit_job k
	same j "$(ls "$a")"
	same k "$(ls "$b")"
}

@test "model= and BATCHFS_MODEL" {
	BATCHFS_MODEL=gemini-4-carbon mount_jobs
	draft a
	same gemini-4-carbon "$(cat "$M/a/model")"
	unmount_jobs
	BATCHFS_MODEL=gemini-4-carbon mount_jobs -o model=gemini-3.5-flash-lite
	draft b
	same gemini-3.5-flash-lite "$(cat "$M/b/model")"
	same gemini-4-carbon "$(cat "$M/a/model")"
}

@test "webhook= goes out with each new job" {
	mount_jobs -o webhook=https://example.org/hook
	submit_job a
	succeeded a
}

@test "uid, gid and umask" {
	mount_jobs -o uid=12,gid=34,umask=027
	mkdir "$M/a" 2>/dev/null || skip "as an ordinary user one cannot give files away"
	same "12 34 750" "$(stat -c '%u %g %a' "$M/a")"
	same "12 34 640" "$(stat -c '%u %g %a' "$M/a/model")"
	same "12 34 440" "$(stat -c '%u %g %a' "$M/a/state")"
}

@test "by default everything is the mounting user's alone" {
	mount_jobs
	draft a
	same "$(id -u) $(id -g) 700" "$(stat -c '%u %g %a' "$M/a")"
	same "$(id -u) $(id -g) 600" "$(stat -c '%u %g %a' "$M/a/model")"
	same "$(id -u) $(id -g) 400" "$(stat -c '%u %g %a' "$M/a/state")"
	same "$(id -u) $(id -g) 700" "$(stat -c '%u %g %a' "$M")"
}

@test "somebody else cannot look into the mount, but with allow_other and a umask" {
	need_other_uid
	mount_jobs
	draft a
	run ! as_other ls "$M"
	unmount_jobs
	mount_jobs -o allow_other
	run ! as_other ls "$M/a"
	unmount_jobs
	mount_jobs -o allow_other,umask=022
	same DRAFT "$(as_other cat "$M/a/state")"
	run ! as_other mkdir "$M/b"
	run ! as_other sh -c 'echo submit >"$1"' - "$M/a/ctl"
}

# ---- ro, fstab -------------------------------------------------------------------------

@test "ro: jobs can be read, and nothing can be made, written or removed" {
	mount_jobs
	submit_job a
	succeeded a
	draft d
	unmount_jobs
	mount_jobs -o ro
	same 3 "$(grep -c . "$M/a/results.jsonl")"
	same EROFS "$(errno_of 'os.mkdir(a[0])' "$M/x")"
	same EROFS "$(errno_of 'os.rmdir(a[0])' "$M/a")"
	same EROFS "$(errno_of_write "$M/d/requests.jsonl" x)"
	same EROFS "$(errno_of_ctl d submit)"
	same 1 "$(calls create)"
	same 1 "$(jobs_at_api)"
}

@test "mount(8)'s own words are passed over" {
	mount_jobs -o noauto,user,nofail,_netdev,x-systemd.automount,x-gvfs-hide,noatime,nosuid,nodev
	draft a
}

@test "mount -t fuse.batchfs" {
	as_root || skip "mount(8) is root's"
	requests 2 >"$HOME/r"
	# As if installed: mount(8) has a PATH of its own.
	unshare_mounts sh -ec '
		mount -t tmpfs none /usr/local/bin
		ln -s "$1" /usr/local/bin/batchfs
		mount -t fuse.batchfs -o "noauto,_netdev,state_dir=$HOME/s,cache_dir=$HOME/c" "$2" "$3"
		grep " $3 fuse.batchfs " /proc/mounts
		mkdir "$3/a"
		cp "$HOME/r" "$3/a/requests.jsonl"
		umount "$3"' - "$(realpath "$BATCHFS")" "$EMU_URL" "$M" 3>&-
	same 1 "$(calls create)"
}

@test "api=v1 and GOOGLE_GENAI_API_VERSION: the version of every path" {
	local log=$BATS_TEST_TMPDIR/requests.log
	restart_emulator --log "$log"
	mount_jobs -o api=v1
	submit_job a
	succeeded a
	grep -q . "$MNT/a/results.jsonl"
	local op
	for op in models list upload_start create download; do
		grep "op=$op " "$log" | grep -q /v1/
	done
	# The session's address is the API's own.
	run ! sh -c 'grep /v1beta/ "$1" | grep -v upload_id=' - "$log"
	unmount_jobs
	: >"$log"
	GOOGLE_GENAI_API_VERSION=v1 mount_jobs
	unmount_jobs
	run ! grep /v1beta/ "$log"
	GOOGLE_GENAI_API_VERSION=v1 mount_jobs -o api=v1beta
	unmount_jobs
	GOOGLE_GENAI_API_VERSION=beta mount_jobs
	unmount_jobs
	GOOGLE_GENAI_API_VERSION=v9 mount_jobs
	contains "$(cat "$FS_LOG")" "GOOGLE_GENAI_API_VERSION=v9 is not a version"
	same 3 "$(grep -c 'GET /v1beta/models' "$log")"
}

@test "with few descriptors jobs rest, results are saved, and the mount ends well" {
	ulimit -n 64
	mount_jobs
	for i in $(seq 60); do
		mkdir "$MNT/d$i"
		requests 1 >"$MNT/d$i/notes"
	done
	submit_job a
	succeeded a
	eventually results_saved a
	unmount_jobs
	mount_jobs
	[ -s "$MNT/d60/notes" ]
	[ -s "$MNT/a/results.jsonl" ]
	# What has no descriptor is not mounted without what it could not read.
	unmount_jobs
	run -1 bash -c 'ulimit -n 14; exec timeout 60 "$0" -f "$1"' "$BATCHFS" "$MNT"
	run ! compgen -G "$XDG_STATE_HOME/batchfs/*/aside"
}
