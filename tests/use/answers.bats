#!/usr/bin/env bats
# What came back, as files: answers.tsv, responses/, retry.jsonl and usage, of jobs sent
# from here and from elsewhere, by file and inline, before and after a remount.

load ../helpers/mount

# What is missing is soon known to be.
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

# One of each kind.
all_kinds() {
	asks <<-'END'
		plain hello
		deep/er/key [emu:thought] hi
		cut [emu:max_tokens]
		empty [emu:no_parts]
		bad [emu:blocked]
		unsafe [emu:safety]
		wrong [emu:error 3]
		late [emu:error 14]
		gone [emu:missing]
		call [emu:function]
		pic [emu:image 100]
		.. dots
	END
	jq -cn '{key: "json", request: {contents: [{parts: [{text: "x"}]}],
		generationConfig: {responseMimeType: "application/json",
			responseSchema: {type: "OBJECT", properties: {a: {type: "STRING"}}}}}}'
}

send() { # NAME FILE
	mkdir "$MNT/$1" && cp "$2" "$MNT/$1/requests.jsonl"
}

# The answer the emulator gives to a prompt is: You said: PROMPT
kinds_are_right() { # JOB
	local j=$MNT/$1
	same "plain	answered	You said: hello" "$(sed -n 1p "$j/answers.tsv")"
	same "deep/er/key	answered	You said: [emu:thought] hi" "$(sed -n 2p "$j/answers.tsv")"
	same "cut	truncated	You said: this answer was cut o" "$(sed -n 3p "$j/answers.tsv")"
	same "empty	truncated	MAX_TOKENS" "$(sed -n 4p "$j/answers.tsv")"
	same "bad	blocked	PROHIBITED_CONTENT" "$(sed -n 5p "$j/answers.tsv")"
	same "unsafe	blocked	SAFETY" "$(sed -n 6p "$j/answers.tsv")"
	same "wrong	failed	INVALID_ARGUMENT (3): Request contains an invalid argument." \
		"$(sed -n 7p "$j/answers.tsv")"
	contains "$(sed -n 8p "$j/answers.tsv")" "late	failed	UNAVAILABLE (14): "
	same "gone	missing	there is no result for this request" "$(sed -n 9p "$j/answers.tsv")"
	contains "$(sed -n 10p "$j/answers.tsv")" 'call	answered	[{"functionCall":'
	same "pic	answered	pic.png" "$(sed -n 11p "$j/answers.tsv")"
	same "..	answered	You said: dots" "$(sed -n 12p "$j/answers.tsv")"
	same '13' "$(grep -c . "$j/answers.tsv")"
	same "%2E..txt bad.error call.json cut.txt deep deep/er deep/er/key.txt empty.error gone.error json.json late.error pic.png plain.txt unsafe.error wrong.error" \
		"$(cd "$j/responses" && find . -mindepth 1 | sed 's|^./||' | LC_ALL=C sort | xargs)"
	same "You said: hello" "$(cat "$j/responses/plain.txt")"
	same "You said: [emu:thought] hi" "$(cat "$j/responses/deep/er/key.txt")"
	same "do_something" "$(jq -r '.[0].functionCall.name' "$j/responses/call.json")"
	same '{"a":"x"}' "$(jq -c . "$j/responses/json.json")"
	same 100 "$(stat -c %s "$j/responses/pic.png")"
	jq -r 'select(.key == "pic").response.candidates[0].content.parts[0].inlineData.data' \
		"$j/results.jsonl" | base64 -d | cmp - "$j/responses/pic.png"
	same "gone late" "$(jq -r .key "$j/retry.jsonl" | sort | xargs)"
	same "$(jq -cS 'select(.key == "gone")' "$j/requests.jsonl")" \
		"$(jq -cS 'select(.key == "gone")' "$j/retry.jsonl")"
	same 6 "$(value_of answered "$j/usage")"
	same 2 "$(value_of truncated "$j/usage")"
	same 2 "$(value_of blocked "$j/usage")"
	same 2 "$(value_of failed "$j/usage")"
	same 1 "$(value_of missing "$j/usage")"
	same "$(jq -s 'map(.response.usageMetadata.totalTokenCount // 0) | add' "$j/results.jsonl")" \
		"$(value_of total_token_count "$j/usage")"
	same "$(jq -s 'map(.response.usageMetadata.thoughtsTokenCount // 0) | add' "$j/results.jsonl")" \
		"$(value_of thoughts_token_count "$j/usage")"
}

