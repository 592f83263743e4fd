#!/usr/bin/env bats
# Files of a draft that request lines name: uploaded once, put in as URIs, deleted when
# the last job that needs them has ended.

load ../helpers/mount
load ../helpers/pictures

setup() {
	start_emulator
	mount_jobs
	draft a
	J=$MNT/a/requests.jsonl
}
teardown() { stop_all; }

uploads() { calls upload; }

@test "names are uploaded, each content once, and the right one goes with each key" {
	picture 1 >"$MNT/a/one.png"
	picture 2 >"$MNT/a/two words ä.png"
	picture 1 >"$MNT/a/again.png"
	{
		ask k1 one.png
		ask k2 'two words \u00e4.png' ',"mime_type":"image/png"'
		ask k3 again.png
		ask k4 one.png
	} >"$J"
	succeeded a
	same 3 "$(uploads)" # one of them is the requests
	got_file a k1 "$MNT/a/one.png"
	got_file a k2 "$MNT/a/two words ä.png"
	got_file a k3 "$MNT/a/one.png"
	got_file a k4 "$MNT/a/one.png"
}

@test "mime_type is filled in where it is missing, in the line's own spelling" {
	picture 1 >"$MNT/a/one.png"
	printf 'a text that is no picture\n' >"$MNT/a/notes"
	{
		ask k1 one.png ',"mime_type":"image/jpeg"'
		ask k2 notes
		printf '%s\n' '{"contents":[{"parts":[{"fileData": {"fileUri":"one.png"} },{"text":"[emu:files]"}]}]}'
	} >"$J"
	succeeded a
	contains "$(got a k1)" 'image/jpeg '
	contains "$(got a k2)" 'text/plain '
	contains "$(got a 3)" 'image/png '
	sent=$(find "$XDG_STATE_HOME" -name sent.jsonl)
	same 3 "$(grep -c '"https\?://[^"]*/v1beta/files/[a-z0-9]*"' "$sent")"
	grep -q '{"fileUri":"[^"]*" *,"mimeType":"image/png"}\|{"fileUri":"[^"]*","mimeType":"image/png"}' "$sent"
	# What the user wrote stays as it was.
	grep -q '"fileUri":"one.png"' "$J"
}

@test "what cannot be sent is refused by line and name, before anything leaves" {
	picture 1 >"$MNT/a/one.png"
	: >"$MNT/a/empty.png"
	head -c 300 /dev/urandom >"$MNT/a/noise"
	ln "$HOME/../../etc" "$MNT/a/x" 2>/dev/null || true
	{
		ask k1 one.png
		ask k2 nowhere.png
		ask k3 empty.png
		ask k4 noise
		ask k5 ../a/one.png
		ask k6 /etc/passwd
		ask k7 ''
		ask k8 'a\u0000b'
		ask k9 ./one.png
		ask k10 one.png/
		ask k11 'a\nb'
	} >"$HOME/in.jsonl"
	same EBADMSG "$(errno_of_write "$J" "$(cat "$HOME/in.jsonl")"$'\n')"
	bought_nothing a
	same 0 "$(uploads)"
	error=$(cat "$MNT/a/error")
	contains "$error" 'line 2: nowhere.png: there is no such file'
	contains "$error" 'line 3: empty.png: it is empty'
	contains "$error" 'line 4: noise: models cannot be asked'
	for n in 5 6 7 9 10; do
		grep -q "^line $n: " "$MNT/a/error"
	done
	grep -q '^line 8: a: this cannot be' "$MNT/a/error"
	lacks "$error" 'line 1:'
	{
		ask k1 'file:///home/me/cat.png'
		ask k2 'C:\\cat.png'
		ask k3 'p:2.png'
	} >"$HOME/in.jsonl"
	same EBADMSG "$(errno_of_write "$J" "$(cat "$HOME/in.jsonl")"$'\n')"
	same 2 "$(grep -c ': it is a path on this or another machine' "$MNT/a/error")"
	contains "$(cat "$MNT/a/error")" 'line 3: p:2.png: there is no such file'
	# Mended, it goes; what looks like a scheme may be a file's name.
	mv "$MNT/a/one.png" "$MNT/a/p:1.png"
	ask k1 p:1.png >"$J"
	succeeded a
}

@test "check looks at names, too, and uploads nothing" {
	picture 1 >"$MNT/a/one.png"
	remount_jobs -o submit=ctl
	ask k1 two.png >"$J"
	same EBADMSG "$(errno_of_ctl a check)"
	contains "$(cat "$MNT/a/error")" 'line 1: two.png'
	mv "$MNT/a/one.png" "$MNT/a/two.png"
	echo check >"$MNT/a/ctl"
	same 0 "$(uploads)"
	same 1 "$(value_of request_count "$MNT/a/stats")"
}

