#!/usr/bin/env bats
# Hostile answers: whatever comes instead of a reply, the call that asked fails with an
# errno that tells, or the reply is passed over; the mount lives on in little memory, and
# the next good answer heals everything.

load ../helpers/mount
load ../helpers/leak

setup() {
	start_emulator
	# So that nobody waits for a server that drips: everything else is as always.
	export BATCHFS_TEST_DEADLINE_SECONDS=2
	export BATCHFS_TEST_SETTLE_SECONDS=4 BATCHFS_TEST_CLOSE_SECONDS=8
}
teardown() { stop_all_and_helpers; }

# One of each kind; what a query needs beside match and count.
KINDS=(
	'kind=hugejson&bytes=300000000'
	'kind=widejson&bytes=15000000'
	'kind=widejson&bytes=15000000&text=0'
	'kind=deepjson&bytes=1000000'
	'kind=wrongtypes'
	'kind=html&status=200'
	'kind=html&status=502'
	'kind=garbage'
	'kind=garbage&bytes=5000000'
	'kind=garbage&text='
	'kind=garbage&text=null'
	'kind=garbage&text=%22text%22'
	'kind=garbage&text=%5B%5D'
	'kind=truncate&at=20'
	'kind=status&status=500&text=%5B%7B%22error%22%3A%5B%5D%7D%5D'
)

# Where one after the other is waited for, of every sort one.
FEW=(
	'kind=hugejson&bytes=300000000'
	'kind=widejson&bytes=15000000'
	'kind=deepjson&bytes=1000000'
	'kind=deepjson&bytes=2000'
	'kind=wrongtypes'
	'kind=html&status=200'
	'kind=garbage'
	'kind=drip&bytes=1&seconds=0.1'
)

# Alive, and of what it knew nothing is lost.
alive() {
	kill -0 "$FS_PID"
	timeout 20 ls "$MNT" >/dev/null
	memory_is_bounded
}

# one_of "ERRNO ERRNO..." GOT
one_of() {
	[[ " $1 " == *" $2 "* ]] || {
		echo "expected one of: $1; got: $2"
		return 1
	}
}

errno_of_read() {
	timeout 60 python3 -c '
import errno, sys
try:
    with open(sys.argv[1], "rb", 0) as f:
        while f.read(1 << 20): pass
except OSError as e:
    print(errno.errorcode[e.errno])
else:
    print("OK")' "$1"
}

more_calls() { # OP COUNT
	(($(calls "$1") > $2))
}

# ---- every call, every kind ----------------------------------------------------------------

@test "lists" {
	local kind n
	make_foreign_job first >/dev/null
	mount_jobs -o ttl=0
	eventually test -d "$MNT/first"
	for kind in "${KINDS[@]}" 'kind=drip&bytes=1&seconds=0.1'; do
		echo "$kind"
		fault "match=list&count=0&$kind"
		n=$(calls list)
		eventually eval 'ls "$MNT" >/dev/null; more_calls list '"$n"
		alive
		same JOB_STATE_SUCCEEDED "$(cat "$MNT/first/wait")"
		# Failures add up to a longer pause: a good one in between.
		no_more_faults
		n=$(calls list)
		eventually eval 'ls "$MNT" >/dev/null; more_calls list '"$n"
	done
	make_foreign_job last >/dev/null
	eventually test -d "$MNT/last"
	same "$(printf '%s\n' first last)" "$(ls "$MNT")"
	alive
}

@test "a job's state" {
	local kind got
	knob pending=1000
	mount_jobs -o ttl=0
	submit_job a
	for kind in "${FEW[@]}"; do
		echo "$kind"
		fault "match=get&count=0&$kind"
		fault "match=list&count=0&$kind"
		got=$(errno_of_read "$MNT/a/state")
		one_of "EIO ETIMEDOUT OK" "$got"
		no_more_faults
		becomes JOB_STATE_PENDING cat "$MNT/a/state"
		alive
	done
	knob pending=0
	eventually grep -q SUCCEEDED "$MNT/a/state"
}