# What stat says is what there is to read, of every file.
sizes_are_true() { # DIRECTORY
	local f
	find "$1" -type f >"$HOME/files"
	[ -s "$HOME/files" ]
	while read -r f; do
		same "$(stat -c %s "$f") $f" "$(wc -c <"$f") $f"
	done <"$HOME/files"
}

@test "each kind of answer has its line and its file" {
	mount_jobs
	all_kinds >"$HOME/in.jsonl"
	send a "$HOME/in.jsonl"
	succeeded a
	# cat needs no patience: it waits until there is something.
	cat "$MNT/a/answers.tsv" >"$HOME/first"
	eventually test -e "$MNT/a/retry.jsonl"
	kinds_are_right a
	cmp "$HOME/first" "$MNT/a/answers.tsv"
	sizes_are_true "$MNT/a"
}

@test "inline, and after a remount without a network" {
	mount_jobs -o inline_max=100000
	all_kinds >"$HOME/in.jsonl"
	send a "$HOME/in.jsonl"
	succeeded a
	kinds_are_right a
	unmount_jobs
	stop_emulator
	mount_jobs -o offline
	kinds_are_right a
	sizes_are_true "$MNT/a"
}

@test "they are listed once results are at home, and the index is made anew where it is damaged" {
	mount_jobs
	submit_job a 20
	succeeded a
	listed() { ls "$MNT/a" | grep -qx answers.tsv; }
	eventually listed
	contains "$(ls "$MNT/a" | xargs)" "responses"
	contains "$(ls "$MNT/a" | xargs)" "retry.jsonl"
	contains "$(ls "$MNT/a" | xargs)" "usage"
	cp "$MNT/a/answers.tsv" "$HOME/good"
	same 20 "$(grep -c 'answered' "$HOME/good")"
	unmount_jobs
	local index
	index=$(echo "$XDG_STATE_HOME"/batchfs/*/jobs/*/results.index)
	[ -s "$index" ]
	printf 'garbage' | dd of="$index" bs=1 seek=300 conv=notrunc status=none
	mount_jobs
	cmp "$HOME/good" "$MNT/a/answers.tsv"
	unmount_jobs
	: >"$index"
	mount_jobs
	ls "$MNT/a/responses" >"$HOME/names"
	same 20 "$(grep -c '^k[0-9]*.txt$' "$HOME/names")"
	unmount_jobs
	rm "$index"
	mount_jobs
	same "You said: prompt 7" "$(cat "$MNT/a/responses/k7.txt")"
}

@test "a job from elsewhere has answers, but nothing to try again" {
	make_foreign_file_job far 5
	make_foreign_job near 4
	mount_jobs -o fetch=read
	succeeded far
	succeeded near
	lacks "$(ls "$MNT/far" | xargs)" "answers.tsv"
	# Read by name they come at once.
	same 5 "$(grep -c '	answered	' "$MNT/far/answers.tsv")"
	same 4 "$(grep -c '	answered	' "$MNT/near/answers.tsv")"
	contains "$(ls "$MNT/far" | xargs)" "answers.tsv"
	same "You said: prompt 2" "$(cat "$MNT/far/responses/k2.txt")"
	[ ! -e "$MNT/far/retry.jsonl" ]
	[ ! -e "$MNT/near/retry.jsonl" ]
	unmount_jobs
	mount_jobs -o offline
	same 5 "$(grep -c '	answered	' "$MNT/far/answers.tsv")"
}

@test "a look into responses/ of a job from elsewhere brings them home, too" {
	make_foreign_file_job far 5
	mount_jobs -o fetch=read
	succeeded far
	same "You said: prompt 2" "$(cat "$MNT/far/responses/k2.txt")"
	same 5 "$(ls "$MNT/far/responses" | grep -c .)"
}

