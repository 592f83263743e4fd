# The workflows in examples/, as their readers would run them.

load ../helpers/mount

EXAMPLES=$BATS_TEST_DIRNAME/../../examples

setup() {
	start_emulator
	mount_jobs
	export JOBS=$MNT
	cd "$HOME" || return
}
teardown() { stop_all; }

# picture FILE SHADE: a real PNG of one grey pixel.
picture() {
	python3 -c '
import struct, sys, zlib
def chunk(kind, data):
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))
open(sys.argv[1], "wb").write(b"\x89PNG\r\n\x1a\n" +
    chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)) +
    chunk(b"IDAT", zlib.compress(bytes([0, int(sys.argv[2])]))) + chunk(b"IEND", b""))' "$@"
}

csv_column() {
	python3 -c 'import csv, sys; [print(row[int(sys.argv[1])]) for row in csv.reader(sys.stdin)]' "$1"
}

# refuses STATUS TEXT EXAMPLE ARGUMENT...: it exits so, and stderr has the text.
refuses() {
	local status=$1 text=$2 got=0
	shift 2
	"$EXAMPLES/$1" "${@:2}" >out 2>err || got=$?
	same "$status" "$got" || return
	contains "$(cat err)" "$text"
}

folder() { # NAME: of texts
	mkdir -p "$1"
	echo 'Dear 1, you owe us 1.' >"$1/1.txt"
}

schema() {
	jq -n '{type: "object", required: ["name", "sum"], properties: {
		name: {type: "string"}, sum: {type: "number"}}}'
}

@test "without the mount every example refuses, and makes nothing" {
	mkdir plain pictures
	touch plain/file
	picture pictures/cat.png 10
	echo '# One' >pictures/one.md
	schema >schema.json
	requests 3 >r.jsonl
	export JOBS=$HOME/plain
	say="$JOBS is not a mounted batchfs: batchfs $JOBS"
	refuses 1 "$say" describe-pictures pictures
	refuses 1 "$say" translate-folder pictures to Latin
	refuses 1 "$say" extract-csv pictures schema.json
	refuses 1 "$say" classify-table r.jsonl 'Good? {text}'
	refuses 1 "$say" compare-models r.jsonl gemini-3.8-flash gemini-4-carbon
	refuses 1 "$say" first-tier r.jsonl answers.tsv
	refuses 1 "$say" nightly r.jsonl answers
	refuses 1 "$say" tokens-of-month
	same 1 "$(grep -c . err)"
	mkdir requests
	cp r.jsonl requests/
	cp "$EXAMPLES/make/Makefile" .
	run ! make
	contains "$output" "$say"
	same file "$(ls plain)"
	[ ! -e answers ] && [ ! -e to ] && [ ! -e results.jsonl ] && [ ! -e results ]
}

@test "a call with too few or too many words says how it goes" {
	for name in describe-pictures translate-folder extract-csv classify-table compare-models first-tier \
		nightly; do
		refuses 2 "usage: $name " $name
		refuses 2 "usage: $name " $name 1 2 3 4 5
	done
	refuses 2 "usage: tokens-of-month" tokens-of-month 2026-01 2026-02
}

@test "a folder that is misspelt or empty leaves no draft" {
	mkdir empty
	schema >schema.json
	for from in empty nowhere; do
		refuses 1 " $from" describe-pictures $from
		refuses 1 " $from" translate-folder $from to Latin
		refuses 1 " $from" extract-csv $from schema.json
		refuses 1 $from classify-table $from 'Good? {text}'
		refuses 1 $from compare-models $from gemini-3.8-flash gemini-4-carbon
		refuses 1 $from first-tier $from answers.tsv
	done
	folder letters
	refuses 1 "schema.jsn" extract-csv letters schema.jsn
	same "" "$(ls "$MNT")"
	# The second of two names is looked at before the first is bought.
	mkdir "$MNT/c-gemini-4-carbon"
	requests 2 >prompts.txt
	refuses 1 "c-gemini-4-carbon exists: rmdir it or give another name" \
		compare-models prompts.txt gemini-3.8-flash gemini-4-carbon c
	same c-gemini-4-carbon "$(ls "$MNT")"
}

