#!/usr/bin/env bats
# Nothing leaked: the key goes to SOURCE's origin in one header and is nowhere else,
# whatever servers, proxies and other programs of the user try.

load ../helpers/mount
load ../helpers/leak

setup() {
	# The helpers' key is of the same project.
	start_emulator --key "$KEY=p" --key test-key=p
	export GEMINI_API_KEY=$KEY
}
teardown() { stop_all_and_helpers; }

# A life with everything that makes texts: refusals that repeat the key, one job that
# ends well, one that failed with the key in its own words and name, inline output.
busy_life() {
	requests 3 >"$HOME/in.jsonl"
	fault "match=create&kind=status&status=400&text=no+good:+$KEY+is+refused"
	mkdir "$MNT/a"
	run ! cp "$HOME/in.jsonl" "$MNT/a/requests.jsonl"
	contains "$(cat "$MNT/a/error")" "is refused"
	echo submit >"$MNT/a/ctl"
	ended a
	emu POST /emu/job -d '{"displayName": "theirs", "state": "RUNNING", "inline": true}' |
		jq -r '.names[0]' >"$BATS_TEST_TMPDIR/theirs"
	emu POST "/emu/job/$(sed 's|batches/||' "$BATS_TEST_TMPDIR/theirs")" \
		-d "{\"state\": \"FAILED\", \"errorCode\": 7, \"errorMessage\": \"$KEY may not do this\"}"
	make_foreign_job "named $KEY" >/dev/null
	eventually test -d "$MNT/theirs"
	eventually grep -q "may not do this" "$MNT/theirs/error"
	eventually sh -c 'ls "$1" | grep -q named' - "$MNT"
	ended "$(ls "$MNT" | grep named)"
	# What can be read, read to the end.
	ls -lR "$MNT" >"$BATS_TEST_TMPDIR/seen.ls"
	(cd "$MNT" && find . .batchfs -type f ! -name wait -exec cat {} +) \
		>"$BATS_TEST_TMPDIR/seen.files"
	[ -s "$BATS_TEST_TMPDIR/seen.files" ]
	rmdir "$MNT/a"
}

# Everywhere: output, logs, the mount as it was seen, state, cache.
nowhere() {
	no_key "$HOME" "$TMPDIR" "$BATS_TEST_TMPDIR"/batchfs.*.log "$BATS_TEST_TMPDIR"/seen.*
	no_upload_url "$BATS_TEST_TMPDIR"/batchfs.*.log "$BATS_TEST_TMPDIR"/seen.*
}

# Sessions are known by what the emulator keeps of them.
no_upload_url() {
	ls "$BATS_TEST_TMPDIR/emulator/uploads" | sed 's/\.json$//' >"$BATS_TEST_TMPDIR/sessions"
	[ -s "$BATS_TEST_TMPDIR/sessions" ]
	run ! grep -raqF -f "$BATS_TEST_TMPDIR/sessions" "$@"
}

# What ps and its like show of a process: arguments, environment.
not_in_proc() { # PID
	tr '\0' '\n' <"/proc/$1/cmdline" >"$BATS_TEST_TMPDIR/seen.cmdline"
	tr '\0' '\n' <"/proc/$1/environ" >"$BATS_TEST_TMPDIR/seen.environ"
	grep -q ^PATH= "$BATS_TEST_TMPDIR/seen.environ"
	no_key "$BATS_TEST_TMPDIR"/seen.cmdline "$BATS_TEST_TMPDIR/seen.environ"
}

@test "in the foreground" {
	export GOOGLE_API_KEY=$KEY
	mount_jobs
	not_in_proc "$FS_PID"
	busy_life
	nowhere
	unmount_jobs
	nowhere
}

@test "with -d" {
	mount_jobs -d
	not_in_proc "$FS_PID"
	busy_life
	unmount_jobs
	grep -q create "$FS_LOG" || grep -q batchGenerateContent "$FS_LOG"
	nowhere
}

