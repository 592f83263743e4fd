# Shared by lost.bats, undecided.bats and refused.bats: one draft a, its requests, and
# what may have become of it.

# Looking ends after so many seconds, and a close waits one.
export BATCHFS_TEST_SETTLE_SECONDS=3 BATCHFS_TEST_CLOSE_SECONDS=1
export BATCHFS_TEST_OWN_SECONDS=1 BATCHFS_TEST_QUEUE_SECONDS=1

setup() {
	start_emulator
	mount_jobs
	draft_to_send 4
}
teardown() { stop_all; }

cp_errno() {
	errno_of '
data = open(a[0], "rb").read()
fd = os.open(a[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
os.write(fd, data)
os.close(fd)' "$IN" "$J"
}

made() { emu GET '/emu/jobs?count=1' | jq .count; }

has_id() { [ -s "$MNT/a/id" ]; }

# The whole truth: one job of ours, here and there, and no twin of it.
one_job() { # [JOBS AT THE API]
	eventually has_id
	same "${1:-1}" "$(made)"
	succeeded a
	eventually test -s "$MNT/a/results.jsonl"
	same 4 "$(grep -c . "$MNT/a/results.jsonl")"
	cmp "$IN" "$J"
}
alone() { same a "$(ls "$MNT")"; }

uncertain() {
	eventually state_is a SUBMIT_UNCERTAIN
	same EBUSY "$(errno_of 'os.rmdir(a[0])' "$MNT/a")"
	contains "$(cat "$MNT/a/ctl")" resubmit
	contains "$(cat "$MNT/a/error")" "echo adopt ID > ctl"
}