@test "a refused submission: why, and that the draft stays" {
	mkdir pictures
	head -c 1000 /dev/zero >pictures/cat.png
	refuses 1 "cat.png" describe-pictures pictures holiday
	contains "$(cat err)" "the draft stays: fix it and echo submit >$MNT/holiday/ctl, or rmdir $MNT/holiday"
	state_is holiday DRAFT
	printf 'Why?\n' >prompts.txt
	refuses 1 "no model nope" compare-models prompts.txt nope gemini-4-carbon m
	same 0 "$(jobs_at_api)"
	{ requests 2; echo rubbish; } >bad.jsonl
	refuses 1 "line 3" nightly bad.jsonl answers
	refuses 1 "line 3" first-tier bad.jsonl answers.tsv
	# Once the file is mended the same command goes on.
	requests 3 >bad.jsonl
	"$EXAMPLES/nightly" bad.jsonl answers
	"$EXAMPLES/first-tier" bad.jsonl answers.tsv
	same 3 "$(grep -c . answers.tsv)"
	same 2 "$(jobs_at_api)"
}

@test "a job that fails: its error, exit status 1, and how to ask again" {
	knob outcome=failed
	folder letters
	schema >schema.json
	echo '# One' >letters/one.md
	refuses 1 "Internal error encountered" describe-pictures letters one
	contains "$(cat err)" "cp $MNT/one/retry.jsonl NEW/requests.jsonl"
	refuses 1 "Internal error encountered" translate-folder letters to Latin
	refuses 1 "Internal error encountered" extract-csv letters schema.json
	same "" "$(cat out)"
	requests 3 >all.jsonl
	mkdir requests
	cp all.jsonl requests/
	cp "$EXAMPLES/make/Makefile" .
	run ! make
	contains "$output" "Internal error encountered"
	contains "$output" "rmdir it and make again"
	"$EXAMPLES/nightly" all.jsonl answers
	eventually state_is "nightly-$(date +%F)" JOB_STATE_FAILED
	refuses 1 "JOB_STATE_FAILED, without answers" nightly all.jsonl answers
	contains "$(cat err)" "Internal error encountered"
	test -e "$MNT/nightly-$(date +%F)-retry/id"
	refuses 1 "Internal error encountered" first-tier all.jsonl answers.tsv big
	# They do what they say.
	knob outcome=succeeded
	rmdir "$MNT"/all-*
	make
	same 3 "$(grep -c . results/all.jsonl)"
}

@test "describe-pictures" {
	mkdir pictures
	picture pictures/cat.png 10
	picture pictures/dog.png 20
	picture "pictures/two words.png" 30
	"$EXAMPLES/describe-pictures" pictures holiday >out
	same "cat.png dog.png two words.png" "$(cut -f 1 out | sort | xargs -d '\n')"
	same 3 "$(cut -f 2 out | grep -cx answered)"
	same 3 "$(grep -c 'Describe this picture.*image/png' out)"
	# The name is taken: nothing is bought again.
	refuses 1 "$MNT/holiday exists: rmdir it or give another name" describe-pictures pictures holiday
	contains "$(cat err)" "cat $MNT/holiday/wait $MNT/holiday/answers.tsv"
	same 1 "$(calls create)"
}

@test "translate-folder" {
	mkdir -p from/deep/er
	echo '# One' >from/one.md
	echo '# Two' >from/deep/er/two.md
	echo 'not Markdown' >from/note.txt
	"$EXAMPLES/translate-folder" from to Latin
	same "to/deep/er/two.md to/one.md" "$(find to -type f | sort | xargs)"
	contains "$(cat to/one.md)" "# One"
	contains "$(cat to/deep/er/two.md)" "# Two"
	contains "$(cat to/one.md)" "into Latin"
}