@test "results in the cache are enough" {
	make_foreign_file_job far 5
	mount_jobs -o fetch=read
	succeeded far
	cat "$MNT/far/results.jsonl" >/dev/null
	eventually [ -e "$MNT/far/responses/k1.txt" ]
	same 5 "$(find "$MNT/far/responses" -type f | grep -c .)"
	compgen -G "$XDG_CACHE_HOME/batchfs/*/results/*.index"
	remount_jobs -o offline
	same 5 "$(grep -c . "$MNT/far/answers.tsv")"
}

@test "requests without keys get them, and what is tried again is complete" {
	mount_jobs
	{
		jq -cn '{contents: [{parts: [{text: "[emu:error 13]"}]}]}'
		echo
		jq -cn '{contents: [{parts: [{text: "fine"}]}]}'
		jq -cn '{request: {contents: [{parts: [{text: "[emu:missing]"}]}]}}'
	} >"$HOME/in.jsonl"
	send a "$HOME/in.jsonl"
	succeeded a
	same "1 failed
3 answered
4 missing" "$(cut -f 1,2 --output-delimiter=' ' "$MNT/a/answers.tsv")"
	eventually test -e "$MNT/a/retry.jsonl"
	same "1 4" "$(jq -r .key "$MNT/a/retry.jsonl" | xargs)"
	mkdir "$MNT/b"
	cp "$MNT/a/retry.jsonl" "$MNT/b/requests.jsonl"
	succeeded b
	same 2 "$(jobs_at_api)"
	same "1 4" "$(cut -f 1 "$MNT/b/answers.tsv" | xargs)"
}

@test "answers that do not fit schema.json are invalid, and tried again" {
	restart_emulator --responder cat
	mount_jobs
	mkdir "$MNT/a"
	jq -n '{type: "object", required: ["n"], properties: {n: {type: ["integer", "null"]}}}' \
		>"$MNT/a/schema.json"
	echo '{"n": 1.0}' >"$MNT/a/inputs/good"
	echo '{"n": "1"}' >"$MNT/a/inputs/bad"
	echo '{"n": ' >"$MNT/a/inputs/cut"
	echo submit >"$MNT/a/ctl"
	succeeded a
	same "bad invalid, cut truncated, good answered" \
		"$(cut -f 1,2 --output-delimiter=' ' "$MNT/a/answers.tsv" | paste -sd , | sed 's/,/, /g')"
	eventually test -s "$MNT/a/retry.jsonl"
	same bad "$(jq -r .key "$MNT/a/retry.jsonl")"
	same 1 "$(value_of invalid "$MNT/a/usage")"
	same '{"n": "1"}' "$(cat "$MNT/a/responses/bad.json")"
	same "/n is a string, not a whole number or null" "$(cat "$MNT/a/responses/bad.error")"
	contains "$(cat "$MNT/a/warnings")" "1 answer does not fit the schema that was asked for: in bad, /n is a string"
	sizes_are_true "$MNT/a"
}

@test "a job that ends with nothing is tried again whole" {
	knob pending=3600
	mount_jobs
	submit_job a 4
	api POST "/emu/job/$(sed 's|batches/||' "$MNT/a/id")" -d '{"state": "EXPIRED"}' >/dev/null
	eventually state_is a JOB_STATE_EXPIRED
	eventually [ -e "$MNT/a/retry.jsonl" ]
	cmp "$MNT/a/retry.jsonl" "$MNT/a/requests.jsonl"
	contains "$(ls "$MNT/a" | xargs)" "retry.jsonl"
	[ ! -e "$MNT/a/answers.tsv" ]
	[ ! -e "$MNT/a/responses" ]
	unmount_jobs
	mount_jobs -o offline
	cmp "$MNT/a/retry.jsonl" "$MNT/a/requests.jsonl"
}

@test "wait answers once the answers can be listed" {
	export BATCHFS_TEST_PAUSE=fetch-begins=1
	mount_jobs
	asks >"$HOME/in.jsonl" <<<"here hello"
	send a "$HOME/in.jsonl"
	cat "$MNT/a/wait" >/dev/null
	ls -l "$MNT/a" >"$HOME/list"
	contains "$(cat "$HOME/list")" " answers.tsv"
	contains "$(cat "$HOME/list")" " responses"
	sizes_are_true "$MNT/a/responses"
	same "$(wc -c <"$MNT/a/answers.tsv")" "$(awk '/answers.tsv/ {print $5}' "$HOME/list")"
	# At a later mount nobody has asked for them, and wait is not held for that.
	BATCHFS_TEST_SETTLED_SECONDS=1000 remount_jobs
	succeeded a
	contains "$(ls "$MNT/a")" answers.tsv
}