@test "create: bought once all the same" {
	local kind n=0
	mount_jobs
	for kind in "${KINDS[@]}" 'kind=drip&bytes=1&seconds=0.1'; do
		echo "$kind"
		n=$((n + 1))
		fault "match=create&after=1&$kind"
		requests 2 >"$HOME/r"
		mkdir "$MNT/j$n"
		one_of "EIO OK" "$(errno_of_write "$MNT/j$n/requests.jsonl" "$(cat "$HOME/r")")"
		eventually test -s "$MNT/j$n/id"
		same "$n" "$(jobs_at_api)"
		alive
	done
	same "$n" "$(calls create)"
}

@test "uploads: every step" {
	local kind op n=0
	mount_jobs
	requests 2 >"$HOME/r"
	for kind in 'kind=hugejson&bytes=300000000' 'kind=widejson&bytes=15000000' \
		'kind=deepjson&bytes=1000000' 'kind=html&status=200' 'kind=garbage'; do
		for op in upload_start upload upload_query; do
			echo "$op $kind"
			n=$((n + 1))
			fault "match=$op&$kind"
			# The query is only asked when a piece was lost.
			[ $op != upload_query ] || fault 'match=upload&kind=drop_before'
			mkdir "$MNT/j$n"
			cp "$HOME/r" "$MNT/j$n/requests.jsonl"
			alive
		done
	done
	same "$n" "$(jobs_at_api)"
}

@test "results: never taken for them, where their length is known" {
	local kind n=0
	for kind in "${KINDS[@]}"; do
		make_foreign_file_job "other$((++n))" 50 >/dev/null
	done
	mount_jobs -o fetch=read
	n=0
	for kind in "${KINDS[@]}"; do
		n=$((n + 1))
		[ "$kind" != kind=wrongtypes ] || continue # it is for JSON
		echo "$kind"
		eventually test -d "$MNT/other$n"
		ended "other$n"
		[ "$(stat -c %s "$MNT/other$n/results.jsonl")" -gt 1000 ]
		fault "match=download&count=1&$kind"
		one_of "EIO OK" "$(errno_of_read "$MNT/other$n/results.jsonl")"
		no_more_faults
		becomes OK errno_of_read "$MNT/other$n/results.jsonl"
		same 50 "$(jq -c .key "$MNT/other$n/results.jsonl" | wc -l)"
		alive
	done
}

@test "cancel and rmdir: an error or done, and never half" {
	local kind n=0
	knob pending=1000
	mount_jobs
	for kind in "${FEW[@]}"; do
		echo "$kind"
		n=$((n + 1))
		submit_job "j$n"
		fault "match=cancel&count=1&$kind"
		one_of "OK EIO EINVAL ETIMEDOUT" "$(errno_of_ctl "j$n" cancel)"
		alive
		no_more_faults
		fault "match=delete&count=1&$kind"
		fault "match=cancel&count=1&$kind"
		case "$(errno_of 'os.rmdir(a[0])' "$MNT/j$n")" in
		OK) ;;
		EIO | EINVAL | ETIMEDOUT)
			[ -e "$MNT/j$n/state" ]
			no_more_faults
			rmdir "$MNT/j$n"
			;;
		*) return 1 ;;
		esac
		no_more_faults
		alive
	done
	same "" "$(ls "$MNT")"
	# What failed behind is tried again soon at the next start.
	remount_jobs
	becomes 0 jobs_at_api
	same "" "$(ls "$MNT")"
}

@test "results that drip come, byte by byte" {
	make_foreign_file_job other 3 >/dev/null
	mount_jobs -o fetch=read
	eventually test -d "$MNT/other"
	ended other
	fault 'match=download&count=1&kind=drip&bytes=20&seconds=0.05'
	one_of "EIO ETIMEDOUT OK" "$(errno_of_read "$MNT/other/results.jsonl")"
	no_more_faults
	becomes OK errno_of_read "$MNT/other/results.jsonl"
	same 3 "$(jq -c .key "$MNT/other/results.jsonl" | wc -l)"
	alive
}

@test "models" {
	local kind
	mount_jobs
	for kind in "${FEW[@]}"; do
		echo "$kind"
		fault "match=models&count=0&$kind"
		one_of "EIO ETIMEDOUT" "$(errno_of_read "$MNT/.batchfs/models")"
		alive
		no_more_faults
	done
	eventually grep -q gemini-3.8-flash "$MNT/.batchfs/models"
}

