#!/usr/bin/env bats
# Exit statuses: what each verb ends with, by what came in its way. A test is a cause; of the
# words of `end` each is a verb and the status that is expected, `,` standing for a space.

load ../helpers/mount
load ../helpers/verbs

export BATCHFS_TEST_BACKOFF_SECONDS=0.02 BATCHFS_TEST_QUEUE_SECONDS=0.3 BATCHFS_TEST_SETTLE_SECONDS=0.5
export BATCHFS_TEST_CLOSE_SECONDS=0.5 BATCHFS_TEST_SETTLED_SECONDS=1
export BATCHFS_TEST_REMOVAL_SECONDS=0.2

setup() {
	start_emulator
	cd "$BATS_TEST_TMPDIR" || return
	# shellcheck disable=SC2034 # for `said`
	SAID=$PWD/said
	requests 3 >in.jsonl
}
teardown() { stop_all; }

end() { # VERB,WORD...=STATUS...
	local row words bad=0
	for row; do
		IFS=, read -ra words <<<"${row%=*}"
		ends "${row##*=}" b "${words[@]}" || bad=1
	done
	return $bad
}

# For ever, with status $2 for calls of $1.
refuse() { fault "match=$1&kind=status&status=$2&count=0"; }

# submitted NAME...: and ended, but the results are still at the API.
submitted() {
	local name
	for name; do end "submit,$name,in.jsonl=0" "wait,$name,-o,fetch=read=0" || return; done
}

nothing_wrong() {
	end run,a,in.jsonl=0 run,a,in.jsonl=0 run,a,in.jsonl,--to,out=0 submit,a,in.jsonl=0 \
		submit,b,in.jsonl,--queue=0 wait,a=0 wait,a,b=0 cat,a=0 cat,a/usage=0 ls=0 ls,a=0 \
		ls,-l=0 fetch,a=0 status=0 jobs=0 models=0 history=0 rm,a,b=0
}
@test "status: nothing is wrong" { both_ways nothing_wrong; }

usage() {
	sed 's/prompt 2/other 2/' in.jsonl >other.jsonl
	submitted a && end run,a,other.jsonl=2 submit,a,other.jsonl=2 run,a,in.jsonl,-m,gemini-3.8-flash=2 \
		run,../a,in.jsonl=2 run,n,nowhere=2 run=2 wait=2 cat=2 rm=2 ls,-x=2 ctl,a,nonsense=2 help,run=0
}
@test "status: wrong words, or the name is taken" { both_ways usage; }

no_job() {
	end wait,no=1 cat,no=1 ls,no=1 cancel,no=1 fetch,no=1 retry,no=1 rm,no=1 ctl,no,submit=1
}
@test "status: no such job" { both_ways no_job; }

bad_requests() {
	echo '{"key": "a"}' >bad.jsonl
	end run,a,bad.jsonl=1 submit,a,bad.jsonl=1 wait,a=1 cat,a=1 ctl,a,submit=1 fetch,a=1 \
		run,m,in.jsonl,-m,no-such-model=1 wait,m=1 cat,m=1
}
@test "status: requests or a model that cannot be sent" { both_ways bad_requests; }

still_going() {
	knob pending=600
	end submit,a,in.jsonl=0 run,a,in.jsonl,--timeout,0.1=75 wait,a,--timeout,0.1=75 cat,a=75 \
		cat,a/usage=75 cat,a/error=1 ls,a=0 ls,a/responses=75 retry,a=1 cancel,a=0 || return
	end wait,a=1 run,a,in.jsonl=1 cat,a=1
}
@test "status: it has not ended; it was cancelled" { both_ways still_going; }

failed_as() {
	knob "$@" || return
	end run,a,in.jsonl=1 submit,a,in.jsonl=0 wait,a=1 cat,a=1 fetch,a=1 rm,a=0
}
failed() { failed_as outcome=failed && failed_as outcome=expired && knob outcome=succeeded; }
@test "status: it failed, or expired" { both_ways failed; }

some() {
	knob fail_every=3
	end run,a,in.jsonl=3 run,a,in.jsonl,--to,out=3 wait,a=0 cat,a=0 fetch,a=0 || return
	knob fail_every=0
}
@test "status: some requests have no answer" { both_ways some; }

