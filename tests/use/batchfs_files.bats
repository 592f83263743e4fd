#!/usr/bin/env bats
# The files in .batchfs.

load ../helpers/mount

setup() { start_emulator; mount_jobs; B=$MNT/.batchfs; }
teardown() { stop_all; }

@test "README: how it works, with price, aim and limit" {
	contains "$(cat "$B/README")" requests.jsonl
	contains "$(cat "$B/README")" results.jsonl
	contains "$(cat "$B/README")" rmdir
	contains "$(cat "$B/README")" 24
	contains "$(cat "$B/README")" 48
}

@test "status: name value lines; endpoint, key's source but not the key" {
	submit_job a
	cat "$B/status"
	contains "$(cat "$B/status")" "$EMU_URL"
	contains "$(cat "$B/status")" GEMINI_API_KEY
	lacks "$(cat "$B/status")" "$GEMINI_API_KEY"
	online
	run ! grep -vE '^[a-z_]+ .+' "$B/status"
}

@test "metrics: Prometheus' text format, with what was sent, received and counted" {
	# A path may have what a label, a line or JSON cannot.
	local odd=$HOME/$'s\xff\n"\\q'
	unmount_jobs
	mount_jobs -o "state_dir=$odd"
	submit_job a
	succeeded a
	eventually results_saved a
	draft b
	eventually grep -q '^batchfs_tokens_total{kind="in"} [1-9]' "$MNT/.batchfs/metrics"
	cp "$MNT/.batchfs/metrics" "$HOME/m"
	cat "$HOME/m"
	"$BATS_TEST_DIRNAME/../helpers/prometheus.py" "$HOME/m"
	run ! grep -vE '^[a-z_]+ .+' "$B/status"
	"$BATCHFS" status --json -o "state_dir=$odd" >"$HOME/json"
	jq -e '.state_dir | test("/s")' "$HOME/json"
	jq -e '.online and .results_not_saved == 0 and .jobs_by_state.DRAFT == 1 and .jobs == 2' "$HOME/json"
	grep -qx 'batchfs_jobs{state="DRAFT"} 1' "$HOME/m"
	grep -qx 'batchfs_jobs{state="JOB_STATE_SUCCEEDED"} 1' "$HOME/m"
	grep -qE '^batchfs_api_bytes_total\{direction="sent"\} [1-9]' "$HOME/m"
	grep -qx 'batchfs_results_not_saved 0' "$HOME/m"
}

@test "jobs: the first read after a start has the jobs that the API lists" {
	make_foreign_job made-elsewhere
	unmount_jobs
	rm -r "$XDG_CACHE_HOME"
	fault "match=list&kind=stall&seconds=1&count=1"
	mount_jobs
	contains "$(cat "$B/jobs")" made-elsewhere
}

@test "status: the first read after a start waits for the list, not for ever" {
	unmount_jobs
	fault "match=list&kind=status&status=503"
	mount_jobs
	contains "$(cat "$B/status")" "$EMU_URL"
}

@test "jobs: a table of all of them, tabs between, a heading" {
	submit_job a 5
	ended a
	draft d
	make_foreign_job f
	eventually test -d "$MNT/f"
	ended f
	cat "$B/jobs"
	same "3 1" "$(awk -F '\t' 'NR > 1 { jobs++; n[NF] } END { print jobs, length(n) }' "$B/jobs")"
	same "a d f" "$(awk -F '\t' 'NR > 1 { print $1 }' "$B/jobs" | LC_ALL=C sort | xargs)"
	same JOB_STATE_SUCCEEDED "$(awk -F '\t' '$1 == "a" { print $2 }' "$B/jobs")"
	same DRAFT "$(awk -F '\t' '$1 == "d" { print $2 }' "$B/jobs")"
}

@test "history: what was created, ended, cancelled, deleted, and survives all of it" {
	submit_job a
	local id
	id=$(cat "$MNT/a/id")
	ended a
	rmdir "$MNT/a"
	becomes 0 jobs_at_api
	knob pending=1000
	submit_job b
	echo cancel >"$MNT/b/ctl"
	ended b
	remount_jobs
	cat "$B/history"
	for word in created ended cancel-asked cancelled deleted; do
		contains "$(cat "$B/history")" "	$word	"
	done
	same time "$(head -n 1 "$B/history" | cut -f 1)"
	same 12 "$(awk -F '\t' '{ print NF }' "$B/history" | sort -u)"
	contains "$(grep created "$B/history")" "$id"
	contains "$(grep created "$B/history")" gemini-flash-latest
	lacks "$(cat "$B/history")" "prompt 1"
}

@test "history has no job twice" {
	submit_job a
	ended a
	remount_jobs
	kill_batchfs
	mount_jobs
	same 1 "$(grep -c created "$B/history")"
	same 1 "$(grep -c ended "$B/history")"
}

@test "transfers: a line for a running one, nothing when nothing runs" {
	same "" "$(cat "$B/transfers")"
	remount_jobs -o fetch=read
	submit_job a 100
	succeeded a
	fault 'match=download&kind=drip&bytes=100&seconds=0.2&count=0'
	cat "$MNT/a/results.jsonl" >/dev/null 3>&- &
	local pid=$!
	eventually grep -q '^a	down	' "$B/transfers"
	kill $pid
	wait $pid || true
}

@test "log: what was said, with its time; tail -f follows it" {
	local log=$BATS_TEST_TMPDIR/tail.out
	printf 'no json\n' >"$BATS_TEST_TMPDIR/bad"
	mkdir "$MNT/bad"
	run ! cp "$BATS_TEST_TMPDIR/bad" "$MNT/bad/requests.jsonl"
	grep -qE '^[0-9-]+T[0-9:]+Z warning: bad: ' "$B/log"
	same "$(stat -c %s "$B/log")" "$(wc -c <"$B/log")"
	timeout 60 tail -n +1 -s 0.1 -f "$B/log" >"$log" 3>&- &
	eventually grep -q ': bad: ' "$log"
	mkdir "$MNT/worse"
	run ! cp "$BATS_TEST_TMPDIR/bad" "$MNT/worse/requests.jsonl"
	eventually grep -q ': worse: ' "$log"
	kill $!
	same 1 "$(grep -c ': bad: ' "$log")"
	cp -r "$B" "$BATS_TEST_TMPDIR/copy"
	grep -q ': worse: ' "$BATS_TEST_TMPDIR/copy/log"
}

@test "models: names of models that can run batches" {
	grep -q ^gemini-3.8-flash.batchGenerateContent "$B/models"
	run ! grep -qE 'imagen|gemma' "$B/models"
}

@test "status tells of an outage, and of its end" {
	stop_emulator
	draft x
	run ! cp <(requests 1) "$MNT/x/requests.jsonl"
	eventually offline
	start_emulator
	# Nobody looking, no calls: so somebody looks.
	eventually sh -c 'ls "$1"; grep -q "^online yes" "$1/.batchfs/status"' - "$MNT"
}

@test "status tells of unsent work" {
	stop_emulator
	remount_jobs -o submit=background
	draft x
	requests 1 >"$MNT/x/requests.jsonl"
	becomes 1 value_of unsent "$B/status"
}

@test "nothing can be made, removed or renamed in .batchfs" {
	same EPERM "$(errno_of 'os.mkdir(a[0])' "$B/x")"
	same EPERM "$(errno_of 'os.unlink(a[0])' "$B/status")"
	same EPERM "$(errno_of 'os.rename(a[0], a[1])' "$B/status" "$B/x")"
	same EPERM "$(errno_of 'os.rename(a[0], a[1])' "$B" "$MNT/x")"
}
