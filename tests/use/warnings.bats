#!/usr/bin/env bats
# warnings: what is worth knowing and no error, from the check and from the results, over
# changes of the draft and a remount.

load ../helpers/mount

setup() {
	start_emulator
	mount_jobs
}
teardown() { stop_all; }

ask() { jq -cn --arg k "$1" --arg t "$2" '{key: $k, request: {contents: [{parts: [{text: $t}]}]}}'; }

@test "what lines have that is taken and answered badly, and keys of other names" {
	mkdir "$MNT/j"
	jq -cn '{custom_id: "a", request: {contents: [{parts: [{text: "x"}]}],
			generationConfig: {temperature: 0, responseJsonSchema: {}}}},
		{metadata: {id: "b", page: 1}, request: {contents: [{parts: [{text: "y"}]}]}}' >"$HOME/r"
	[ ! -e "$MNT/j/warnings" ]
	cp "$HOME/r" "$MNT/j/requests.jsonl"
	contains "$(ls "$MNT/j")" warnings
	contains "$(cat "$MNT/j/warnings")" 'line 1 and 1 more: there is no "key"'
	contains "$(cat "$MNT/j/warnings")" 'line 1: responseJsonSchema'
	cat "$MNT/j/wait"
	same "a b" "$(cut -f1 "$MNT/j/answers.tsv" | xargs)"
	same "a.json b.txt" "$(ls "$MNT/j/responses" | xargs | sed 's/a.txt/a.json/')"
	cmp "$HOME/r" "$MNT/j/requests.jsonl"
	remount_jobs
	contains "$(cat "$MNT/j/warnings")" 'line 1: responseJsonSchema'
}

@test "what results tell; a draft's warnings go with its next change" {
	mkdir "$MNT/j" "$MNT/k"
	ask a '[emu:error 5]' >"$MNT/j/requests.jsonl"
	cat "$MNT/j/wait" "$MNT/j/answers.tsv"
	contains "$(cat "$MNT/j/warnings")" "the request has no answer: NOT_FOUND (5)"
	contains "$(ls "$MNT/j")" warnings
	{ ask a x; ask b '[emu:error 14]'; ask c '[emu:safety]'; } >"$MNT/k/tmp"
	mv "$MNT/k/tmp" "$MNT/k/requests.jsonl"
	cat "$MNT/k/wait" "$MNT/k/answers.tsv"
	contains "$(cat "$MNT/k/warnings")" "2 of 3 requests have no answer (blocked 1, failed 1, missing 0)"
	contains "$(cat "$MNT/k/usage")" "model_version "
	mkdir "$MNT/l"
	echo hello >"$MNT/l/inputs/a"
	echo '{"generationConfig": {"candidateCount": 2}}' >"$MNT/l/defaults.json"
	echo check >"$MNT/l/ctl"
	contains "$(cat "$MNT/l/warnings")" "line 1: candidateCount above 1"
	rm "$MNT/l/defaults.json"
	[ ! -e "$MNT/l/warnings" ]
}

@test "metadata of a line's own does not cover its key where requests go inline" {
	unmount_jobs
	mount_jobs -o inline_max=100000
	mkdir "$MNT/j" "$MNT/k"
	jq -cn '{key: "a", metadata: {key: "no", page: 1}, request: {contents: [{parts: [{text: "x"}]}]}}' \
		>"$HOME/r"
	knob outer_unknown=accept
	cp "$HOME/r" "$MNT/j/requests.jsonl"
	jq -cn '{metadata: {custom_id: "b", page: 1}, request: {contents: [{parts: [{text: "x"}]}]}}' \
		>"$MNT/k/requests.jsonl"
	cat "$MNT"/[jk]/wait
	same "a" "$(cut -f1 "$MNT/j/answers.tsv")"
	same "b" "$(cut -f1 "$MNT/k/answers.tsv")"
}