# What is paid for is at the API: whatever it says now, it is asked again.
not_had() { # STATUS
	submitted "a$1" || return
	refuse download "$1"
	end "run,a$1,in.jsonl=75" "run,a$1,in.jsonl,--results=75" "run,a$1,in.jsonl,--to,out=75" \
		"cat,a$1=75" "cat,a$1/results.jsonl=75" "cat,a$1/usage=75" "ls,a$1/responses=75" \
		"fetch,a$1=75" "wait,a$1=0" || return
	no_more_faults
	end "run,a$1,in.jsonl=0" && same 3 "$(grep -c answered <<<"$OUT")"
}
none_had() { not_had 500 && not_had 503 && not_had 429 && not_had 403 && not_had 404; }
@test "status: the results cannot be had now" { THROUGH=fetch=read both_ways none_had; }

cut_off() {
	submitted a || return
	fault 'match=download&kind=drop_before&count=0'
	end run,a,in.jsonl=75 cat,a=75 fetch,a=75 || return
	no_more_faults
	end run,a,in.jsonl=0
}
@test "status: the connection for the results breaks" { THROUGH=fetch=read both_ways cut_off; }

# What cannot be written here is no matter of the API.
@test "status: answers that cannot be written" {
	[ -e /dev/full ] || skip "no /dev/full here"
	submitted a
	local status=0
	b run a in.jsonl >/dev/full || status=$?
	same 1 $status
	ends 0 b run a in.jsonl
}

upload_fails() {
	refuse upload 503
	end submit,a,in.jsonl=75 run,b,in.jsonl,--timeout,0.5=75 wait,b,--timeout,0.1=75 cat,b=75 \
		ctl,a,submit=75 || return
	no_more_faults
	end submit,a,in.jsonl=0 run,b,in.jsonl=0
}
@test "status: the API is down when it is to be bought" { both_ways upload_fails; }

quota() {
	refuse create 429
	end submit,a,in.jsonl=75 submit,b,in.jsonl,--queue=0 run,b,in.jsonl,--timeout,0.3=75 \
		wait,b,--timeout,0.1=75 cat,b=75 || return
	no_more_faults
	end submit,a,in.jsonl=0 run,b,in.jsonl=0
}
@test "status: the quota is used up" { both_ways quota; }

limits() {
	end run,a,in.jsonl,-o,max_tokens=1=1 submit,b,in.jsonl,-o,max_tokens=1=1 wait,b=1 || return
	end run,a,in.jsonl=0
}
@test "status: above a limit of the user's" { both_ways limits; }

refused() {
	refuse create 400
	end submit,a,in.jsonl=1 run,a,in.jsonl=1 wait,a=1 cat,a=1 || return
	no_more_faults
	refuse create 403
	end submit,a,in.jsonl=77 run,a,in.jsonl=77 wait,a=77 cat,a=77 || return
	no_more_faults
	end run,a,in.jsonl=0
}
@test "status: the API refuses it, or the key" { both_ways refused; }

@test "status: the key is refused at the start" {
	submitted a
	refuse models 403
	end run,a,in.jsonl=77 submit,b,in.jsonl=77 wait,a=77 cat,a=77 ls=77 rm,a=77 jobs=77 status=77
	no_more_faults
	unset GEMINI_API_KEY
	end run,a,in.jsonl=77 ls=77 cat,a=77 wait,a,-o,offline=0
}

uncertain() {
	refuse create 503
	end submit,a,in.jsonl=1 wait,a=1 run,a,in.jsonl=1 cat,a=1 || return
	contains "$(b cat a/state)" SUBMIT_UNCERTAIN || return
	no_more_faults
	end ctl,a,resubmit=0 run,a,in.jsonl=0
}
@test "status: nobody knows whether it was bought" { both_ways uncertain; }

@test "status: no network" {
	submitted a
	GOOGLE_GEMINI_BASE_URL=http://127.0.0.1:9 end run,n,in.jsonl,--timeout,0.2=75 submit,m,in.jsonl=75 \
		ls=0 cat,n=75 wait,n,--timeout,0.1=75 rm,m=0
	stop_emulator
	end cat,a=75 fetch,a=75 run,a,in.jsonl=75 wait,a=0 rm,a=75 cat,a/state=0 ls=0
}

# As with a close, the job exists when its first part does; who asks is told of the others.
@test "status: only a part is bought" {
	knob max_jobs=1 pending=600
	ends 0 b submit a in.jsonl --split 1
	said '1 part is bought, the others not yet'
	said 'while a mount or a verb that waits is running'
	end submit,a,in.jsonl=0 wait,a,--timeout,0.1=75 run,a,in.jsonl,--timeout,0.1=75 cat,a=75
	knob max_jobs=100 pending=0.05
	end run,a,in.jsonl,--split,1=0
	same 3 "$(jobs_at_api)"
}
