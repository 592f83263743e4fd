#!/usr/bin/env bats
# What verbs say, and end with, where something is not as expected.

load ../helpers/mount
load ../helpers/verbs

setup() {
	start_emulator
	cd "$BATS_TEST_TMPDIR" || return
	SAID=$PWD/said
	requests 3 >in.jsonl
}
teardown() { stop_all; }

# not_yet FILE...: each is there later.
not_yet() {
	local file
	for file; do
		ends 75 b cat "$file" || return
		said "$file is not there yet (JOB_STATE_PENDING)" || return
		said "batchfs wait a" || return
	done
}

there_later() {
	knob pending=600
	ends 0 b submit a in.jsonl || return
	not_yet a/answers.tsv a/results.jsonl a/usage a/responses a/responses/k1.txt || return
	ends 75 b cat a || return
	ends 75 b ls a/responses || return
	ends 1 b cat a/error || return
	said 'nothing to say' || return
	ends 1 b cat a/reslts.jsonl || return
	said 'did you mean results.jsonl?' || return
	ends 1 b cat a/parts/0001/state || return
	said 'has no parts' || return
	ends 1 b ls a/state || return
	said 'batchfs cat a/state' || return
	ends 1 b cat nojob || return
	said 'nojob: there is no such job' || return
	ends 0 b cancel a || return
	ends 1 b wait a || return
	knob pending=0.05
	ends 0 b run b in.jsonl || return
	ends 1 b cat b/responses || return
	said 'batchfs ls b/responses' || return
	ends 1 b cat b/responses/k9.txt || return
	said 'there is no responses/k9.txt'
}

@test "cat says whether a file comes, and when" {
	both_ways there_later
}

never_there() {
	knob outcome=failed
	ends 1 b run a in.jsonl || return
	ends 1 b cat a || return
	said 'a: JOB_STATE_FAILED: there is no answers.tsv' || return
	said 'The job failed at the API' || return
	knob outcome=succeeded
	ends 1 b run bad in.jsonl -m no-such-model || return
	ends 1 b cat bad || return
	said 'SUBMIT_FAILED: there is no answers.tsv' || return
	said 'has no model no-such-model'
}

@test "cat says what became of a job that has no answers" {
	both_ways never_there
}

@test "cat of a part that is not there yet" {
	knob pending=600
	mount_jobs
	ends 75 b run a in.jsonl --split 1 --timeout 0.1
	eventually test -e "$MNT/a/parts/0003/id"
	unmount_jobs
	ends 75 b cat a/parts/0001/answers.tsv
	said 'JOB_STATE_PENDING'
	ends 75 b cat a/parts/0004/usage
	ends 1 b cat a/parts/0001/reslts
}

# Of nothing no job can be made, so nothing is attached to, either.
nothing_asked() {
	ends 0 b run a in.jsonl || return
	ends 2 b run a </dev/null || return
	said 'no requests on standard input' || return
	said 'batchfs wait NAME' || return
	ends 2 b run new - </dev/null || return
	printf '\n \n' >blank
	ends 2 b submit new blank || return
	said 'blank: there are no requests in it' || return
	mkdir -p empty
	ends 2 b run new --inputs empty --prompt x || return
	ends 2 b run new nowhere.jsonl || return
	said 'nowhere.jsonl: No such file' || return
	ends 2 b run new in.jsonl --to in.jsonl/x || return
	said 'in.jsonl/x: Not a directory' || return
	ends 0 b ls || return
	same a "$OUT"
}

@test "without requests, or a place for answers, nothing is begun" {
	both_ways nothing_asked
	same 2 "$(calls create)"
}

key_refused() {
	fault 'match=create&kind=status&status=403&count=1'
	ends 77 b run a in.jsonl || return
	said 'refused the key' || return
	ends 77 b wait a || return
	ends 77 b cat a || return
	fault 'match=create&kind=status&status=403&count=1'
	ends 77 b submit a in.jsonl || return
	ends 0 b run a in.jsonl || return
	same 0 "$(desk_value submit_errno a/stats)"
}
desk_value() { b cat "$2" | grep -c "^$1 "; }

@test "a key that is refused only when a job is bought is 77" {
	both_ways key_refused
}