@test "a second job uses the uploads of the first; they go when the last has ended" {
	knob pending=1000
	picture 1 >"$MNT/a/one.png"
	ask k1 one.png >"$J"
	state_is a JOB_STATE_PENDING
	same 2 "$(uploads)"
	draft b
	picture 1 >"$MNT/b/other.png"
	ask k1 other.png >"$MNT/b/requests.jsonl"
	same 3 "$(uploads)"
	remount_jobs
	draft c
	picture 1 >"$MNT/c/third.png"
	ask k1 third.png >"$MNT/c/requests.jsonl"
	same 4 "$(uploads)"
	same 4 "$(files_at_api)"
	for job in a c; do
		finish_job "$job"
		succeeded "$job"
		got_file "$job" k1 "$MNT/b/other.png"
	done
	becomes 2 files_at_api # b's requests, and the picture
	remount_jobs
	same 2 "$(files_at_api)"
	finish_job b
	succeeded b
	got_file b k1 "$MNT/b/other.png"
	becomes 0 files_at_api
}
# Let a pending job run now.
finish_job() {
	emu POST "/emu/job/$(basename "$(cat "$MNT/$1/id")")" -d '{"state":"SUCCEEDED"}' >/dev/null
}

@test "rmdir of a draft and of a job deletes what only they needed" {
	fault 'match=create&kind=status&status=400'
	picture 1 >"$MNT/a/one.png"
	run ask_into "$J"
	same 1 "$status"
	state_is a SUBMIT_FAILED
	becomes 1 files_at_api
	rmdir "$MNT/a"
	becomes 0 files_at_api
	knob pending=1000
	draft b
	picture 1 >"$MNT/b/one.png"
	ask k1 one.png >"$MNT/b/requests.jsonl"
	same 2 "$(files_at_api)"
	rmdir "$MNT/b"
	becomes 0 files_at_api
}
ask_into() { bash -c 'cat >"$1"' - "$1" <<<"$(ask k1 one.png)"; }

@test "a deletion that fails is made up for later" {
	picture 1 >"$MNT/a/one.png"
	fault 'match=file_delete&kind=status&status=503&count=0'
	ask k1 one.png >"$J"
	succeeded a
	unmount_jobs
	same 2 "$(files_at_api)"
	no_more_faults
	mount_jobs
	becomes 0 files_at_api
}

@test "uploads that have not long to live are not used again" {
	knob file_life=39 pending=1000
	picture 1 >"$MNT/a/one.png"
	ask k1 one.png >"$J"
	draft b
	picture 1 >"$MNT/b/one.png"
	contains "$(cat "$MNT/a/warnings")" "line 1: the API deletes one.png in 3"
	knob file_life=48
	ask k1 one.png >"$MNT/b/requests.jsonl"
	same 4 "$(uploads)"
	[ ! -e "$MNT/b/warnings" ]
}

@test "lines that are sent again: our URIs that are gone are uploaded anew" {
	picture 1 >"$MNT/a/one.png"
	picture 2 >"$MNT/a/two.png"
	{
		ask k1 one.png
		ask k2 two.png
	} >"$J"
	succeeded a
	becomes 0 files_at_api
	cp "$(find "$XDG_STATE_HOME" -name sent.jsonl)" "$HOME/retry.jsonl"
	remount_jobs
	draft b
	cp "$HOME/retry.jsonl" "$MNT/b/requests.jsonl"
	succeeded b
	got_file b k1 "$MNT/a/one.png"
	got_file b k2 "$MNT/a/two.png"
	becomes 0 files_at_api
	# Where no copy is left nothing can be done.
	picture 3 >"$MNT/a/one.png"
	draft c
	run cp "$HOME/retry.jsonl" "$MNT/c/requests.jsonl"
	same 1 "$status"
	bought=$(calls create)
	same 2 "$bought"
	contains "$(cat "$MNT/c/error")" 'line 1: '
	contains "$(cat "$MNT/c/error")" 'the API does not have this upload any more'
	lacks "$(cat "$MNT/c/error")" 'line 2: '
}

@test "our URIs that live are held by the job that is sent with them" {
	knob pending=1000
	picture 1 >"$MNT/a/one.png"
	ask k1 one.png >"$J"
	draft b
	cp "$(find "$XDG_STATE_HOME" -name sent.jsonl)" "$MNT/b/requests.jsonl"
	same 3 "$(uploads)"
	finish_job a
	succeeded a
	becomes 2 files_at_api
	finish_job b
	succeeded b
	got_file b k1 "$MNT/a/one.png"
	becomes 0 files_at_api
}

