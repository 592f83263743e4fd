#!/usr/bin/env bats
# Places where something is missing that a mount needs: it is named, with what to do.

load ../helpers/mount

setup() {
	as_root || skip "places are made by root"
	start_emulator
	need_other_uid
	M=$HOME/jobs
	mkdir "$M"
	chmod 755 "$HOME"
	chown -R "$OTHER_UID" "$HOME"
	cp "$BATCHFS" "$HOME/batchfs" # where others can run it
}
teardown() { stop_all; }

# place WHO SCRIPT [COMMAND...]: what batchfs says, started by WHO (root, other) by COMMAND
# in a place that SCRIPT makes, with $1, a path for its use; it ends with status 1 and one
# line, beside those of fusermount3.
place() {
	local as=
	[ "$1" = root ] || as="setpriv --reuid $OTHER_UID --regid $OTHER_UID --clear-groups"
	# shellcheck disable=SC2086 # as is a list
	run -1 unshare_mounts sh -c "$2"'
		shift
		exec "$@"' - "$BATS_TEST_TMPDIR/place" "${@:3}" $as timeout "$PATIENCE" "$HOME/batchfs" -o "state_dir=$HOME/s-$1,cache_dir=$HOME/c-$1" "$M" 3>&-
	same 1 "$(grep -cv '^fusermount3\|^batchfs: fuse\|^fuse:' <<<"$output")"
}

@test "no /dev/fuse, one of root's alone, and one that a container forbids" {
	local none='mount -t tmpfs none /dev; mknod -m 666 /dev/null c 1 3; mknod -m 666 /dev/urandom c 1 9'
	place root "$none"
	contains "$output" "there is no /dev/fuse. A container must be given it: docker run --device /dev/fuse --cap-add SYS_ADMIN"
	contains "$output" "batchfs run NAME FILE"
	place other "$none; mknod -m 600 /dev/fuse c 10 229"
	contains "$output" "chmod a+rw /dev/fuse"
	place root "$none; mknod -m 666 /dev/fuse c 10 229; mount -o remount,nodev,bind /dev"
	contains "$output" "/dev/fuse cannot be opened (Permission denied). A container must be given it"
}

@test "fusermount3 that is missing or cannot mount, root without the right to" {
	place other 'mkdir "$1" && cp /usr/bin/setpriv /usr/bin/timeout "$1" && mount --bind "$1" /usr/bin'
	contains "$output" "apt install fuse3"
	place other 'cp /usr/bin/fusermount3 "$1.plain" && mount --bind "$1.plain" /usr/bin/fusermount3'
	contains "$output" "fusermount3 is not setuid root"
	place other 'mount --bind /usr /usr && mount -o remount,nosuid,bind /usr'
	contains "$output" nosuid
	place other '' setpriv --no-new-privs
	contains "$output" NoNewPrivileges
	place root '' setpriv --bounding-set -sys_admin --inh-caps -sys_admin
	contains "$output" "CAP_SYS_ADMIN is missing"
	contains "$output" "--cap-add SYS_ADMIN"
}

@test "no key: the file for it is named, and the tour only where it is" {
	unset GEMINI_API_KEY
	place root 'cd /'
	contains "$output" "write it to $XDG_CONFIG_HOME/batchfs/default.key (mode 600)"
	lacks "$output" quickstart
}

@test "no /proc: a close does not submit, and error says why" {
	! grep -qaE '__(asan|tsan)_init' "$BATCHFS" || skip "sanitizers need one, too"
	requests 2 >"$HOME/r"
	unshare_mounts sh -ec '
		mount -t tmpfs none /proc
		"$1" -o "poll=1,state_dir=$HOME/s,cache_dir=$HOME/c" "$2"
		mkdir "$2/a"
		cp "$HOME/r" "$2/a/requests.jsonl"
		cat "$2/a/state" "$2/a/error"
		echo submit >"$2/a/ctl"
		cat "$2/a/wait"
		umount "$2"' - "$HOME/batchfs" "$M" >"$HOME/said" 2>&1 3>&-
	cat "$HOME/said"
	same 1 "$(grep -c "as with submit=ctl no close" "$HOME/said")"
	grep -qx DRAFT "$HOME/said"
	grep -q "not submitted: /proc does not show" "$HOME/said"
	grep -q "echo submit > ctl" "$HOME/said"
	grep -qx JOB_STATE_SUCCEEDED "$HOME/said"
	same 1 "$(calls create)"
}

@test "no CA bundle: says what to install" {
	unshare_mounts sh -ec '
		mount -t tmpfs none /etc/ssl
		"$1" -o "state_dir=$HOME/s,cache_dir=$HOME/c" "$3" "$2"
		umount "$2"' - "$HOME/batchfs" "$M" "https://localhost:$EMU_PORT" >"$HOME/said" 2>&1 3>&-
	cat "$HOME/said"
	grep -q "apt install ca-certificates" "$HOME/said"
}