above_limit() {
	local before
	before=$(calls create)
	ends 1 b run a in.jsonl -o max_tokens=1 || return
	said 'max_tokens is 1' || return
	ends 1 b submit b in.jsonl -o max_tokens=1 || return
	ends 1 b submit c in.jsonl -o max_cost=1 || return
	said 'price' || return
	same "$before" "$(calls create)" || return
	ends 0 b run a in.jsonl -o max_tokens=1000
}

@test "above a limit is refused, whichever way it was submitted" {
	both_ways above_limit
	ends 1 b ctl b submit -o max_tokens=1
	same 2 "$(calls create)"
}

limit_of_ctl() {
	ends 0 b submit old in.jsonl || return
	ends 1 b submit a in.jsonl -o max_tokens=1 || return
	ends 1 b ctl a submit max_tokens=1 || return
	said 'max_tokens is 1' || return
	ends 1 b ctl a submit -o max_tokens=1 || return
	ends 1 b ctl a submit max_cost=1 || return
	said price || return
	ends 1 b ctl a submit max_tokens=x || return
	ends 1 b ctl a submit nonsense || return
	ends 2 b ctl a check more || return
	ends 0 b ctl a submit max_tokens=1000 || return
	ends 1 b ctl old retry max_tokens=1
}

@test "ctl takes limits for one directory" {
	both_ways limit_of_ctl
	same 4 "$(calls create)"
}

# What is queued is held to them by whoever sends it.
@test "a limit that was given with --queue counts when it is sent" {
	export BATCHFS_TEST_QUEUE_SECONDS=0.3 BATCHFS_TEST_OWN_SECONDS=0.3
	fault 'match=count_tokens&kind=status&status=503&count=0'
	ends 0 b submit --queue a in.jsonl -o max_tokens=1
	no_more_faults
	mount_jobs
	eventually state_is a SUBMIT_FAILED
	contains "$(cat "$MNT/a/error")" 'max_tokens is 1'
	same 0 "$(calls create)"
}

of_a_verb() {
	ends 0 b run a in.jsonl -o model=gemini-3.8-flash,split=2 || return
	ends 0 b cat a/model a/split || return
	same $'gemini-3.8-flash\n2' "$OUT"
}

long_list() {
	ends 0 b submit a in.jsonl || return
	ends 0 b submit 'a b' in.jsonl || return
	ends 0 b ls -l a || return
	same $'name\na' "$(cut -f 1 <<<"$OUT")" || return
	ends 0 b ls -l 'a b' || return
	same 2 "$(wc -l <<<"$OUT")" || return
	ends 1 b ls -l nojob || return
	said 'nojob: there is no such job' || return
	ends 2 b ls -l a/inputs
}

@test "ls -l of a job is its row" {
	both_ways long_list
}

@test "options of a verb count where a mount has others" {
	both_ways of_a_verb
}

@test "an unreachable API is not an end: what is not bought yet is called so" {
	GOOGLE_GEMINI_BASE_URL=http://127.0.0.1:9 ends 75 b run a in.jsonl --timeout 0.2
	said 'not bought yet (QUEUED)'
	lacks "$(cat "$SAID")" 'the job goes on'
	GOOGLE_GEMINI_BASE_URL=http://127.0.0.1:9 ends 75 b submit b in.jsonl
}

@test "a state directory that cannot be used is no matter of the key" {
	need_other_uid
	install -m 755 "$BATCHFS" there
	mkdir -m 755 state
	as_other env HOME=/nonexistent XDG_STATE_HOME="$PWD/state" timeout 60 "$PWD/there" ls \
		>out 2>"$SAID" || echo $? >status
	same 1 "$(cat status)"
	said "$PWD/state/batchfs/default@127.0.0.1:$EMU_PORT: Permission denied"
}

@test "several states have names, and one is one request" {
	ends 0 b submit a in.jsonl
	head -n 1 in.jsonl >one.jsonl
	ends 0 b run b one.jsonl
	said ', 1 request,'
	ends 0 b wait a
	same JOB_STATE_SUCCEEDED "$OUT"
	ends 1 b wait a nojob b
	same $'a\tJOB_STATE_SUCCEEDED\nb\tJOB_STATE_SUCCEEDED' "$OUT"
	said 'nojob: there is no such job'
}

