#!/usr/bin/env bats
# Mounting as others are mounted: fstab, mount(8), mount.fuse3(8), a service manager.

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
	local body=$2 root=$BATS_TEST_DIRNAME/../..
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
	SOURCE=none with_fstab defaults,nofail,_netdev,state_dir="$HOME/s",cache_dir="$HOME/c",api_key_file="$HOME/key" '
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