@test "in the background, with a system log" {
	as_root || skip "needs root, for a /dev of its own"
	local log=$BATS_TEST_TMPDIR/seen.syslog
	cat >"$BATS_TEST_TMPDIR/syslog.py" <<-'X'
		import socket, sys
		s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
		s.bind("/dev/log")
		with open(sys.argv[1], "ab", buffering=0) as f:
		    f.write(b"ready\n")
		    while True:
		        f.write(s.recv(65536) + b"\n")
	X
	requests 3 >"$HOME/in.jsonl"
	fault "match=create&kind=status&status=400&text=no+good:+$KEY"
	fault 'match=upload&kind=drop_after'
	mkdir "$HOME/dev" "$HOME/jobs"
	unshare_mounts timeout 60 bash -ec '
		for i in null zero random urandom fuse; do
			: >"$HOME/dev/$i"
			mount --bind "/dev/$i" "$HOME/dev/$i"
		done
		mount --rbind "$HOME/dev" /dev
		python3 "${2%/*}/syslog.py" "$2" &
		logger=$!
		until grep -q ready "$2"; do sleep 0.05; done
		"$1" -o ttl=1,poll=1 "$HOME/jobs"
		pid=$(pgrep -f "^$1 .*$HOME/jobs")
		cat "/proc/$pid/cmdline" "/proc/$pid/environ" >"${2%/*}/seen.proc"
		cd "$HOME/jobs"
		mkdir a
		! cp "$HOME/in.jsonl" a/requests.jsonl
		echo submit >a/ctl
		cat a/wait a/results.jsonl .batchfs/* >"${2%/*}/seen.files"
		cd /
		fusermount3 -u "$HOME/jobs"
		while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
		kill $logger' - "$BATCHFS" "$log" 3>&-
	# It has said something, and of the refusal too.
	grep -q batchfs "$log"
	grep -qi 'refused' "$log"
	nowhere
}

@test "children: fusermount3 gets neither key, nor what makes libraries write or load" {
	as_root || skip "needs root, to put something in the place of fusermount3"
	local real
	real=$(command -v fusermount3)
	cat >"$HOME/fusermount3" <<-X
		#!/bin/sh
		tr '\\0' '\\n' </proc/self/environ >>"$HOME/environ"
		echo "\$@" >>"$HOME/arguments"
		exit 1
	X
	chmod +x "$HOME/fusermount3"
	mkdir "$HOME/jobs"
	export GOOGLE_API_KEY=$KEY
	local name names="SSLKEYLOGFILE QLOGDIR KRB5_TRACE OPENSSL_CONF OPENSSL_MODULES
		OPENSSL_ENGINES GCONV_PATH LOCPATH NLSPATH MALLOC_TRACE MAGIC LD_PRELOAD
		LD_LIBRARY_PATH LD_AUDIT LD_BIND_NOW LD_DEBUG_OUTPUT"
	for name in $names; do
		export "$name="
	done
	# auto_unmount makes libfuse start it, also for root.
	run ! unshare_mounts timeout "$PATIENCE" sh -ec '
		mount --bind "$1" "$2"
		"$3" -f -o auto_unmount "$4"' - "$HOME/fusermount3" "$real" "$BATCHFS" "$HOME/jobs"
	[ -s "$HOME/arguments" ]
	grep -q ^PATH= "$HOME/environ"
	printf '%s\n' "$output" >"$HOME/output"
	no_key "$HOME"
	run ! grep -E '^(GOOGLE|GEMINI)_API_KEY=' "$HOME/environ"
	for name in $names; do
		run ! grep "^$name=" "$HOME/environ"
	done
}

@test "other programs of the same user can read neither memory nor environment" {
	need_other_uid
	local base=$BATS_TEST_TMPDIR/other
	mkdir -m 755 "$base"
	chown "$OTHER_UID" "$base"
	# A process of that user can be looked into by that user: so the test can fail.
	local other="setpriv --reuid $OTHER_UID --regid $OTHER_UID --clear-groups"
	$other sleep 60 3>&- &
	local witness=$! pid mnt
	mnt=$(as_other mktemp -d "$base/mnt.XXXX")
	eventually as_other cat "/proc/$witness/environ"
	ulimit -S -c "$(ulimit -H -c)" # or there would be none anyway
	HOME=$base XDG_STATE_HOME=$base/s XDG_CACHE_HOME=$base/c \
		$other "$BATCHFS" -f "$mnt" >"$base/log" 2>&1 3>&- </dev/null &
	pid=$!
	export FS_PIDS=" $pid"
	eventually grep -q "$mnt" /proc/mounts
	run ! as_other cat "/proc/$pid/environ"
	run ! as_other dd if="/proc/$pid/mem" of=/dev/null bs=1 count=1
	run ! as_other cat "/proc/$pid/maps"
	same 0 "$(awk '/Max core file size/ { print $5 }' "/proc/$pid/limits")"
	kill $witness
}

@test "a key that is refused at start is in no message" {
	mkdir "$HOME/jobs"
	emu POST "/emu/fault?match=models&kind=status&status=400&count=0" -G \
		--data-urlencode "text={\"error\": {\"code\": 400, \"status\": \"INVALID_ARGUMENT\", \"message\": \"API key not valid: $KEY\", \"details\": [{\"@type\": \"type.googleapis.com/google.rpc.ErrorInfo\", \"reason\": \"API_KEY_INVALID\"}]}}"
	run -1 timeout "$PATIENCE" "$BATCHFS" "$HOME/jobs"
	contains "$output" "API key not valid"
	printf '%s\n' "$output" >"$HOME/output"
	no_key "$HOME"
}

@test "refused keys say what to do, at start and in error; the key is in none of it" {
	local how n=0
	local -A advice=([expired]="make a new one" [leaked]="found in public"
		[token_type]="not about OAuth" [blocked]="restrictions" [suspended]="suspended"
		[overloaded]="second credential")
	mkdir "$HOME/jobs"
	stop_emulator
	start_emulator --set "bad_key=$KEY"
	export GEMINI_API_KEY=$KEY
	for how in "${!advice[@]}"; do
		knob "key_refusal=$how"
		run -1 timeout "$PATIENCE" "$BATCHFS" -f "$HOME/jobs"
		contains "$output" "refused the key"
		contains "$output" "${advice[$how]}"
		printf '%s\n' "$output" >>"$HOME/output"
	done
	knob bad_key=none
	mount_jobs
	knob "bad_key=$KEY" key_refusal=suspended
	mkdir "$MNT/a"
	same EACCES "$(errno_of_write "$MNT/a/requests.jsonl" "$(requests 1)")"
	cat "$MNT/a/error" >"$HOME/error"
	grep -q 'project that the key belongs to is suspended' "$HOME/error"
	grep -qF "Consumer 'api_key:***" "$HOME/error"
	no_key "$HOME" "$FS_LOG"
}

# ---- where requests go ------------------------------------------------------------------

@test "redirects on every endpoint: another origin sees no key and no deed" {
	start_witness
	mount_jobs -o fetch=read
	make_foreign_file_job other 2 >/dev/null
	submit_job a
	succeeded a
	eventually test -d "$MNT/other"
	ended other
	remount_jobs -o fetch=read # which knows no models yet
	local op statuses=(301 302 303 307 308) n=0
	for op in models list get download file_get create upload_start upload upload_query cancel delete file_delete; do
		fault "match=$op&kind=redirect&count=1&status=${statuses[n++ % 5]}&location=$WITNESS/seen/$op/1"
		fault "match=$op&kind=redirect&count=1&status=${statuses[n++ % 5]}&location=$WITNESS/seen/$op/2"
		fault "match=$op&kind=redirect&count=0&status=307&location=$WITNESS/seen/$op/3"
	done
	for _ in 1 2; do
		timeout 20 cat "$MNT/.batchfs/models" "$MNT/other/results.jsonl" "$MNT/a/results.jsonl" || true
		timeout 20 ls "$MNT" || true
	done
	mkdir "$MNT/b"
	requests 1 >"$HOME/r"
	run ! timeout 100 cp "$HOME/r" "$MNT/b/requests.jsonl"
	run timeout 30 rmdir "$MNT/other"
	sleep 1.2
	run timeout 20 cat "$MNT/a/state"
	witness_saw_no_key
	run ! grep -vE '^GET ' "$WITNESS_LOG"
	grep -q /seen/list/ "$WITNESS_LOG"
	grep -q /seen/models/ "$WITNESS_LOG"
	grep -q /seen/download/ "$WITNESS_LOG"
	no_more_faults
	echo submit >"$MNT/b/ctl"
	succeeded b
	no_key "$HOME" "$FS_LOG"
}

@test "Location in other clothes: user names, schemes, hosts without a scheme" {
	start_witness
	local host=${WITNESS#http://} location n=0
	export BATCHFS_TEST_BACKOFF_SECONDS=0.05 BATCHFS_TEST_OWN_SECONDS=0.1
	mount_jobs -o ttl=0
	for location in "http://127.0.0.1:$EMU_PORT@$host/x" "//$host/x" "http:\\\\$host/x" \
		"HTTP://$host/x" "ftp://$host/x" "file:///etc/passwd" "gopher://$host/x" \
		"http://127.0.0.1:$EMU_PORT#@$host/" "http://192.0.2.1/" "%0d%0ax-goog-api-key:"; do
		emu POST "/emu/fault?match=list&kind=redirect" -G --data-urlencode "location=$location"
		n=$(calls list)
		eventually eval "ls $MNT && [ \$(calls list) -gt $n ]"
	done
	grep -q ' /x ' "$WITNESS_LOG"
	witness_saw_no_key
	run ! grep -q root: "$FS_LOG"
	make_foreign_job after >/dev/null
	eventually test -d "$MNT/after"
}

@test "an upload URL elsewhere: its host is not asked, the bytes go home" {
	start_witness
	knob "public_host=$WITNESS"
	mount_jobs
	submit_job a
	succeeded a
	same "" "$(cat "$WITNESS_LOG")"
	same 1 "$(jobs_at_api)"
}

@test "an upload URL that is none, or very long" {
	local url
	mount_jobs
	requests 1 >"$HOME/r"
	mkdir "$MNT/a"
	cp "$HOME/r" "$MNT/a/requests.jsonl"
	for url in "$(printf 'http://x/%01200d' 0)" "nonsense" "file:///etc/passwd" "http://127.0.0.1:1/a b"; do
		emu POST "/emu/fault?match=upload_start&kind=header" -G --data-urlencode "text=X-Goog-Upload-URL: $url"
	done
	mkdir "$MNT/b"
	run timeout 60 cp "$HOME/r" "$MNT/b/requests.jsonl"
	no_more_faults
	[ "$status" = 0 ] || echo submit >"$MNT/b/ctl"
	succeeded b
}

@test "http_proxy and friends get nothing of a loopback SOURCE" {
	need python3
	start_listener
	export http_proxy=http://127.0.0.1:$LISTENER
	export HTTP_PROXY=$http_proxy ALL_PROXY=$http_proxy all_proxy=$http_proxy
	mount_jobs
	unset http_proxy HTTP_PROXY ALL_PROXY all_proxy
	submit_job a
	succeeded a
	same "" "$(cat "$HEARD")"
}

@test "https_proxy gets a CONNECT without the key" {
	need python3
	local answer
	for answer in 'HTTP/1.1 200 OK\r\n\r\n' 'HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic realm=x\r\n\r\n' \
		'HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n' 'SSH-2.0-x\r\n\r\n'; do
		start_listener "$answer"
		export https_proxy=http://127.0.0.1:$LISTENER
		MNT=$HOME/jobs.$LISTENER
		mount_jobs https://generativelanguage.example
		unset https_proxy
		eventually grep -q '^CONNECT generativelanguage.example:443 ' "$HEARD"
		eventually grep -qF 'cannot be used' "$FS_LOG"
		no_key "$HEARD" "$FS_LOG" "$HOME"
		run ! grep -qi x-goog "$HEARD"
		unmount_jobs
	done
}

@test "a proxy's password is in no log, no error, no journal, whatever stands in it" {
	need python3
	start_listener 'HTTP/1.1 302 Found\r\nLocation: http://login.example/alice\r\n\r\n'
	local at=127.0.0.1:$LISTENER value n=0
	mkdir "$HOME/jobs"
	for value in "http://alice:s3cr3t@$at" "http://alice:s3cr3t#hunter2@$at"; do
		export https_proxy=$value MNT=$HOME/jobs.$((++n))
		mount_jobs -d https://generativelanguage.example
		unset https_proxy
		mkdir "$MNT/a$n"
		same EHOSTUNREACH "$(errno_of_write "$MNT/a$n/requests.jsonl" "$(requests 1)")"
		cp "$MNT/a$n/error" "$BATS_TEST_TMPDIR/seen.error"
		grep -q proxy "$BATS_TEST_TMPDIR/seen.error"
		cat "$MNT/.batchfs/status" >"$BATS_TEST_TMPDIR/seen.status"
		unmount_jobs
		run ! grep -raE 's3cr3t|hunter2|alice' "$HOME" "$FS_LOG" "$BATS_TEST_TMPDIR"/seen.*
	done
	# Nor that of a SOURCE, not even as the name of a directory.
	for value in "https://alice:s3cr3t@x.example" "https://alice:s3cr3t#@x.example" \
		"ftp://alice:s3cr3t@x.example" "https://alice:s3cr3t/@x.example" "alice:s3cr3t@x"; do
		run -1 timeout "$PATIENCE" "$BATCHFS" -f "$value" "$HOME/jobs"
		contains "$output" "without a user"
		lacks "$output" s3cr3t
	done
	same "" "$(find "$HOME" -name '*s3cr3t*' -o -name '*alice*')"
}

@test "plain http to whatever is no loopback address is refused at start" {
	mkdir "$HOME/jobs"
	local host
	for host in 192.0.2.1 example.com localhost.example.com 127.0.0.1.example.com 0.0.0.0 \
		'[::]' '[::ffff:192.0.2.1]' 128.0.0.1 '[fe80::1]' 127.0.0.1:80@192.0.2.1 \
		user@127.0.0.1 ''; do
		echo "$host"
		run -1 timeout "$PATIENCE" "$BATCHFS" -f "http://$host/" "$HOME/jobs"
		[ -n "$output" ]
		run ! mountpoint -q "$HOME/jobs"
	done
}

@test "what looks like loopback and is: 127.1, ::1, localhost, LOCALHOST" {
	local host
	for host in 127.1 localhost LOCALHOST 127.0.0.1; do
		MNT=$HOME/jobs.$host
		mount_jobs "http://$host:$EMU_PORT"
		grep -q '^online yes' "$MNT/.batchfs/status"
		unmount_jobs
	done
}

# ---- key files ----------------------------------------------------------------------------

@test "key files that will not do" {
	mkdir "$HOME/jobs"
	unset GEMINI_API_KEY
	umask 077
	cd "$HOME"
	: >empty
	printf '%s\n%s\n' "$KEY" "$KEY" >two-lines
	printf '%s x\n' "$KEY" >blank-inside
	printf '%s\0x\n' "$KEY" >nul-inside
	printf '%s\x01\n' "$KEY" >control
	head -c 10000 /dev/zero | tr '\0' k >too-large
	mkfifo fifo
	mkdir directory
	printf '\xef\xbb\xbf%s\n' "$KEY" >bom
	printf '%s\n' "$KEY" | iconv -t UTF-16 >utf16
	echo "$KEY" >group
	chmod 640 group
	echo "$KEY" >others
	chmod 604 others
	local list="bom utf16 empty two-lines blank-inside nul-inside control too-large fifo directory group others missing"
	if as_root; then
		echo "$KEY" >somebody-else
		chown 12345 somebody-else
		list+=" somebody-else"
	fi
	local file
	for file in $list; do
		echo "$file"
		run -1 timeout "$PATIENCE" "$BATCHFS" -f -o api_key_file="$HOME/$file" "$HOME/jobs"
		contains "$output" "$HOME/$file"
		lacks "$output" "${KEY:0:20}"
		[ "$file" != bom ] || contains "$output" BOM
		[ "$file" != utf16 ] || contains "$output" "iconv -f UTF-16"
		run ! mountpoint -q "$HOME/jobs"
	done
}