@test "at start" {
	local kind
	for kind in "${FEW[@]}"; do
		echo "$kind"
		fault "match=*&count=0&$kind"
		mount_jobs
		alive
		no_more_faults
		make_foreign_job "after $kind" >/dev/null
		unmount_jobs
	done
}

# ---- what a reply may say ---------------------------------------------------------------------

# say OP JSON: the next answer, literally.
say() {
	emu POST "/emu/fault?match=$1&kind=garbage&count=${3:-1}" -G --data-urlencode "text=$2" >/dev/null
}

@test "ids that are none are passed over" {
	local id list='' good=batches/abcdefghijklmnopqrstuvwxyz0123456789
	mount_jobs -o ttl=0
	for id in batches/../../x batches/.. batches/. batches/ batches batches/a/b batches/a%2Fb \
		files/abc '/etc/passwd' 'batches/a b' 'batches/a?key=x' 'batches/a#b' \
		'batches/a\nb' 'batches/a\u0000b' 'batches/\u00e4' "batches/$(printf 'a%.0s' {1..129})"; do
		list+="{\"name\":\"$id\",\"metadata\":{\"state\":\"BATCH_STATE_RUNNING\",\"displayName\":\"bad\"}},"
	done
	list+="{\"name\":7},{\"name\":null},{\"name\":[\"$good\"]},7,null,[],\"x\","
	list+="{\"name\":\"$good\",\"metadata\":{\"displayName\":\"good\",\"state\":\"BATCH_STATE_SUCCEEDED\",
		\"model\":\"models/../../x\",\"inputConfig\":{\"fileName\":\"files/../../x\"},
		\"output\":{\"responsesFile\":\"files/../../etc/passwd\"}}}"
	say list "{\"operations\":[$list]}" 0
	eventually eval 'ls "$MNT" | grep -q .'
	same good "$(ls "$MNT")"
	[ ! -e "$MNT/good/results.jsonl" ]
	run ! grep -rqE '\.\./|etc/passwd' "$XDG_STATE_HOME"
	same 0 "$(calls download)"
	same 0 "$(calls unknown)"
	alive
}

@test "numbers, times, states out of range" {
	local n=0 counts time state list=''
	for counts in '"99999999999999999999"' -1 1e300 '"1e3"' '""' '{}' 9223372036854775807 '"-5"' true; do
		for time in '"9999-99-99T99:99:99Z"' '"999999-01-01T00:00:00Z"' '"0001-01-01T00:00:00Z"' 7 '"now"'; do
			n=$((n + 1))
			state=$((n % 7))
			list+="{\"name\":\"batches/job$n\",\"done\":$counts,\"metadata\":{\"displayName\":\"j$n\",\"state\":$(
				jq -cn --argjson i $state '["BATCH_STATE_SUCCEEDED", "", "a b", "x\ny", ("x" * 65), 5, "\u0007"][$i]'),
				\"createTime\":$time,\"updateTime\":$time,\"endTime\":$time,
				\"batchStats\":{\"requestCount\":$counts,\"failedRequestCount\":$counts,\"successfulRequestCount\":$counts},
				\"priority\":$counts}},"
		done
	done
	say list "{\"operations\":[${list%,}],\"nextPageToken\":$counts}" 0
	mount_jobs -o ttl=3600,fetch=read
	becomes "$n" eval 'ls "$MNT" | wc -l'
	ls -lR "$MNT" >"$HOME/ls"
	find "$MNT" -name state -exec cat {} + >"$HOME/states"
	run ! grep -vE '^[!-~]{1,64}$' "$HOME/states"
	find "$MNT" -name stats -exec cat {} + >"$HOME/stats"
	run ! grep -vE '^[a-z_]+ [0-9]+$' "$HOME/stats"
	cat "$MNT/.batchfs/jobs" "$MNT/.batchfs/status" >"$HOME/texts"
	alive
	no_more_faults
	remount_jobs -o fetch=read
	alive
}

