# The workflows in examples/, as their readers would run them.

load helpers

EXAMPLES=$BATS_TEST_DIRNAME/../../examples

setup() {
	start_emulator
	mount_jobs
	export JOBS=$MNT
	cd "$HOME"
}
teardown() { stop_all; }

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

@test "split-large: as many jobs as it takes, none twice" {
	requests 10 >all.jsonl
	"$EXAMPLES/split-large" all.jsonl 4 results.jsonl
	same 3 "$(calls create)"
	same "$(jq -r .key all.jsonl | sort)" "$(jq -r .key results.jsonl | sort)"
	"$EXAMPLES/split-large" all.jsonl 4 again.jsonl
	same 3 "$(calls create)"
	cmp results.jsonl again.jsonl
}