@test "translate-folder, with a translator of this machine for a model" {
	need apertium
	unmount_jobs
	restart_emulator --responder 'apertium -f txt eng-spa'
	mount_jobs
	mkdir english
	echo '# The house' >english/house.md
	echo 'The water is cold.' >english/water.md
	"$EXAMPLES/translate-folder" english spanish Spanish
	same '# La casa' "$(cat spanish/house.md)"
	contains "$(cat spanish/water.md)" "agua"
}

@test "extract-csv: a row a file, below folders too" {
	mkdir -p letters/old
	for i in 1 2; do echo "Dear $i, you owe us $i." >letters/$i.txt; done
	echo "Dear 3, you owe us 3." >letters/old/3.txt
	schema >schema.json
	"$EXAMPLES/extract-csv" letters schema.json >table.csv
	same '"file","name","sum"' "$(head -n 1 table.csv)"
	same "1.txt 2.txt old/3.txt" "$(csv_column 0 <table.csv | tail -n +2 | xargs)"
	same "4.5 4.5 4.5" "$(csv_column 2 <table.csv | tail -n +2 | xargs)"
	contains "$(csv_column 1 <table.csv)" "Dear 3, you owe us 3."
}

@test "what error names in a draft is fixed there, and the example goes on with it" {
	folder letters
	printf 'F\374r 5 Euro, und sch\366n ist es auch noch.\n' >letters/2.txt
	schema >schema.json
	refuses 1 "iconv -f ISO-8859-1 -t UTF-8 'inputs/2.txt' > .new" extract-csv letters schema.json
	(cd "$MNT"/extract-* && eval "$(sed -n "s/.*: \(iconv .*\)/\1/p" error)")
	"$EXAMPLES/extract-csv" letters schema.json >table.csv
	same "1.txt 2.txt" "$(csv_column 0 <table.csv | tail -n +2 | xargs)"
	refuses 1 'no file is called [!.]*.md' translate-folder letters to Latin
}

@test "extract-csv says which rows are missing" {
	folder letters
	echo 'Dear 2 [emu:error 13]' >letters/2.txt
	schema >schema.json
	refuses 1 "1 of 2 without an answer" extract-csv letters schema.json
	contains "$(cat err)" "2.txt: failed: "
	same "1.txt" "$(csv_column 0 <out | tail -n +2)"
}

@test "classify-table: the table with the answers in it, bought once" {
	printf 'id;product;text\n1;Tea;"good; hot"\n2;Cup;brökn\n' >reviews.csv
	"$EXAMPLES/classify-table" reviews.csv 'Is this review of {product} good? {text}' >out
	same 'id;product;text;outcome;answer' "$(head -n 1 out)"
	same '1;Tea;"good; hot";answered' "$(sed -n 2p out | cut -d ';' -f 1-5)"
	contains "$(sed -n 3p out)" '2;Cup;brökn;answered;' 'Is this review of Cup good? brökn'
	"$EXAMPLES/classify-table" reviews.csv 'Is this review of {product} good? {text}' >again
	cmp out again
	same 1 "$(calls create)"
	echo 3 >>reviews.csv
	refuses 1 "reviews has another table: rmdir it or give another name" \
		classify-table reviews.csv 'Good? {text}'
	# What is refused is said by row, and goes on once it is mended.
	schema >schema.json
	refuses 1 'inputs.csv, row 3 (line 4), column "product": is missing' \
		classify-table reviews.csv 'Good? {text}' schema.json more
	sed 's/^3$/3;Pot;[emu:error 13]/' reviews.csv >mended.csv
	refuses 1 '1 of 3 without an answer' classify-table mended.csv 'Good? {text}' schema.json more
	same 'id;product;text;outcome;name;sum' "$(head -n 1 out)"
	same '3;Pot;[emu:error 13];failed;;' "$(tail -n 1 out)"
	same 2 "$(calls create)"
}

