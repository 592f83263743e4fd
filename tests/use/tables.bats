#!/usr/bin/env bats
# Tables in, tables out: inputs.csv and inputs.tsv, prompt.txt with {column}, answers.csv.

load ../helpers/mount
load ../helpers/composed

setup() {
	export BATCHFS_TEST_DOUBT_SECONDS=0.01
	start_emulator
	mount_jobs
	draft a
	J=$MNT/a
}
teardown() { stop_all; }

texts() { jq -c '[.request.contents[0].parts[] | .text // .file_data.file_uri]' "$J/requests.jsonl"; }

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

# rows FILE [SEPARATOR]: each as JSON, by Python's csv.
rows() {
	python3 -c 'import csv, json, sys
for row in csv.reader(open(sys.argv[1], encoding="utf-8-sig", newline=""), delimiter=(sys.argv[2:] or [","])[0]):
    print(json.dumps(row, ensure_ascii=False))' "$@"
}

@test "answers.csv: rows as they were, in python and sqlite, by ranges, after a remount" {
	printf '\xef\xbb\xbf''id,text,outcome\r\n7,"so ""good"",\r\nüber",x\r\n3,[emu:error 13],\r\n,,\r\n5,"plain" ,"[emu:block]"' |
		sed 's/"plain" /"plain"/' >"$HOME/table.csv"
	cp "$HOME/table.csv" "$J/inputs.csv"
	echo '{id}: {text}{outcome}' >"$J/prompt.txt"
	echo submit >"$J/ctl"
	succeeded a
	eventually test -s "$J/answers.csv"
	contains "$(ls "$J")" answers.csv
	same '["id", "text", "outcome", "answer_outcome", "answer"]' "$(rows "$J/answers.csv" | head -n 1)"
	same '7 3  5' "$(rows "$J/answers.csv" | sed 1d | jq -r '.[0]' | xargs -d '\n' | sed 's/ *$//')"
	diff <(rows "$HOME/table.csv") <(rows "$J/answers.csv" | jq -c '.[:3]' | jq -c . | python3 -c '
import json, sys
for line in sys.stdin: print(json.dumps(json.loads(line), ensure_ascii=False))')
	python3 - "$HOME/table.csv" "$J/answers.csv" <<-'END'
		import sys
		table, answers = (open(f, "rb").read() for f in sys.argv[1:])
		for row in table.split(b"\r\n"):
		    assert row in answers, row
		assert answers.startswith(b"\xef\xbb\xbfid,text,outcome,answer_outcome,answer\r\n")
		assert b"\r\n,,,,\r\n" in answers
	END
	same 'failed' "$(rows "$J/answers.csv" | jq -r 'select(.[0] == "3")[3]')"
	same "$(cat "$J/responses/7.txt")" "$(rows "$J/answers.csv" | jq -r 'select(.[0] == "7")[4]')"
	dd if="$J/answers.csv" bs=7 status=none | cmp - "$J/answers.csv"
	remount_jobs
	dd if="$J/answers.csv" bs=64 skip=1 status=none | cmp - <(tail -c +65 "$J/answers.csv")
	need sqlite3
	same '4|1' "$(sqlite3 :memory: -cmd '.mode csv' -cmd ".import '$J/answers.csv' t" \
		'.mode list' 'select count(*), sum(answer_outcome = "failed") from t')"
}

@test "answers.csv with schema.json: a column a member; the job's separator; a tsv" {
	printf 'name;note;sum\nTea;a, b;1\nCup;"c;d";2\n' >"$J/inputs.csv"
	jq -n '{type: "object", required: ["sum", "tags"], properties: {sum: {type: "number"},
		tags: {type: "array", items: {type: "string"}}}}' >"$J/schema.json"
	echo submit >"$J/ctl"
	mkdir "$MNT/b"
	printf 'n\ttext\n1\ta "b"\n' >"$MNT/b/inputs.tsv"
	echo submit >"$MNT/b/ctl"
	succeeded a
	eventually test -s "$J/answers.csv"
	same 'name;note;sum;outcome;answer_sum;tags' "$(head -n 1 "$J/answers.csv")"
	same 'Cup;"c;d";2;answered' "$(grep ^Cup "$J/answers.csv" | cut -d ';' -f 1-5)"
	for i in 1 2; do
		same "$(jq -c '[.sum, .tags]' "$J/responses/$i.json")" "$(rows "$J/answers.csv" ';' |
			sed 1d | sed -n ${i}p | jq -c '[(.[4] | tonumber), (.[5] | fromjson)]')"
	done
	succeeded b
	eventually test -s "$MNT/b/answers.csv"
	same '["1", "a \"b\"", "answered"]' "$(rows "$MNT/b/answers.csv" "$(printf '\t')" | sed 1d | jq -c '.[:3]' | sed 's/,/, /g')"
	# A job without a table has none.
	submit_job c 1
	succeeded c
	eventually test -s "$MNT/c/answers.tsv"
	[ ! -e "$MNT/c/answers.csv" ]
}