@test "display names: nothing leaves its directory, nothing breaks a line" {
	local name n=0
	for name in '../x' '..' '.' '/' '/etc/passwd' '../../../../x' 'a\nb' '\u0000' 'a\u0000b' '%2e%2e' \
		'%2F' '-rf' '~' '*' '\u001b[2J' '\u202egpj' ' ' '' '.batchfs' '.hidden' 'a/../../b' \
		"$(printf 'x%.0s' {1..300})" "$(printf 'ä%.0s' {1..200})" 'twin' 'twin' 'TWIN' 'twin~x'; do
		n=$((n + 1))
		emu POST /emu/job -d "{\"displayName\": \"$name\", \"output\": true}" >/dev/null
	done
	mount_jobs -o fetch=all
	becomes "$n" eval 'ls -A "$MNT" | grep -vx .batchfs | wc -l'
	same "$n" "$(cd "$MNT" && printf '%s\n' * | wc -l)"
	run ! eval 'ls "$MNT" | LC_ALL=C grep -aE "[[:cntrl:]]|^\.|.{256}"'
	(cd "$MNT" && for name in *; do
		[ -s "./$name/id" ] && cat "./$name/results.jsonl" >/dev/null || echo "$name"
	done) >"$HOME/bad"
	same "" "$(cat "$HOME/bad")"
	same $((n + 1)) "$(wc -l <"$MNT/.batchfs/jobs")"
	ls "$MNT" >"$HOME/names"
	[ ! -e "$HOME/x" ] && [ ! -e "$XDG_STATE_HOME/x" ] && [ ! -e "$XDG_CACHE_HOME/x" ]
	remount_jobs -o fetch=all
	same "$(cat "$HOME/names")" "$(ls "$MNT")"
	alive
}

@test "page tokens go out escaped" {
	mount_jobs -o ttl=0
	say list '{"operations": [], "nextPageToken": "a&key=stolen#\r\nx-goog-api-key: y /../b"}'
	ls "$MNT"
	eventually eval 'ls "$MNT" >/dev/null; (($(calls list) > 2))'
	same 0 "$(calls unknown)"
	alive
}

@test "heads: many headers, a long one, odd lengths" {
	local text
	mount_jobs -o ttl=0
	for text in "X-Long: $(printf 'x%.0s' {1..6000})" 'Content-Length: -1' 'Content-Length: 99999999999999999999' \
		'Content-Encoding: br' 'Content-Encoding: gzip' 'Transfer-Encoding: nonsense' \
		'Date: Fri, 31 Dec 9999 23:59:59 GMT' 'Retry-After: 99999999999999999999' 'Location: x'; do
		emu POST "/emu/fault?match=list&kind=header" -G --data-urlencode "text=$text" >/dev/null
	done
	eventually eval 'ls "$MNT" >/dev/null; (($(calls list) > 9))'
	no_more_faults
	make_foreign_job last >/dev/null
	eventually test -d "$MNT/last"
	alive
}

# ---- lists that never end --------------------------------------------------------------------

@test "pages without end: the same ones, empty ones" {
	local how n
	make_foreign_job first >/dev/null
	mount_jobs -o ttl=0
	eventually test -d "$MNT/first"
	for how in same empty; do
		knob endless_pages=$how
		n=$(calls list)
		ls "$MNT"
		eventually more_calls list "$n"
		n=$(calls list)
		sleep 2
		# It has given the round up, not gone on at full speed.
		(($(calls list) - n < 150))
		alive
		same JOB_STATE_SUCCEEDED "$(cat "$MNT/first/wait")"
	done
	knob endless_pages=off
	make_foreign_job last >/dev/null
	eventually test -d "$MNT/last"
}

@test "pages without end, of new jobs" {
	knob endless_pages=new
	mount_jobs
	timeout 30 ls "$MNT" | head -n 1
	eventually grep -q "does not end" "$FS_LOG"
	alive
}

# An output is lines of JSON objects; what is none is asked for again.
@test "a page instead of the output is not kept for it" {
	mount_jobs
	draft a
	requests 3 >"$MNT/a/requests.jsonl"
	fault 'match=download&kind=html&status=200&count=1'
	timeout 60 cat "$MNT/a/wait" >/dev/null
	eventually results_saved a
	same 3 "$(jq -r .key "$MNT/a/results.jsonl" | wc -l)"
}