@test "URIs that are not ours pass untouched" {
	knob absent_files=line
	printf '%s\n' '{"key":"k","request":{"contents":[{"parts":[{"fileData":{"fileUri":"https://example.com/v1beta/files/x"}},{"file_data":{"file_uri":"gs://b/c"}}]}]}}' >"$HOME/in.jsonl"
	cp "$HOME/in.jsonl" "$J"
	bought_once a "$HOME/in.jsonl"
	[ -z "$(find "$XDG_STATE_HOME" -name sent.jsonl)" ]
}

@test "an upload that somebody else deleted is made again by itself" {
	knob pending=1000
	picture 1 >"$MNT/a/one.png"
	ask k1 one.png >"$J"
	for file in $(api GET /v1beta/files | jq -r '.files[] | select(.mimeType == "image/png").name'); do
		api DELETE "/v1beta/$file" >/dev/null
	done
	draft b
	picture 1 >"$MNT/b/one.png"
	ask k1 one.png >"$MNT/b/requests.jsonl"
	same 2 "$(jobs_at_api)"
	finish_job b
	succeeded b
	got_file b k1 "$MNT/b/one.png"
}

@test "PROCESSING is waited for" {
	knob processing=1
	picture 1 >"$MNT/a/one.png"
	ask k1 one.png >"$J"
	succeeded a
	got_file a k1 "$MNT/a/one.png"
}

@test "uploads show in transfers; an interrupt gives up and what is done stays done" {
	head -c 9000000 /dev/zero | tr '\0' x >"$MNT/a/big.txt"
	picture 1 >"$MNT/a/one.png"
	{
		ask k1 one.png
		ask k2 big.txt
	} >"$HOME/in.jsonl"
	fault 'match=upload&kind=stall_body&seconds=30&at=100000&count=0'
	cp "$HOME/in.jsonl" "$J" &
	cp=$!
	eventually grep -q $'^a\tup\t' "$MNT/.batchfs/transfers"
	state_is a UPLOADING
	eventually test "$(files_at_api)" = 1
	kill -INT "$cp" 2>/dev/null || true
	kill -TERM "$cp"
	wait "$cp" || true
	becomes DRAFT cat "$MNT/a/state"
	same 0 "$(calls create)"
	no_more_faults
	emu POST /emu/stats/reset >/dev/null
	echo submit >"$MNT/a/ctl"
	succeeded a
	got_file a k1 "$MNT/a/one.png"
	contains "$(got a k2)" 'text/plain 9000000 '
	# The picture was there, and the big one went on: only the requests began anew.
	same 1 "$(calls upload_start)"
}

@test "behind: queued work takes its files along" {
	remount_jobs -o submit=background
	knob max_jobs=1 pending=1000
	submit_job first
	becomes JOB_STATE_PENDING cat "$MNT/first/state"
	picture 1 >"$MNT/a/one.png"
	ask k1 one.png >"$J"
	becomes QUEUED cat "$MNT/a/state"
	knob max_jobs=100
	remount_jobs -o submit=background
	becomes JOB_STATE_PENDING cat "$MNT/a/state"
	same 3 "$(uploads)"
	finish_job a
	succeeded a
	got_file a k1 "$MNT/a/one.png"
}

@test "more than the project may store is refused before it is sent" {
	unmount_jobs
	BATCHFS_TEST_STORAGE_BYTES=150 mount_jobs
	picture 1 >"$MNT/a/one.png"
	picture 2 >"$MNT/a/two.png"
	{
		ask k1 one.png
		ask k2 two.png
		ask k3 three.png
	} >"$HOME/in.jsonl"
	head -c 200 "$HOME/in.jsonl" >"$MNT/a/three.png.txt"
	cp "$MNT/a/three.png.txt" "$MNT/a/three.png"
	same EFBIG "$(errno_of_write "$J" "$(cat "$HOME/in.jsonl")"$'\n')"
	contains "$(cat "$MNT/a/error")" '20 GB'
	bought_nothing a
	same 0 "$(uploads)"
	ask k1 one.png >"$J"
	succeeded a
}

@test "a file over 2 GB is EFBIG by name" {
	truncate -s 2200000000 "$MNT/a/film.mp4"
	same EFBIG "$(errno_of_write "$J" "$(ask k1 film.mp4)"$'\n')"
	contains "$(cat "$MNT/a/error")" 'film.mp4: it is larger than the 2 GB'
	same 0 "$(uploads)"
}

@test "a damaged registry costs uploads, no more" {
	knob pending=1000
	picture 1 >"$MNT/a/one.png"
	ask k1 one.png >"$J"
	unmount_jobs
	reg=$(find "$XDG_STATE_HOME" -name attachments)
	sed -i 's/image/imagf/' "$reg"
	mount_jobs
	state_is a JOB_STATE_PENDING
	[ -e "$(dirname "$reg")/aside/attachments" ]
	draft b
	picture 1 >"$MNT/b/one.png"
	ask k1 one.png >"$MNT/b/requests.jsonl"
	same 4 "$(uploads)"
}

