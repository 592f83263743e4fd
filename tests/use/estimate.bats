#!/usr/bin/env bats
# What a job will cost, before it does: estimate, max_tokens, max_cost, prices.tsv.

load ../helpers/mount

setup() {
	export BATCHFS_TEST_DOUBT_SECONDS=0.01
	start_emulator
}
teardown() { stop_all; }

stat_of() { awk -v n="$2" '$1 == n { print $2 }' "$MNT/$1/stats"; } # JOB NAME
used() { awk '$1 == "prompt_token_count" { print $2 }' "$MNT/$1/usage"; }

prices() {
	mkdir -p "$XDG_CONFIG_HOME/batchfs"
	printf '%b' "$1" >"$XDG_CONFIG_HOME/batchfs/prices.tsv"
}

# Estimated and bought, the prompts have as many tokens.
comes_true() { # JOB
	echo estimate >"$MNT/$1/ctl"
	same DRAFT "$(cat "$MNT/$1/state")"
	local tokens
	tokens=$(stat_of "$1" estimated_prompt_tokens)
	same 0 "$(stat_of "$1" estimate_error_percent)"
	[ "$tokens" -gt 0 ]
	same 0 "$(jobs_at_api)"
	echo submit >"$MNT/$1/ctl"
	ended "$1"
	echo estimate >"$MNT/$1/ctl"
	same "$tokens" "$(stat_of "$1" estimated_prompt_tokens)"
	same "$tokens" "$(used "$1")"
	same 1 "$(calls create)"
}

@test "an estimate comes true: lines, a thousand of them" {
	mount_jobs
	draft a
	seq -f '{"key":"k%g","request":{"contents":[{"parts":[{"text":"a question of length"}]}]}}' \
		1001 2000 >>"$MNT/a/requests.jsonl"
	comes_true a
	same 40 "$(calls count_tokens)"
}

@test "an estimate comes true: inputs with pictures" {
	mount_jobs
	draft a
	for i in 1 2 3 4 5; do
		printf '\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\10\2\0\0\0\x90wS\xde%d' $i \
			>"$MNT/a/inputs/$i.png"
	done
	echo 'What is this?' >"$MNT/a/prompt.txt"
	comes_true a
}

@test "an estimate comes true: a table, and what it costs" {
	prices 'model\tin\tout\nmodels/gemini-flash-latest\t1000000\t0\n'
	mount_jobs
	draft a
	printf 'id,text\n1,good\n2,bad\n' >"$MNT/a/inputs.csv"
	echo 'Is {text} good?' >"$MNT/a/prompt.txt"
	comes_true a
	same "$(stat_of a estimated_prompt_tokens).00" "$(stat_of a estimated_prompt_cost)"
	same "$(used a).00" "$(awk '$1 == "cost" { print $2 }' "$MNT/a/usage")"
}

@test "an estimate of embeddings" {
	mount_jobs
	draft a
	echo gemini-embedding-2 >"$MNT/a/model"
	printf 'one text\nanother\n' >"$MNT/a/inputs.txt"
	echo estimate >"$MNT/a/ctl"
	same 4 "$(stat_of a estimated_prompt_tokens)"
	same 0 "$(jobs_at_api)"
}

@test "above max_tokens nothing is sent: cp, mv, ctl; a higher one lets it pass" {
	mount_jobs -o max_tokens=5
	draft a
	requests 3 >"$BATS_TEST_TMPDIR/in"
	run cp "$BATS_TEST_TMPDIR/in" "$MNT/a/requests.jsonl"
	[ "$status" != 0 ]
	contains "$output" 'quota exceeded'
	contains "$(cat "$MNT/a/error")" 'about 6 tokens (give or take 0 %), and max_tokens is 5.'
	cp "$BATS_TEST_TMPDIR/in" "$MNT/a/tmp"
	run mv "$MNT/a/tmp" "$MNT/a/requests.jsonl"
	[ "$status" != 0 ]
	same EDQUOT "$(errno_of_ctl a submit)"
	same 0 "$(jobs_at_api)"
	same 0 "$(files_at_api)"
	unmount_jobs
	mount_jobs -o max_tokens=6
	echo submit >"$MNT/a/ctl"
	same 1 "$(jobs_at_api)"
}

@test "a limit that cannot be checked buys nothing, and says how to go on" {
	prices 'gemini-flash-latest\t1\n'
	mount_jobs -o max_cost=2.5
	draft a
	requests 3 >>"$MNT/a/requests.jsonl"
	same EINVAL "$(errno_of_ctl a submit)"
	contains "$(cat "$MNT/a/error")" "max_cost cannot be checked: line 1 of $XDG_CONFIG_HOME/batchfs/prices.tsv"
	prices 'gemini-flash-latest\t1\t2\n'
	fault 'match=count_tokens&kind=status&status=403&count=0'
	same EACCES "$(errno_of_ctl a submit)"
	contains "$(cat "$MNT/a/error")" 'so max_cost cannot be checked'
	contains "$(cat "$MNT/a/error")" 'mount without max_cost'
	same EACCES "$(errno_of_ctl a estimate)"
	no_more_faults
	echo submit >"$MNT/a/ctl"
	same 1 "$(jobs_at_api)"
}

@test "bad limits are refused at the start" {
	mkdir -p "$BATS_TEST_TMPDIR/m"
	for o in max_tokens=0 max_tokens=-1 max_tokens=1k max_tokens= max_cost=0 max_cost=x \
		max_cost=1e9 max_cost=1.5.2 max_cost; do
		run "$BATCHFS" -o "$o" "$BATS_TEST_TMPDIR/m"
		same 1 "$status"
		same 1 "${#lines[@]}"
		contains "$output" "${o%=*}"
	done
}
