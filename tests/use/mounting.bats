#!/usr/bin/env bats
# Mounting as others are mounted: fstab, mount(8), mount.fuse3(8), a service manager, a file
# of options.

load ../helpers/mount

setup() { start_emulator; M=$BATS_TEST_TMPDIR/jobs; mkdir "$M"; }
teardown() { stop_all; }

# with_fstab OPTIONS COMMAND [ARGUMENT...]: an ordinary user `tester`, whose home is $T, a
# line for $T/jobs in fstab and batchfs installed, in a namespace of mounts. Runs COMMAND in
# sh -e, as root; `as` runs one as the user. The machine's mount(8) has to be setuid.
with_fstab() {
	as_root || skip "namespaces of mounts are root's"
	[ -u "$(command -v mount)" ] || skip "no mount(8) for users here"
	need_other_uid
	T=$HOME/tester
	mkdir -p "$T/jobs" "$T/.config/batchfs"
	echo test-key >"$T/.config/batchfs/default.key"
	chmod 600 "$T/.config/batchfs/default.key"
	chown -R 12345:12345 "$T"
	{ cat /etc/passwd && echo "tester:x:12345:12345::$T:/bin/sh"; } >"$HOME/passwd"
	echo "${SOURCE:-$EMU_URL} $T/jobs ${FSTYPE:-fuse.batchfs} $1 0 0" >"$HOME/fstab"
	local body=$2
	shift 2
	unshare_mounts env -u XDG_CONFIG_HOME -u XDG_STATE_HOME -u XDG_CACHE_HOME -u GEMINI_API_KEY \
		T="$T" sh -ec "
		mount -t tmpfs none /usr/local
		mkdir /usr/local/bin /usr/local/sbin
		ln -s '$(realpath "$BATCHFS")' /usr/local/bin/batchfs
		chmod 755 /usr/local /usr/local/*
		mount --bind '$HOME/passwd' /etc/passwd
		mount --bind '$HOME/fstab' /etc/fstab
		as() { setpriv --reuid 12345 --regid 12345 --clear-groups env HOME='$T' \"\$@\"; }
		cd /
		$body" - "$@" 3>&-
}

@test "fstab, user: mount and umount by an ordinary user, with files in that user's home" {
	with_fstab noauto,user,_netdev,nosymfollow '
		as mount "$T/jobs"
		grep " $T/jobs fuse.batchfs .*user_id=12345" /proc/mounts
		as mkdir "$T/jobs/a"
		as umount "$T/jobs"'
	[ -n "$(find "$T/.local/state/batchfs" -name journal)" ]
}

@test "mount -a, twice" {
	install -m 600 /dev/stdin "$HOME/key" <<<test-key
	SOURCE=none with_fstab "defaults,nofail,_netdev,state_dir=$HOME/s,cache_dir=$HOME/c,api_key_file=$HOME/key" '
		mount -a
		mount -a
		test "$(grep -c " $T/jobs fuse.batchfs " /proc/mounts)" = 1
		umount "$T/jobs"'
}

@test "setuid= and drop_privileges of mount.fuse3(8): root mounts, a user's process serves" {
	with_fstab noauto,setuid=tester,drop_privileges,default_permissions,nosymfollow '
		mount "$T/jobs"
		as mkdir "$T/jobs/a"
		as cat "$T/jobs/a/state"
		umount "$T/jobs"'
	contains "$(find "$T/.local/state/batchfs" -name journal -printf %U)" 12345
	with_fstab noauto,setuid=tester,drop_privileges '! mount "$T/jobs"; umount -l "$T/jobs"'
}

@test "nosymfollow is in effect" {
	as_root || skip "an ordinary user's libfuse may not know it"
	mount_jobs -o nosymfollow
	grep -q " $M .*nosymfollow" /proc/mounts
}

@test "ps shows the arguments as they were given" {
	start_batchfs -o ttl=1,poll=1,umask=077 "$M"
	eventually is_mounted "$M"
	contains "$(tr '\0' ' ' <"/proc/$FS_PID/cmdline")" " -o ttl=1,poll=1,umask=077 "
}

@test "mount.batchfs: -t batchfs, -t fuse.batchfs" {
	local FSTYPE=batchfs
	with_fstab noauto,user '
		helper=$(realpath "$1/packaging/mount.batchfs")
		mount -t overlay -o "lowerdir=/sbin,upperdir=$2/upper,workdir=$2/work" none /sbin
		cp "$helper" /sbin/
		ln -s mount.batchfs /sbin/mount.fuse.batchfs
		as mount "$T/jobs"
		grep " $T/jobs fuse.batchfs " /proc/mounts
		as umount "$T/jobs"
		mount -f -t fuse.batchfs none "$T/jobs"
		mount -t fuse.batchfs -o "setuid=tester" "$GOOGLE_GEMINI_BASE_URL" "$T/jobs"
		umount "$T/jobs"
		words=setuid=tester,drop_privileges,default_permissions,nosymfollow
		echo "$GOOGLE_GEMINI_BASE_URL $T/jobs batchfs $words 0 0" >/etc/fstab
		mount -a 2>"$T/said"
		mount -a 2>>"$T/said"
		cat "$T/said"
		test ! -s "$T/said"
		test "$(grep -c " $T/jobs fuse.batchfs " /proc/mounts)" = 1
		umount "$T/jobs"' "$BATS_TEST_DIRNAME/../.." "$(overlay_dirs)"
}

overlay_dirs() {
	mkdir -p "$BATS_TEST_TMPDIR/overlay/upper" "$BATS_TEST_TMPDIR/overlay/work"
	echo "$BATS_TEST_TMPDIR/overlay"
}

# ---- a service manager ---------------------------------------------------------------

@test "NOTIFY_SOCKET: READY when it can be used, STOPPING at the end, and no command has it" {
	cat >"$HOME/manager.py" <<-'P'
		import socket, sys
		s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
		s.bind(sys.argv[1])
		print("listening", flush=True)
		while True:
		    print(s.recv(4096).decode(), flush=True)
	P
	python3 "$HOME/manager.py" "$HOME/notify" >"$HOME/said" 3>&- &
	local manager=$!
	eventually grep -q listening "$HOME/said"
	NOTIFY_SOCKET=$HOME/notify mount_jobs -o on_end="env >$HOME/environment; true"
	eventually grep -qx "READY=1" "$HOME/said"
	grep -qx "MAINPID=$FS_PID" "$HOME/said"
	submit_job a
	succeeded a
	eventually grep -q HOME= "$HOME/environment"
	run ! grep ^NOTIFY_SOCKET= "$HOME/environment"
	kill -TERM "$FS_PID"
	eventually grep -qx "STOPPING=1" "$HOME/said"
	kill $manager
}

@test "the units are in order, and what they start leaves no dead mount when it is killed" {
	cp "$BATCHFS_BUILD_DIR"/packaging/batchfs*.service "$HOME/"
	sed -i "s,=.*/batchfs -f,=$(realpath "$BATCHFS") -f," "$HOME"/batchfs*.service
	if command -v systemd-analyze >/dev/null; then
		XDG_RUNTIME_DIR=$HOME systemd-analyze --user --man=no verify \
			"$HOME/batchfs.service" "$HOME/batchfs@.service"
	fi
	local after
	after=$(sed -nE "s,^ExecStopPost=-(.*) %h/jobs\$,\1 '$M',p" "$HOME/batchfs.service")
	mount_jobs
	sh -c "$after"
	[ -e "$M/.batchfs" ]
	# At once: the kernel still knows the attributes of what was looked at.
	kill -KILL "$FS_PID"
	wait "$FS_PID" || true
	[ -d "$M" ]
	sh -c "$after"
	is_unmounted
}

