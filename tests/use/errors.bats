#!/usr/bin/env bats
# What the API refuses, and what of it the user gets: the errno, `error`, nothing lost.

load ../helpers/mount

setup() {
	start_emulator
	mount_jobs
	draft_to_send 3
}
teardown() { stop_all; }

# fails ERRNO PART...: closing the requests fails so, the state says that there is no
# job, `error` has a line what is wrong, one what to do, and all the parts; what was
# written is still there.
fails() {
	local errno=$1 text part
	shift
	same "$errno" "$(errno_of_write "$J" "$(cat "$IN")")"
	state_is a SUBMIT_FAILED
	text=$(cat "$MNT/a/error")
	[ "$(printf '%s\n' "$text" | wc -l)" -ge 2 ]
	for part; do
		contains "$text" "$part"
	done
	same "$(cat "$IN")" "$(cat "$J")"
	same 0 "$(jobs_at_api)"
}

# … and can be sent again when the cause is gone.
goes_now() {
	no_more_faults
	echo submit >"$MNT/a/ctl"
	same 1 "$(jobs_at_api)"
	succeeded a
	[ ! -e "$MNT/a/error" ]
}

@test "an unknown model: how to change it and where the names are" {
	echo gemini-0.1-imaginary >"$MNT/a/model"
	fails EINVAL gemini-0.1-imaginary model .batchfs/models
	echo gemini-3.8-flash >"$MNT/a/model"
	goes_now
}

@test "what cannot be a model's name is refused when it is written" {
	same EINVAL "$(errno_of_write "$MNT/a/model" 'no such/model name?')"
	same EINVAL "$(errno_of_write "$MNT/a/model" '../x')"
	same EINVAL "$(errno_of_write "$MNT/a/model" "$(printf 'a\nb')")"
	same gemini-flash-latest "$(cat "$MNT/a/model")"
}

@test "400: the API's own text, with its line numbers, is in error" {
	knob validate=full
	echo '{"key":"a","request":{"contents":[{"parts":[{"text":"x"}]}],"thinking":{}}}' >"$IN"
	fails EINVAL "'thinking'" 1
}

@test "403" {
	fault 'match=create&kind=status&status=403&text=Key+leaked.'
	fails EACCES "Key leaked."
	goes_now
}

@test "401" {
	fault 'match=create&kind=status&status=401'
	fails EACCES
	goes_now
}

@test "429 for want of billing is not tried for long" {
	knob quota_text=prepaid
	fault 'match=create&kind=status&status=429&count=0&text=Your+prepayment+credits+are+depleted.'
	fails EDQUOT "prepayment credits"
}

@test "429 is tried again" {
	knob retry_after=0
	fault 'match=create&kind=status&status=429&count=1'
	cp "$IN" "$J"
	same 1 "$(jobs_at_api)"
}

@test "no network" {
	stop_emulator
	same EHOSTUNREACH "$(errno_of_write "$J" "$(cat "$IN")")"
	state_is a SUBMIT_FAILED || state_is a DRAFT
	[ "$(wc -l <"$MNT/a/error")" -ge 2 ]
	same "$(cat "$IN")" "$(cat "$J")"
	start_emulator
	goes_now
}

@test "the upload is refused: too large" {
	fault 'match=upload_start&kind=status&status=413&count=0'
	fails EFBIG
}

@test "the MIME type is refused: another is tried" {
	knob mime_refuse=application/jsonl
	cp "$IN" "$J"
	succeeded a
}

@test "HTML where JSON belongs, on lists: what is known stays" {
	cp "$IN" "$J"
	succeeded a
	fault 'match=list&kind=html&status=200&count=0'
	fault 'match=get&kind=html&status=502&count=0'
	sleep 2
	ls "$MNT"
	state_is a JOB_STATE_SUCCEEDED
	same 3 "$(grep -c . "$MNT/a/results.jsonl")"
}

# What does not come from the API itself proves nothing: the job is looked for.
unproven() {
	same EIO "$(errno_of_write "$J" "$(cat "$IN")")"
	lacks "$(cat "$MNT/a/error")" '<html'
	contains "$(cat "$MNT/a/error")" 'may exist or not'
	same 0 "$(jobs_at_api)"
}

@test "HTML as the refusal of a create: no tags in error, and it is no proof" {
	fault 'match=create&kind=html&status=404'
	unproven
	no_more_faults
	echo resubmit >"$MNT/a/ctl"
	succeeded a
	same 1 "$(jobs_at_api)"
}

@test "error bodies as array: the API's own" {
	knob error_shape=array
	echo gemini-0.1-imaginary >"$MNT/a/model"
	fails EINVAL
}

@test "error bodies as text: nobody's" {
	knob error_shape=text
	echo gemini-0.1-imaginary >"$MNT/a/model"
	unproven
}

@test "an unfinished upload is taken up where it broke off or done anew: bought once" {
	fault 'match=upload&kind=cut_body&at=50'
	cp "$IN" "$J" || echo submit >"$MNT/a/ctl"
	bought_once a "$IN"
}

@test "no key after the start: EACCES, and it recovers" {
	fault 'match=*&kind=status&status=403&count=3'
	run cp "$IN" "$J"
	eventually sh -c 'echo submit >"$1"' - "$MNT/a/ctl" || true
	becomes 1 jobs_at_api
}

# ---- models ------------------------------------------------------------------------

@test "a model that the API does not have: nothing is sent, near names are told" {
	echo gemini-3.8-flsh >"$MNT/a/model"
	fails EINVAL "no model gemini-3.8-flsh" "Names that would do: gemini-3.8-flash,"
	same 0 "$(calls create)"
	same 0 "$(files_at_api)"
	echo gemini-3.8-flash >"$MNT/a/model"
	echo submit >"$MNT/a/ctl"
	succeeded a
	run ! test -e "$MNT/a/error"
}

@test "a model that cannot do it, by mv: the bytes are kept" {
	echo gemma-3-27b-it >"$MNT/a/model"
	requests 2 >"$MNT/a/.tmp"
	same EBADMSG "$(errno_of 'os.rename(a[0], a[1])' "$MNT/a/.tmp" "$MNT/a/requests.jsonl")"
	contains "$(cat "$MNT/a/error")" "does not offer batchGenerateContent"
	cmp "$MNT/a/.tmp" "$MNT/a/requests.jsonl.rejected"
	same 0 "$(files_at_api)"
}

@test "a model that is in no list is asked for by itself; without a list it is tried" {
	echo gemini-3.7-flash >"$MNT/a/model"
	cp "$IN" "$J"
	succeeded a
	remount_jobs -o model=gemini-2.5-flash
	fault "match=models&kind=status&status=503&count=100"
	draft b
	run ! cp "$IN" "$MNT/b/requests.jsonl"
	contains "$(cat "$MNT/b/error")" "no longer available"
	state_is b SUBMIT_FAILED
}

@test "models are asked for once, however many are sent" {
	for j in b c d; do
		submit_job $j
	done
	same 2 "$(calls models)" # the key's check is one
}

@test "mv onto requests.jsonl that the API refuses: no word of files that are the same" {
	knob validate=full
	echo '{"key":"a","request":{"contents":[{"parts":[{"text":"x"}]}],"thinking":{}}}' >"$MNT/a/.tmp"
	run ! mv "$MNT/a/.tmp" "$J"
	lacks "$output" "same file"
	[ ! -e "$MNT/a/.tmp" ]
	state_is a SUBMIT_FAILED
	contains "$(cat "$MNT/a/error")" thinking
	same 0 "$(jobs_at_api)"
}
