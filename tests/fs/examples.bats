# The workflows in examples/, as their readers would run them.

load helpers

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
	! "$EXAMPLES/describe-pictures" pictures holiday
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

@test "extract-csv" {
	mkdir letters
	for i in 1 2 3; do echo "Dear $i, you owe us $i." >letters/$i.txt; done
	jq -n '{type: "object", required: ["name", "sum"], properties: {
		name: {type: "string"}, sum: {type: "number"}}}' >schema.json
	"$EXAMPLES/extract-csv" letters schema.json >table.csv
	same "name sum" "$(csv_column 0 <table.csv | head -n 1) $(csv_column 1 <table.csv | head -n 1)"
	same "4.5 4.5 4.5" "$(csv_column 1 <table.csv | tail -n +2 | xargs)"
	contains "$(csv_column 0 <table.csv)" "Dear 2, you owe us 2."
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

@test "compare-models" {
	printf 'Why is the sky blue?\nWhy is grass green?\n' >prompts.txt
	"$EXAMPLES/compare-models" prompts.txt gemini-2.5-flash gemini-2.5-pro sky >out || [ $? = 1 ]
	same 2 "$(calls create)"
	same gemini-2.5-pro "$(cat "$MNT/sky-gemini-2.5-pro/model")"
	same 2 "$(grep -c . "$MNT/sky-gemini-2.5-pro/answers.tsv")"
}

@test "split-large: as many jobs as it takes, none twice" {
	requests 10 >all.jsonl
	"$EXAMPLES/split-large" all.jsonl 4 results.jsonl
	same 3 "$(calls create)"
	same "$(jq -r .key all.jsonl | sort)" "$(jq -r .key results.jsonl | sort)"
	"$EXAMPLES/split-large" all.jsonl 4 again.jsonl
	same 3 "$(calls create)"
	cmp results.jsonl again.jsonl
}

@test "tokens-of-month" {
	submit_job a 3
	succeeded a
	eventually test -e "$MNT/a/usage"
	total=$(value_of total_token_count "$MNT/a/usage")
	[ "$total" -gt 0 ]
	eventually sh -c '[ "$("$1" | cut -f 2)" = "$2" ]' - "$EXAMPLES/tokens-of-month" "$total"
	same "" "$("$EXAMPLES/tokens-of-month" 1999-01)"
}