@test "answers that are not there yet have no size of nought" {
	export BATCHFS_TEST_PAUSE=fetch-begins=2 BATCHFS_TEST_SETTLED_SECONDS=0.1
	mount_jobs
	asks >"$HOME/in.jsonl" <<<"here hello"
	send a "$HOME/in.jsonl"
	cat "$MNT/a/wait" >/dev/null
	size=$(stat -c %s "$MNT/a/answers.tsv")
	same "$(wc -c <"$MNT/a/answers.tsv")" "$size"
	[ "$size" -gt 0 ]
}

@test "what may only be late is not offered to be bought again" {
	export BATCHFS_TEST_DOUBT_SECONDS=3600
	mount_jobs
	asks >"$HOME/in.jsonl" <<-'END'
		here hello
		late [emu:missing]
	END
	send a "$HOME/in.jsonl"
	succeeded a
	results_saved a
	contains "$(cat "$MNT/a/answers.tsv")" "late	missing"
	[ ! -e "$MNT/a/retry.jsonl" ]
	contains "$(cat "$MNT/a/ctl")" fetch
	echo fetch >"$MNT/a/ctl"
	[ ! -e "$MNT/a/retry.jsonl" ]
	export BATCHFS_TEST_DOUBT_SECONDS=0.01
	remount_jobs
	eventually test -e "$MNT/a/retry.jsonl"
	same late "$(jq -r .key "$MNT/a/retry.jsonl")"
}

@test "cp, grep, tar and rsync take the whole directory" {
	mount_jobs
	all_kinds >"$HOME/in.jsonl"
	send a "$HOME/in.jsonl"
	succeeded a
	cat "$MNT/a/answers.tsv" >/dev/null
	eventually test -e "$MNT/a/retry.jsonl"
	cp -r "$MNT/a/responses" "$HOME/copy"
	diff -r "$MNT/a/responses" "$HOME/copy"
	grep -rq 'hello' "$MNT/a/responses"
	tar -C "$MNT/a" -cf "$HOME/t.tar" responses answers.tsv usage retry.jsonl
	mkdir "$HOME/t"
	tar -C "$HOME/t" -xf "$HOME/t.tar"
	diff -r "$MNT/a/responses" "$HOME/t/responses"
	cmp "$MNT/a/answers.tsv" "$HOME/t/answers.tsv"
	need rsync
	rsync -a "$MNT/a/responses/" "$HOME/r/"
	diff -r "$MNT/a/responses" "$HOME/r"
}

@test "nothing of it can be written, and a draft cannot use its names" {
	mount_jobs
	mkdir "$MNT/d"
	for f in answers.tsv usage retry.jsonl responses; do
		same EPERM "$(errno_of 'os.open(a[0], os.O_WRONLY | os.O_CREAT, 0o666)' "$MNT/d/$f")"
	done
	submit_job a 2
	succeeded a
	cat "$MNT/a/usage" >/dev/null
	for f in answers.tsv usage retry.jsonl responses/k1.txt; do
		contains "EACCES EROFS" "$(errno_of 'os.open(a[0], os.O_WRONLY)' "$MNT/a/$f")"
	done
	same EPERM "$(errno_of 'os.open(a[0], os.O_WRONLY | os.O_CREAT, 0o666)' "$MNT/a/responses/new")"
	same EPERM "$(errno_of 'os.unlink(a[0])' "$MNT/a/responses/k1.txt")"
	same EPERM "$(errno_of 'os.mkdir(a[0])' "$MNT/a/responses/new")"
	same EPERM "$(errno_of 'os.unlink(a[0])' "$MNT/a/answers.tsv")"
	rmdir "$MNT/a"
	eventually [ ! -e "$MNT/a" ]
}

