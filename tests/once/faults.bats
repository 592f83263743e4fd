#!/usr/bin/env bats
# Never two jobs from one close, whatever happens on the way; never a paid one lost.

load ../helpers/mount

export BATCHFS_TEST_CLOSE_SECONDS=8

setup() {
	start_emulator
	mount_jobs
	draft_to_send 10
}
teardown() { stop_all; }

# At most as many creates were sent as jobs were made or proven not to be made; here:
# one job, shown in the mount.
one_job() {
	becomes 1 jobs_at_api
	eventually test -s "$MNT/a/id"
	same "$(ids_of a)" "$(cat "$MNT/a/id")"
	succeeded a
	same 10 "$(grep -c . "$MNT/a/results.jsonl")"
	same a "$(ls "$MNT")"
}

@test "the answer to a create is lost: the job is found, close succeeds" {
	fault 'match=create&kind=drop_after'
	cp "$IN" "$J"
	one_job
	same 1 "$(calls create)"
}

@test "batchfs is stopped while a create is under way" {
	knob create_delay=1
	cp "$IN" "$J" &
	local copy=$!
	eventually sh -c '[ "$(curl -sS "$1/emu/stats" | jq ".ops.create // 0")" = 1 ]' - "$EMU_URL"
	kill -STOP "$FS_PID"
	sleep 1.5
	kill -CONT "$FS_PID"
	wait $copy
	one_job
	same 1 "$(calls create)"
}

@test "a lost create, and lists do not show the job at first, nor inputConfig" {
	knob list_delay=3 list_input_config=off
	fault 'match=create&kind=drop_after'
	cp "$IN" "$J"
	one_job
}

@test "a lost create beside jobs of others of the same name and time" {
	make_foreign_job a 10 >/dev/null
	fault 'match=create&kind=drop_after'
	cp "$IN" "$J"
	for _ in 1 2 3; do make_foreign_job a 10 >/dev/null; done
	same 5 "$(calls create)"
	local mine
	mine=$(jq -r .metadata.inputConfig.fileName "$MNT/a/job.json")
	[[ $mine == files/* ]]
	same "$(cat "$MNT/a/id")" "$(api GET '/v1beta/batches?pageSize=100' | jq -r --arg f "$mine" '
		.operations[] | select(.metadata.inputConfig.fileName == $f).name')"
}

@test "the connection breaks before a create was done: EIO in the end, never a second one by itself" {
	fault 'match=create&kind=drop_before'
	same EIO "$(errno_of_write "$J" "$(cat "$IN")")"
	same 1 "$(calls create)"
	state_is a SUBMITTING
	same EBUSY "$(errno_of 'os.rmdir(a[0])' "$MNT/a")"
	[ -s "$MNT/a/error" ]
	echo resubmit >"$MNT/a/ctl"
	one_job
	same 2 "$(calls create)"
}

@test "killed with -9 while a create is under way: settled at the next mount" {
	knob create_delay=2
	cp "$IN" "$J" 2>/dev/null 3>&- &
	becomes 1 calls create
	kill_batchfs
	wait $! || true
	knob create_delay=0
	mount_jobs
	one_job
	same 1 "$(calls create)"
}

@test "ended by SIGTERM while a create is under way: settled at the next mount" {
	knob create_delay=3
	cp "$IN" "$J" 2>/dev/null 3>&- &
	local cp=$!
	becomes 1 calls create
	kill -TERM "$FS_PID"
	wait $cp || true
	wait "$FS_PID" || true
	mount_jobs
	one_job
	same 1 "$(calls create)"
}

@test "cp is killed while the create is under way: the job is taken all the same" {
	knob create_delay=2
	cp "$IN" "$J" 3>&- &
	local cp=$!
	becomes 1 calls create
	kill -KILL $cp
	wait $cp || true
	one_job
	same 1 "$(calls create)"
}

@test "cp is interrupted while uploading: a draft, whose upload is taken up" {
	interrupt_upload "$IN" 10
	same 0 "$(calls create)"
	cmp "$IN" "$J"
	echo submit >"$MNT/a/ctl"
	one_job
	same 1 "$(calls upload_start)"
}

@test "killed with -9 while uploading: a draft with all it had" {
	fault 'match=upload&kind=stall_body&seconds=60&at=10'
	cp "$IN" "$J" 2>/dev/null 3>&- &
	becomes 1 calls upload
	state_is a UPLOADING
	kill_batchfs
	wait $! || true
	mount_jobs
	cmp "$IN" "$J"
	same 0 "$(calls create)"
	echo submit >"$MNT/a/ctl"
	one_job
	same 1 "$(calls upload_start)"
}

@test "an upload that is cut at any byte goes on from there" {
	local size at n=0
	size=$(stat -c %s "$IN")
	# A query tells what has come; then what follows is cut as well.
	for at in 0 1 $((size / 2)) $((size - 1)) $size; do
		n=$((n + 1))
		fault "match=upload&kind=cut_body&at=$at"
		fault 'match=upload_query&kind=status&status=503'
		fault "match=upload&kind=cut_body&at=$((at / 3))"
		mkdir "$MNT/n$n"
		cp "$IN" "$MNT/n$n/requests.jsonl"
		succeeded n$n
		same $n "$(calls upload_start)"
		same "$(jq -r .key "$IN" | sort)" "$(jq -r .key "$MNT/n$n/results.jsonl" | sort)"
	done
	same $n "$(calls create)"
}

@test "503 on every read for a while: nothing is lost" {
	cp "$IN" "$J"
	fault 'match=get&kind=status&status=503&count=3'
	fault 'match=list&kind=status&status=503&count=3'
	one_job
}

@test "replies of hostile shapes harm nothing but the call they answer" {
	cp "$IN" "$J"
	for kind in garbage deepjson hugejson wrongtypes html truncate; do
		fault "match=list&kind=$kind&status=200&bytes=100000&at=30&count=1"
		fault "match=get&kind=$kind&status=200&bytes=100000&at=30&count=1"
		timeout "$PATIENCE" cat "$MNT/a/state" || true
		ls "$MNT"
		sleep 1
	done
	no_more_faults
	one_job
}

@test "a redirect to another origin gets no key" {
	python3 - "$HOME/port" "$HOME/headers" 3>&- <<-'P' &
		import http.server, sys
		class H(http.server.BaseHTTPRequestHandler):
		    def do_GET(self):
		        open(sys.argv[2], "a").write(str(self.headers))
		        self.send_response(200); self.end_headers()
		    do_POST = do_GET
		    def log_message(self, *a): pass
		s = http.server.HTTPServer(("127.0.0.1", 0), H)
		open(sys.argv[1], "w").write(str(s.server_port))
		s.serve_forever()
	P
	local pid=$!
	eventually test -s "$HOME/port"
	cp "$IN" "$J"
	for m in list get download; do
		fault "match=$m&kind=redirect&status=302&count=2&location=http://127.0.0.1:$(cat "$HOME/port")/x"
	done
	ls "$MNT"
	timeout 5 cat "$MNT/a/state" || true
	timeout 5 cat "$MNT/a/wait" || true
	timeout 5 cat "$MNT/a/results.jsonl" || true
	kill $pid
	[ ! -e "$HOME/headers" ] || run ! grep -qiE 'x-goog-api-key|test-key' "$HOME/headers"
}
