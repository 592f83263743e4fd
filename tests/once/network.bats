#!/usr/bin/env bats
# A network that is not there yet, half there, or goes away: what was taken on is bought
# once, no byte is lost, and the state says so meanwhile.

load ../helpers/mount
load ../helpers/leak
load ../helpers/tls

setup() {
	sandbox
	export GEMINI_API_KEY=test-key
	export BATCHFS_TEST_OWN_SECONDS=0.5 BATCHFS_TEST_SETTLE_SECONDS=10
}
teardown() {
	[ -z "${NET:-}" ] || in_net umount -l -a -t fuse.batchfs || true
	stop_all_and_helpers
}

# A network and mounts of its own; $NET is a process in it.
new_net() {
	as_root || skip "needs root, to have a network of its own"
	need ip
	unshare -n -m true 2>/dev/null || skip "no network namespaces here"
	unshare -n -m sh -c 'umount -l -a -t fuse.batchfs 2>/dev/null; exec sleep 600' 3>&- &
	NET=$!
	PIDS="${PIDS:-} $NET"
	eventually sh -c '[ "$(readlink /proc/$1/ns/net)" != "$(readlink /proc/self/ns/net)" ]' - $NET
	eventually in_net ip link set lo up
}
in_net() { nsenter -t "$NET" -n -m -- "$@"; }
emu() { # METHOD PATH [curl argument...]
	local method=$1 path=$2
	shift 2
	${NET:+in_net} curl -sS --fail-with-body -X "$method" "$EMU_URL$path" "$@"
}

# fd00::1 takes every packet and answers none.
black_hole() {
	in_net ip link add v0 type veth peer name v1 2>/dev/null || return 0
	in_net ip link set v0 up
	in_net ip link set v1 up
	in_net ip -6 addr add fd00::2/64 dev v0 nodad
	in_net ip -6 neigh add fd00::1 lladdr 02:00:00:00:00:01 dev v0
}

has_id() { test -s "$MNT/$1/id"; }

@test "a name that resolves later, to a dead IPv6 address too; the interface goes down and comes back" {
	need openssl
	new_net
	black_hole
	C=$BATS_TEST_TMPDIR/certs
	mkdir "$C"
	make_ca ca
	make_cert good DNS:api.test,IP:127.0.0.1
	export SSL_CERT_FILE=$C/ca.pem CURL_CA_BUNDLE=$C/ca.pem
	start_tls good nsenter -t "$NET" -n -m --
	echo 127.0.0.1 localhost >"$C/hosts"
	: >"$C/resolv"
	in_net mount --bind "$C/hosts" /etc/hosts
	in_net mount --bind "$C/resolv" /etc/resolv.conf
	mkdir "$HOME/jobs"
	MNT=/proc/$NET/root$HOME/jobs
	FS_LOG=$BATS_TEST_TMPDIR/batchfs.1.log
	nsenter -t "$NET" -n -m -- "$BATCHFS" -f -o ttl=1,poll=1,submit=background \
		"https://api.test:${EMU_URL##*:}" "$HOME/jobs" >"$FS_LOG" 2>&1 3>&- </dev/null &
	PIDS="$PIDS $!"

	eventually test -e "$MNT/.batchfs/status"
	grep -q '^online no' "$MNT/.batchfs/status"
	requests 3 >"$HOME/in"
	mkdir "$MNT/a"
	cp "$HOME/in" "$MNT/a/requests.jsonl"
	state_is a QUEUED
	printf '%s\n' 'fd00::1 api.test' '127.0.0.1 api.test' >>"$C/hosts"
	eventually has_id a

	knob create_delay=0.5
	mkdir "$MNT/b"
	cp "$HOME/in" "$MNT/b/requests.jsonl"
	eventually state_is b SUBMITTING
	in_net ip link set lo down
	cat "$MNT/a/state" "$MNT/b/state"
	sleep "${DOWN:-1}"
	in_net ip link set lo up
	eventually has_id b
	succeeded b
	cmp "$HOME/in" "$MNT/b/requests.jsonl"
	same "a b" "$(api GET '/v1beta/batches' | jq -r '[.operations[].metadata.displayName] | sort | join(" ")')"
}

@test "stopped inside a create for longer than the create may take" {
	export BATCHFS_TEST_DEADLINE_SECONDS=${DEADLINE:-1}
	start_emulator --set create_delay=0.3
	mount_jobs
	mkdir "$MNT/a"
	requests 10 >"$HOME/in"
	cp "$HOME/in" "$MNT/a/requests.jsonl" 3>&- &
	local copy=$!
	becomes 1 calls create
	kill -STOP "$FS_PID"
	sleep "${STOPPED:-2.5}"
	kill -CONT "$FS_PID"
	wait $copy
	bought_once a "$HOME/in"
}

@test "an upload meets silence for longer than it waits, then goes on where it was" {
	export BATCHFS_TEST_DEADLINE_SECONDS=${DEADLINE:-1}
	start_emulator
	mount_jobs
	mkdir "$MNT/a"
	# More than the buffers on the way hold.
	requests 400 "$(head -c 60000 /dev/zero | tr '\0' x)" >"$HOME/in"
	# libcurl's speed is that of its last five seconds.
	fault "match=upload&kind=stall_body&seconds=${HOLE:-8}&at=1000000"
	cp "$HOME/in" "$MNT/a/requests.jsonl" 3>&- &
	local copy=$!
	becomes 1 calls upload
	state_is a UPLOADING
	wait $copy
	bought_once a "$HOME/in"
	same 1 "$(calls upload_start)"
	# It was asked how far it was, and the rest was sent.
	(($(calls upload_query) > 0))
}
