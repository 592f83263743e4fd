#!/usr/bin/env bats
# What came back of a directory that was bought as several jobs: its own files speak for all,
# and grow part by part; each part has its own.

load ../helpers/mount

setup() {
	export BATCHFS_TEST_DOUBT_SECONDS=0.01
	start_emulator
}
teardown() { stop_all; }

# Lines of "KEY PROMPT" on stdin to a requests file.
asks() {
	jq -cRn 'inputs | capture("^(?<k>\\S+) (?<t>.*)$") |
		{key: .k, request: {contents: [{parts: [{text: .t}]}]}}'
}

@test "the files of a directory are those of its parts, put together" {
	mount_jobs
	mkdir "$MNT/j"
	echo 2 >"$MNT/j/split"
	asks >"$BATS_TEST_TMPDIR/r" <<-'END'
		a one
		b [emu:error 14]
		dir/c three
		d [emu:gone]
		e five
	END
	cp "$BATS_TEST_TMPDIR/r" "$MNT/j/requests.jsonl"
	same JOB_STATE_SUCCEEDED "$(cat "$MNT/j/wait")"
	# Before anybody has opened it.
	size=$(stat -c %s "$MNT/j/results.jsonl")
	same "$size" "$(cat "$MNT/j/results.jsonl" | wc -c)"
	same 0001,0002,0003 "$(ls "$MNT/j/parts" | paste -sd,)"
	same "a,b,dir/c,d,e" "$(cut -f1 "$MNT/j/answers.tsv" | paste -sd,)"
	same "answered,failed,answered,answered,answered" \
		"$(cut -f2 "$MNT/j/answers.tsv" | paste -sd,)"
	same "You said: three" "$(cat "$MNT/j/responses/dir/c.txt")"
	same "$(sed -n 2p "$BATS_TEST_TMPDIR/r")" "$(cat "$MNT/j/retry.jsonl")"
	same "$(cat "$MNT"/j/parts/*/answers.tsv)" "$(cat "$MNT/j/answers.tsv")"
	same "$(cat "$MNT"/j/parts/*/results.jsonl)" "$(cat "$MNT/j/results.jsonl")"
	same "$(stat -c %s "$MNT/j/results.jsonl")" "$(cat "$MNT/j/results.jsonl" | wc -c)"
	same "$(stat -c %s "$MNT/j/answers.tsv")" "$(cat "$MNT/j/answers.tsv" | wc -c)"
	same "$(awk '/^total_token/ { n += $2 } END { print n }' "$MNT"/j/parts/*/usage)" \
		"$(awk '/^total_token/ { print $2 }' "$MNT/j/usage")"
	contains "$(cat "$MNT/j/usage")" "pending 0"
	same 3 "$(grep -c counted "$MNT/.batchfs/history")"
	cp -r "$MNT/j" "$BATS_TEST_TMPDIR/copy"
	cmp "$MNT/j/answers.tsv" "$BATS_TEST_TMPDIR/copy/answers.tsv"
	cmp "$MNT/j/results.jsonl" "$BATS_TEST_TMPDIR/copy/results.jsonl"
}

@test "answers are there with the first part, and grow" {
	local j
	export BATCHFS_TEST_QUEUE_SECONDS=0.5
	fault 'match=create&kind=status&status=429&skip=1&count=100000'
	mount_jobs
	j=$MNT/j
	mkdir "$j"
	echo 1 >"$j/split"
	printf 'a one\nb two\n' | asks >"$BATS_TEST_TMPDIR/r"
	cp "$BATS_TEST_TMPDIR/r" "$j/requests.jsonl"
	becomes "a	answered	You said: one" sed -n 1p "$j/answers.tsv"
	same "b	pending	" "$(sed -n 2p "$j/answers.tsv")"
	same "a.txt" "$(ls "$j/responses")"
	contains "$(cat "$j/usage")" "pending 1"
	same "" "$(cat "$j/retry.jsonl")"
	[ ! -e "$j/results.jsonl" ]
	exec 9<"$j/answers.tsv"
	no_more_faults
	ended j
	same "a	answered	You said: one
b	answered	You said: two" "$(cat "$j/answers.tsv")"
	same "a.txt,b.txt" "$(ls "$j/responses" | paste -sd,)"
	same "You said: one" "$(cat "$j/responses/a.txt")"
	same 2 "$(wc -l <"$j/results.jsonl")"
	# What was open is as it was.
	contains "$(cat <&9)" "pending"
	exec 9<&-
}

@test "what is only saved when it is read is saved whole" {
	mount_jobs -o fetch=read
	local j=$MNT/j
	mkdir "$j"
	echo 1 >"$j/split"
	printf 'a one\nb two\n' | asks >"$BATS_TEST_TMPDIR/r"
	cp "$BATS_TEST_TMPDIR/r" "$j/requests.jsonl"
	ended j
	ls -l "$j"
	same 2 "$(jq -c .key "$j/results.jsonl" | wc -l)"
	same "$(stat -c %s "$j/results.jsonl")" "$(cat "$j/results.jsonl" | wc -c)"
	contains "$(ls "$j")" results.jsonl
	same "a,b" "$(cut -f1 "$j/answers.tsv" | paste -sd,)"
}

@test "a rename that submits is cut like a copy" {
	mount_jobs
	draft a
	echo 2 >"$MNT/a/split"
	requests 5 >"$MNT/a/tmp"
	mv "$MNT/a/tmp" "$MNT/a/requests.jsonl"
	succeeded a
	same 3 "$(calls create)"
	same "k1 k2 k3 k4 k5" "$(cut -f 1 "$MNT/a/answers.tsv" | xargs)"
}