vanished() {
	knob pending=600
	ends 0 b submit a in.jsonl || return
	ends 0 b cat a/id || return
	emu DELETE "/emu/job/$(basename "$OUT")" >/dev/null || return
	ends 1 b wait a || return
	said 'a: The API does not know this job any more (since 20' || return
	said 'batchfs ctl a retry' || return
	ends 1 b run a in.jsonl || return
	said 'a: The API does not know this job any more (since 20' || return
	ends 1 b wait nojob || return
	said 'nojob: there is no such job'
}

@test "a job that another removed at the API is waited for no longer, and it is said why" {
	export BATCHFS_TEST_MISSING_SECONDS=0.3 BATCHFS_TEST_GONE_SECONDS=1
	both_ways vanished
}

again() {
	local before
	before=$(calls create)
	ends 3 b run a in.jsonl --retries 2 || return
	same $'failed\nfailed\nfailed' "$(cut -f 2 <<<"$OUT")" || return
	said '3 requests have no answer' || return
	same $((before + 3)) "$(calls create)" || return
	ends 3 b run a in.jsonl --retries 2 || return
	same $((before + 3)) "$(calls create)" || return
	ends 2 b run b in.jsonl --retries many
}

@test "--retries asks again by itself" {
	export BATCHFS_TEST_RETRY_SECONDS=0.1
	knob fail_every=1
	both_ways again
}

# Of a job that is there already, too; and a mount goes on with it that was told nothing of it.
later() {
	local before
	before=$(calls create)
	ends 3 b run a in.jsonl || return
	same $((before + 1)) "$(calls create)" || return
	ends 3 b run a in.jsonl --retries 1 || return
	same $((before + 2)) "$(calls create)" || return
	ends 0 b ctl a retry retries=2 || return
	ends 0 b wait a || return
	same $((before + 3)) "$(calls create)"
}

@test "--retries of a job that is there already" {
	export BATCHFS_TEST_RETRY_SECONDS=0.1
	knob fail_every=1
	both_ways later
}

@test "a mount goes on with --retries" {
	export BATCHFS_TEST_RETRY_SECONDS=0.1
	knob fail_every=1
	ends 0 b submit a in.jsonl --retries 1
	mount_jobs
	becomes 2 calls create
}

# ---- the command line --------------------------------------------------------------------

@test "a mistyped verb" {
	ends 2 "$BATCHFS" runn x 2>"$SAID"
	said 'did you mean run?'
	said 'batchfs help'
	ends 2 "$BATCHFS" nonsense 2>"$SAID"
	said 'nonsense is no verb'
	ends 2 "$BATCHFS" help wiat 2>"$SAID"
	said 'did you mean wait?'
	ends 2 b ctl a submti
	said 'did you mean submit?'
	ends 2 b ctl a adopt
	said 'adopt takes an ID'
	ends 0 "$BATCHFS" help help
	contains "$OUT" 'batchfs run NAME'
	ends 1 "$BATCHFS" nowhere/jobs 2>"$SAID"
	said 'mkdir it first'
}

@test "help of a verb has its own exit statuses" {
	ends 0 "$BATCHFS" help run
	same '0 1 2 3 75 77 130' "$(sed -n '/^Exit status/,$s/^ *\([0-9]\+\) .*/\1/p' <<<"$OUT" | xargs)"
	ends 0 "$BATCHFS" help jobs
	same '0 1 2 77' "$(sed -n '/^Exit status/,$s/^ *\([0-9]\+\) .*/\1/p' <<<"$OUT" | xargs)"
}

other_kind() {
	printf 'one\ntwo\n' >plain
	ends 1 b run a plain || return
	said '--inputs FILE' || return
	ends 2 b run a --inputs plain --prompt Say: || return
	said 'other requests (requests.jsonl differs)' || return
	ends 0 b rm a || return
	ends 0 b run a --inputs plain --prompt Say: || return
	ends 2 b run a in.jsonl || return
	ends 1 b run c --inputs plain -m no-such-model || return
	ends 2 b run c in.jsonl || return
	ends 0 b run b in.jsonl || return
	ends 2 b run b --inputs plain || return
	said 'other requests' || return
	ends 0 b ctl b
}

@test "one kind of requests is refused where the other is" {
	both_ways other_kind
}

refused_verb() {
	ends 0 b run a in.jsonl || return
	ends 1 b cancel a || return
	same 1 "$(wc -l <"$SAID")" || return
	said 'cancel is not possible now (JOB_STATE_SUCCEEDED; possible: '
}

@test "a verb that does not fit is said once" {
	both_ways refused_verb
}