is_unmounted() { ! grep -F " $M " /proc/mounts; }

# ---- the file of options ---------------------------------------------------------------

# conf_refused PART LINE...: the line of default.conf is named, with its number.
conf_refused() {
	local part=$1
	shift
	printf '%s\n' "$@" >"$XDG_CONFIG_HOME/batchfs/default.conf"
	run -1 "$BATCHFS" "$M"
	same 1 "${#lines[@]}"
	contains "$output" "/batchfs/default.conf:$#: $part"
}

@test "ACCOUNT.conf: options as after -o, the command line wins, a bad line is named" {
	local conf=$XDG_CONFIG_HOME/batchfs/default.conf
	mkdir -p "$XDG_CONFIG_HOME/batchfs"
	printf '%s\n' '# mine' '' '  model = x' | sed 's/ = /=/' >"$conf"
	printf '%s\n' 'umask=027 ' 'on_end=echo "a, b" # no comment' "state_dir=$HOME/s, t" >>"$conf"
	mount_jobs -o model=gemini-4-carbon
	draft a
	same gemini-4-carbon "$(cat "$M/a/model")"
	same 750 "$(stat -c %a "$M/a")"
	[ -d "$HOME/s, t/jobs" ]
	unmount_jobs
	conf_refused "unknown option modle (did you mean model?)" '# x' modle=x
	conf_refused "poll=abc: not a number" poll=abc
	conf_refused "state_dir=s: must be an absolute path" state_dir=s
	conf_refused "the account chooses this file" account=other
	conf_refused "this is no option" AIzaSyWhatLooksLikeAKey
	lacks "$output" AIza
	echo ttl=2 >"$conf"
	chmod g+w "$conf"
	run -1 "$BATCHFS" "$M"
	contains "$output" "can be written by others"
	# Of another account, nothing of it counts.
	mount_jobs -o account=other
}
