# What the tests of "nothing leaked" share: a key that can be recognised, a second
# server that must not see it, and looking for it everywhere.

# Nothing that a log or a file holds by chance; the second half without the first
# would be a leak as well.
KEY=AIzaSy-sEcReT-kEy-0123456789abcdefghijk

# The same, as it may stand in a file: whole, its halves, escaped, in base64 and hex.
KEY_FORMS=$BATS_TEST_TMPDIR/key-forms
printf '%s\n' "$KEY" "${KEY:0:20}" "${KEY:20}" "$(printf %s "$KEY" | base64 -w0)" \
	"$(printf %s "$KEY" | od -An -tx1 | tr -d ' \n')" >"$KEY_FORMS"

# no_key PATH...: in none of these files, or files below these directories.
no_key() {
	local found
	found=$(grep -rlaF -f "$KEY_FORMS" --exclude=key-forms -- "$@" 2>/dev/null) || true
	[ -z "$found" ] || {
		echo "the key is in: $found"
		return 1
	}
}

# start_witness [argument...]: a second emulator, at $WITNESS, that takes every key and
# writes down who brought one.
start_witness() {
	WITNESS_LOG=$BATS_TEST_TMPDIR/witness.log
	: >"$WITNESS_LOG"
	rm -f "$BATS_TEST_TMPDIR/witness.out" # of an earlier one
	"$EMULATOR" --data "$BATS_TEST_TMPDIR/witness" --log "$WITNESS_LOG" "$@" \
		>"$BATS_TEST_TMPDIR/witness.out" 2>&1 3>&- </dev/null &
	PIDS="${PIDS:-} $!"
	eventually grep -qE 'https?://' "$BATS_TEST_TMPDIR/witness.out"
	WITNESS=$(grep -oEm1 'https?://[^ ]+' "$BATS_TEST_TMPDIR/witness.out")
	export WITNESS
}

# Requests have come to it, and none with a key.
witness_saw_no_key() {
	cat "$WITNESS_LOG"
	[ -s "$WITNESS_LOG" ] || return
	! grep -v ' key=-$' "$WITNESS_LOG"
}

# start_listener [ANSWER]: $LISTENER is its port, $HEARD what came.
start_listener() {
	export HEARD=$BATS_TEST_TMPDIR/heard
	: >"$HEARD"
	rm -f "$BATS_TEST_TMPDIR/listener.out" # of an earlier one
	python3 "$BATS_TEST_DIRNAME/../helpers/listener.py" "$HEARD" "$@" \
		>"$BATS_TEST_TMPDIR/listener.out" 2>&1 3>&- </dev/null &
	PIDS="${PIDS:-} $!"
	eventually grep -qE '^[0-9]+$' "$BATS_TEST_TMPDIR/listener.out"
	LISTENER=$(head -n 1 "$BATS_TEST_TMPDIR/listener.out")
	export LISTENER
}

stop_all_and_helpers() {
	local pid
	for pid in ${PIDS:-}; do
		kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null
	done
	stop_all
}

# The most memory the daemon ever had, in KiB.
most_memory() { awk '$1 == "VmHWM:" { print $2 }' "/proc/$FS_PID/status"; }

memory_is_bounded() {
	local kib
	kib=$(most_memory)
	echo "VmHWM $kib KiB"
	# A sanitizer's shadow is memory, too.
	[ -n "${SANITIZED:=$(grep -qaE '__(asan|tsan)_init' "$BATCHFS" && echo yes || echo no)}" ]
	[ "$SANITIZED" = yes ] || ((kib < 64 * 1024))
}