@test "bytes that the API got wrong are sent once more, then it is an error" {
	knob sha256=raw
	picture 1 >"$MNT/a/one.png"
	ask k1 one.png >"$J"
	succeeded a
	draft b
	picture 2 >"$MNT/b/two.png"
	knob sha256=wrong
	emu POST /emu/stats/reset >/dev/null
	same EIO "$(errno_of_write "$MNT/b/requests.jsonl" "$(ask k1 two.png)"$'\n')"
	contains "$(cat "$MNT/b/error")" 'two.png: the API got other bytes'
	same 2 "$(uploads)"
	same 0 "$(calls create)"
	becomes 0 files_at_api
}

@test "files below inputs/ are named by their path; what is not whole is not sent" {
	mkdir "$MNT/a/inputs/deep"
	picture 1 >"$MNT/a/inputs/one.png"
	picture 2 >"$MNT/a/inputs/deep/two.png"
	{
		ask k1 inputs/one.png
		ask k2 inputs/deep/two.png
		ask k3 inputs/deep
	} >"$HOME/in.jsonl"
	same EBADMSG "$(errno_of_write "$J" "$(cat "$HOME/in.jsonl")"$'\n')"
	contains "$(cat "$MNT/a/error")" 'line 3: inputs/deep: there is no such file'
	contains "$(cat "$MNT/a/error")" 'cp -r OLD/inputs NEW/'
	exec 4>"$MNT/a/inputs/three.png"
	picture 3 >&4
	sed -i s:inputs/deep\":inputs/three.png\": "$HOME/in.jsonl"
	same EBADMSG "$(errno_of_write "$J" "$(cat "$HOME/in.jsonl")"$'\n')"
	contains "$(cat "$MNT/a/error")" 'line 3: inputs/three.png: it is incomplete'
	exec 4>&-
	echo submit >"$MNT/a/ctl"
	succeeded a
	got_file a k2 "$MNT/a/inputs/deep/two.png"
	got_file a k3 "$MNT/a/inputs/three.png"
}

@test "with inline_max, jobs with files go as a file all the same" {
	remount_jobs -o inline_max=100000
	picture 1 >"$MNT/a/one.png"
	ask k1 one.png >"$J"
	succeeded a
	got_file a k1 "$MNT/a/one.png"
	same 2 "$(uploads)"
}

@test "resubmit takes the files along" {
	unmount_jobs
	BATCHFS_TEST_SETTLE_SECONDS=1 BATCHFS_TEST_CLOSE_SECONDS=1 mount_jobs
	picture 1 >"$MNT/a/one.png"
	fault 'match=create&kind=drop_before'
	same EIO "$(errno_of_write "$J" "$(ask k1 one.png)"$'\n')"
	becomes SUBMIT_UNCERTAIN cat "$MNT/a/state"
	echo resubmit >"$MNT/a/ctl"
	succeeded a
	got_file a k1 "$MNT/a/one.png"
	same 1 "$(jobs_at_api)"
	same 3 "$(uploads)"
}

@test "retry.jsonl of a job with files goes into the next as it is" {
	picture 1 >"$MNT/a/one.png"
	picture 2 >"$MNT/a/two.png"
	{
		ask k1 one.png
		ask k2 two.png
	} | jq -c 'if .key == "k2" then .request.contents[0].parts[0].text = "[emu:error 14]" else . end' >"$HOME/in.jsonl"
	cp "$HOME/in.jsonl" "$J"
	succeeded a
	becomes 0 files_at_api
	eventually test -s "$MNT/a/retry.jsonl"
	same k2 "$(jq -r .key "$MNT/a/retry.jsonl")"
	draft b
	sed 's/emu:error 14/emu:files/' "$MNT/a/retry.jsonl" >"$MNT/b/requests.jsonl"
	succeeded b
	got_file b k2 "$MNT/a/two.png"
	becomes 0 files_at_api
}

@test "a retry of a retry, of files that are in the trash by now" {
	picture 1 >"$MNT/a/one.png"
	ask k1 one.png >"$J"
	cp "$MNT/a/one.png" "$HOME/one.png"
	succeeded a
	becomes 0 files_at_api
	for job in b c d; do
		cp "$(find "$XDG_STATE_HOME" -name sent.jsonl -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d ' ' -f 2-)" "$HOME/again.jsonl"
		draft "$job"
		cp "$HOME/again.jsonl" "$MNT/$job/requests.jsonl"
		succeeded "$job"
		got_file "$job" k1 "$HOME/one.png"
		becomes 0 files_at_api
		[ "$job" != b ] || rmdir "$MNT/a" # the one directory that has the file
		[ "$job" != c ] || remount_jobs
	done
}