@test "make: results as targets, bought once, rebuilt when requests change" {
	cp "$EXAMPLES/make/Makefile" .
	mkdir requests
	requests 2 one >requests/one.jsonl
	requests 3 two >requests/two.jsonl
	make -j
	same 3 "$(grep -c . results/two.jsonl)"
	same 2 "$(calls create)"
	contains "$(make -j)" "Nothing to be done"
	rm results/one.jsonl
	make -j
	same 2 "$(calls create)"
	requests 4 three >requests/two.jsonl
	make -j
	same 4 "$(grep -c . results/two.jsonl)"
	same 3 "$(calls create)"
}

@test "nightly: collects, asks again for what failed, submits once a night" {
	{
		requests 2
		echo '{"key":"bad","request":{"contents":[{"parts":[{"text":"[emu:error 13]"}]}]}}'
	} >tonight.jsonl
	"$EXAMPLES/nightly" tonight.jsonl answers
	"$EXAMPLES/nightly" tonight.jsonl answers
	same 1 "$(calls create)"
	night=$(ls "$MNT")
	succeeded "$night"
	eventually test -e "$MNT/$night/answers.tsv"
	"$EXAMPLES/nightly" tonight.jsonl answers
	same 2 "$(cut -f 2 "answers/$night.tsv" | grep -cx answered)"
	same bad "$(jq -r .key "$MNT/$night-retry/requests.jsonl")"
	"$EXAMPLES/nightly" tonight.jsonl answers
	same 2 "$(calls create)"
}

@test "nightly collects what has ended at once, home or not" {
	remount_jobs -o fetch=read
	requests 2 >tonight.jsonl
	"$EXAMPLES/nightly" tonight.jsonl answers
	night=$(ls "$MNT")
	eventually state_is "$night" JOB_STATE_SUCCEEDED
	"$EXAMPLES/nightly" tonight.jsonl answers
	same 2 "$(cut -f 2 "answers/$night.tsv" | grep -cx answered)"
	same 1 "$(calls create)"
}

@test "compare-models" {
	printf 'Why is the sky blue?\nWhy is grass green?\n' >prompts.txt
	"$EXAMPLES/compare-models" prompts.txt gemini-3.8-flash gemini-4-carbon sky >out || [ $? = 1 ]
	same 2 "$(calls create)"
	same gemini-4-carbon "$(cat "$MNT/sky-gemini-4-carbon/model")"
	same 2 "$(grep -c . "$MNT/sky-gemini-4-carbon/answers.tsv")"
}

@test "first-tier: more than the queue takes goes as several jobs, none twice" {
	unmount_jobs
	export BATCHFS_TEST_QUEUE_SECONDS=0.2
	mount_jobs
	requests 450 >all.jsonl
	tokens=$(api POST /v1beta/models/gemini-flash-latest:countTokens \
		-d "$(jq -sc '{contents: [.[0].request.contents[]]}' all.jsonl)" | jq .totalTokens)
	knob queue_tokens=$((tokens * 280))
	"$EXAMPLES/first-tier" all.jsonl answers.tsv 2>err
	same 450 "$(cut -f 1 answers.tsv | sort -u | grep -c .)"
	made=$(jobs_at_api)
	[ "$made" -gt 1 ]
	same "$made" "$(value_of parts "$MNT/all/stats")"
	"$EXAMPLES/first-tier" all.jsonl again.tsv
	same "$made" "$(jobs_at_api)"
	cmp answers.tsv again.tsv
}

@test "tokens-of-month: in and out, and a month without any says so" {
	submit_job a 3
	succeeded a
	eventually test -e "$MNT/a/usage"
	in=$(value_of prompt_token_count "$MNT/a/usage")
	[ "$in" -gt 0 ]
	eventually sh -c '[ "$("$1" | awk -F "\t" "NR == 2 { print \$2 }")" = "$2" ]' - "$EXAMPLES/tokens-of-month" "$in"
	same "model tokens_in tokens_out cost" "$("$EXAMPLES/tokens-of-month" | head -n 1 | tr '\t' ' ')"
	run --separate-stderr "$EXAMPLES/tokens-of-month" 1999-01
	same "0 " "$status $output"
	contains "$stderr" "no job was counted in 1999-01"
	refuses 2 "usage: tokens-of-month" tokens-of-month last
}
