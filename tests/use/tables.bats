#!/usr/bin/env bats
# Tables in, tables out: inputs.csv and inputs.tsv, prompt.txt with {column}, answers.csv.

load ../helpers/mount

setup() {
	export BATCHFS_TEST_DOUBT_SECONDS=0.01
	start_emulator
	mount_jobs
	draft a
	J=$MNT/a
}
teardown() { stop_all; }

texts() { jq -c '[.request.contents[0].parts[] | .text // .file_data.file_uri]' "$J/requests.jsonl"; }

refused() { # PART...
	local part
	same EBADMSG "$(errno_of_ctl a submit)" || return
	for part; do
		contains "$(cat "$J/error")" "$part" || return
	done
	state_is a DRAFT && same 0 "$(calls create)" && same 0 "$(files_at_api)"
}

@test "what a table lacks is said with its row and column, and nothing is sent" {
	printf 'id,text\n1,good\n2\n3,a "b" c\n4,"a "b" c"\n' >"$J/inputs.csv"
	refused 'inputs.csv, row 2 (line 3), column "text": is missing' \
		'inputs.csv, row 4 (line 5), column "text": has text after its closing quote'
	printf 'id,text,id\n1,2,3\n' >"$J/inputs.csv"
	refused 'inputs.csv, header row (line 1), column "id": appears twice'
	printf 'id,text\n' >"$J/inputs.csv"
	refused 'inputs.csv: has no rows'
	printf 'id,text\n1,"open\n2,x\n' >"$J/inputs.csv"
	refused 'inputs.csv, row 1 (line 2), column "text": begins with a quote'
	printf 'id,text\n1,M\xfcller\n' >"$J/inputs.csv"
	refused 'inputs.csv, row 1 (line 2), column "text": is not UTF-8'
	printf 'id,text\n1,x\n' >"$J/inputs.csv"
	echo 'Is {tex} good?' >"$J/prompt.txt"
	refused 'prompt.txt, line 1: {tex} is not a column of inputs.csv (columns: id, text)'
	rm "$J/prompt.txt"
	cp "$J/inputs.csv" "$J/inputs.txt"
	refused 'inputs.csv: is there beside another list of inputs'
}

@test "a column that names files is attachments; files no row names are passed over" {
	mkdir "$J/inputs/d"
	printf '\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\10\2\0\0\0\x90wS\xde' >"$J/inputs/cat.png"
	cp "$J/inputs/cat.png" "$J/inputs/d/dog ä.png"
	echo 'a note' >"$J/inputs/note.txt"
	printf 'key;what;photo;more\nc;cat;inputs/cat.png;\nd;dog;"inputs/d/dog ä.png";inputs/note.txt\n' >"$J/inputs.csv"
	echo 'Is this {what} well?' >"$J/prompt.txt"
	cp "$J/inputs/note.txt" "$J/inputs/other"
	echo check >"$J/ctl"
	same '["Is this cat well?","inputs/cat.png"]' "$(texts | sed -n 1p)"
	same '["Is this dog well?","inputs/d/dog ä.png","a note\n"]' "$(texts | sed -n 2p)"
	contains "$(cat "$J/warnings")" 'inputs/other: not sent: no row of inputs.csv names it'
	printf 'key;what;photo\nc;cat;inputs/cat.png\nd;dog;inputs/d/dgo.png\n' >"$J/inputs.csv"
	refused 'inputs.csv, row 2 (line 3), column "photo": inputs/d/dgo.png does not exist'
	printf 'key;what;photo\nc;cat;inputs/cat.png\nd;dog;"inputs/d/dog ä.png"\n' >"$J/inputs.csv"
	echo submit >"$J/ctl"
	succeeded a
	same "c d" "$(jq -r .key "$J/results.jsonl" | sort | xargs)"
}