@test "the ledger learns the tokens, in and out, and what they cost, once" {
	mkdir -p "$XDG_CONFIG_HOME/batchfs"
	printf 'model\tin\tout\ngemini-flash-latest\t1000000\t2000000\n' >"$XDG_CONFIG_HOME/batchfs/prices.tsv"
	mount_jobs
	submit_job a 3
	succeeded a
	cat "$MNT/a/usage" >"$HOME/usage"
	counted() { [ "$(grep -c "	counted	" "$MNT/.batchfs/history")" = 1 ]; }
	eventually counted
	same "$(awk '{ v[$1] = $2 } END {
		in_ = v["prompt_token_count"]
		out = v["candidates_token_count"] + v["thoughts_token_count"]
		print in_, out, v["cached_content_token_count"], (in_ + 2 * out) ".00", v["total_token_count"]
	}' "$HOME/usage")" \
		"$(awk -F '\t' '$3 == "counted" { print $8, $9, $10, $11, $12 }' "$MNT/.batchfs/history")"
	same "$(value_of cost "$HOME/usage")" "$(awk -F '\t' '$3 == "counted" { print $11 }' "$MNT/.batchfs/history")"
	same "$(stat -c %s "$MNT/a/usage")" "$(wc -c <"$HOME/usage")"
	remount_jobs
	cat "$MNT/a/usage" >/dev/null
	counted
}

@test "twenty thousand answers are listed without an end or a double" {
	mount_jobs
	submit_job many 20000
	succeeded many
	cat "$MNT/many/results.jsonl" >"$HOME/results"
	eventually [ -e "$MNT/many/responses" ]
	find "$MNT/many/responses" -type f -printf '%s %f\n' >"$HOME/list"
	same 20000 "$(grep -c . "$HOME/list")"
	same 20000 "$(cut -d ' ' -f 2 "$HOME/list" | sort -u | grep -c .)"
	same 20000 "$(grep -c . "$MNT/many/answers.tsv")"
	same "$(jq -r .key "$HOME/results" | sort | md5sum)" \
		"$(cut -f 1 "$MNT/many/answers.tsv" | sort | md5sum)"
}

@test "answers that are read while their results are being noted stay what they are" {
	BATCHFS_TEST_PAUSE=home-noted=2 mount_jobs
	submit_job a 20000
	succeeded a
	home() { [ "$(awk '$1 == "a" { print $(NF - 1) }' "$MNT/.batchfs/jobs")" = yes ]; }
	eventually home
	python3 - "$MNT/a/answers.tsv" <<-'END'
		import os, sys, time
		f = os.open(sys.argv[1], os.O_RDONLY)
		size, end = os.fstat(f).st_size, time.monotonic() + 4
		assert size > 0
		while time.monotonic() < end:
		    assert os.fstat(f).st_size == size
		assert sum(iter(lambda: len(os.read(f, 1 << 20)), 0)) == size
	END
}

@test "answers read at the moment they come home are never empty" {
	mount_jobs -o ttl=1,poll=1,fetch=read
	local n file pids=
	requests 3 >"$HOME/in.jsonl"
	for n in {1..25}; do
		(
			mkdir "$MNT/j$n" && cp "$HOME/in.jsonl" "$MNT/j$n/requests.jsonl"
			cat "$MNT/j$n/wait" >"$HOME/w$n"
			for file in answers.tsv usage results.jsonl; do
				cat "$MNT/j$n/$file" >"$HOME/$file.$n"
			done
		) 3>&- &
		pids+=" $!"
	done
	wait $pids
	for n in {1..25}; do
		same "$n: 3 3 12" "$n: $(wc -l <"$HOME/answers.tsv.$n") $(wc -l <"$HOME/results.jsonl.$n") $(wc -l <"$HOME/usage.$n")"
	done
}

@test "random jobs, row by row against an independent reading" {
	mount_jobs
	local rows=$BATS_TEST_DIRNAME/../helpers/rows.py
	for seed in 1 2 3 4 5 6; do
		python3 "$rows" make $seed 40 >"$HOME/$seed.jsonl"
		send "r$seed" "$HOME/$seed.jsonl"
	done
	for seed in 1 2 3 4 5 6; do
		succeeded "r$seed"
		python3 "$rows" check "$MNT/r$seed"
	done
}
