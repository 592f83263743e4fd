#!/usr/bin/env bats
# The verbs, without a mount; and through the one that has the state directory.

load ../helpers/mount
load ../helpers/verbs

export BATCHFS_TEST_REMOVAL_SECONDS=0.2

setup() {
	start_emulator
	cd "$BATS_TEST_TMPDIR" || return
	SAID=$PWD/said
	requests 3 >in.jsonl
	OUTCOMES=$'k1\tanswered\nk2\tanswered\nk3\tanswered'
}
teardown() { stop_all; }

answered() { same "$OUTCOMES" "$(cut -f 1,2 <<<"$OUT")"; }

once_each() {
	local before
	before=$(calls create)
	ends 0 b run a in.jsonl && answered || return
	ends 0 b run a in.jsonl && answered || return
	ends 0 b run a - <in.jsonl && answered || return
	ends 0 b run a < <(cat in.jsonl) && answered || return
	same $((before + 1)) "$(calls create)" || return
	requests 4 >more.jsonl
	ends 2 b run a more.jsonl && said 'other requests' && same '' "$OUT" || return
	head -n 2 in.jsonl >fewer.jsonl
	ends 2 b run a fewer.jsonl && said 'other requests' || return
	ends 2 b run a in.jsonl -m gemini-3.8-flash && said 'with the model' || return
	ends 0 b run -q --results a in.jsonl && same 3 "$(jq -r .key <<<"$OUT" | wc -l)" || return
	same '' "$(cat "$SAID")" && same $((before + 1)) "$(calls create)"
}

@test "the same run again attaches, others are refused" {
	both_ways once_each
}

small_verbs() {
	ends 0 b submit a in.jsonl && ends 0 b submit b in.jsonl -m gemini-3.8-flash || return
	ends 0 b wait a b && same $'a\tJOB_STATE_SUCCEEDED\nb\tJOB_STATE_SUCCEEDED' "$OUT" || return
	ends 0 b cat a && answered && ends 0 b cat a/requests.jsonl && same "$(cat in.jsonl)" "$OUT" || return
	ends 0 b cat b/model a/responses/k2.txt && contains "$OUT" gemini-3.8-flash &&
		contains "$OUT" 'prompt 2' || return
	ends 0 b ls && same $'a\nb' "$OUT" && ends 0 b ls a && contains "$OUT" responses/ || return
	ends 0 b ls a/responses && same $'k1.txt\nk2.txt\nk3.txt' "$OUT" || return
	ends 0 b ls -l && contains "$OUT" JOB_STATE_SUCCEEDED && ends 0 b jobs && contains "$OUT" b || return
	ends 0 b status && contains "$OUT" "$EMU_URL" || return
	ends 0 b status --json && jq -e . <<<"$OUT" >/dev/null || return
	ends 0 b models && contains "$OUT" gemini-3.8-flash && ends 0 b history && contains "$OUT" created || return
	ends 0 b fetch a && ends 1 b cancel a && said 'not possible now' || return
	ends 0 b rm a b && ends 0 b ls && same '' "$OUT" || return
	ends 1 b wait a && said 'no such job' && ends 1 b cat a/error
}

@test "small verbs" {
	both_ways small_verbs
	same 0 "$(jobs_at_api)"
}

composed() {
	mkdir -p in/deeper && echo one >in/1.txt && echo two >in/deeper/2.txt || return
	echo 'Be short.' >system
	ends 0 b run c --inputs in --prompt 'Say it again:' --system @system || return
	same $'1.txt\tanswered\ndeeper/2.txt\tanswered' "$(cut -f 1,2 <<<"$OUT")" || return
	ends 0 b run c --inputs in --prompt 'Say it again:' --system @system || return
	ends 2 b run c --inputs in --prompt 'Say another:' --system @system && said prompt.txt || return
	ends 2 b run c --inputs in --prompt 'Say it again:' && said 'other requests' || return
	printf 'id,word\nx,ape\ny,bee\n' >t.csv
	echo '{"type": "object", "properties": {"w": {"type": "string"}}}' >schema
	ends 0 b run t --inputs t.csv --prompt 'Repeat {word}' --schema schema --to "$PWD/out" || return
	same $'x.json\ny.json' "$(ls -A out)" && jq -e . out/x.json >/dev/null || return
	ends 2 b run t t.csv --prompt x && said complete && ends 2 b run u --prompt x || return
	rm -rf out
}

@test "composed jobs" {
	both_ways composed
}

@test "files that requests name are taken from beside them" {
	load ../helpers/pictures
	mkdir -p there/inputs
	picture 1 >there/top.png
	picture 2 >there/inputs/in.png
	for f in top.png inputs/in.png; do
		jq -cn --arg f $f '{key: $f, request: {contents: [{parts: [
			{text: "what is it"}, {file_data: {file_uri: $f}}]}]}}'
	done >there/r.jsonl
	ends 0 b run a there/r.jsonl
	same 2 "$(grep -c answered <<<"$OUT")"
	ends 0 b run a there/r.jsonl
	same 1 "$(calls create)"
	(cd there && ends 0 b run a <r.jsonl)
	echo >>there/top.png
	ends 2 b run a there/r.jsonl
	said top.png
	rm there/top.png
	ends 2 b run b there/r.jsonl
	said 'line 1: there/top.png: No such file'
	jq -c '.request.contents[0].parts[1].file_data.file_uri |= "../" + .' there/r.jsonl >bad.jsonl
	ends 2 b run b bad.jsonl && said 'line 1' && same 1 "$(calls create)"
}

left_alone() {
	local pid status=0
	knob pending=600
	ends 75 b run a in.jsonl --timeout 0.3 && said 'batchfs wait a' && same '' "$OUT" || return
	ends 75 b wait a --timeout 0.1 || return
	# Its own words: before it has taken the signal over, it would not hear it.
	: >"$SAID"
	env --default-signal=INT "$BATCHFS" run a in.jsonl >out 2>"$SAID" 3>&- &
	pid=$!
	eventually grep -q PENDING "$SAID" && kill -INT $pid || return
	wait $pid || status=$?
	same 130 $status && said 'the job goes on' || return
	knob pending=0.05
	ends 0 b run a in.jsonl && answered
}

@test "who stops waiting can come back" {
	both_ways left_alone
	same 2 "$(calls create)"
}

@test "exit statuses" {
	sed 's/prompt 2/[fail] 2/' in.jsonl >some.jsonl
	knob fail_every=3
	ends 3 b run some in.jsonl
	said 'no answer'
	contains "$OUT" failed
	knob fail_every=0 outcome=failed
	ends 1 b run failed in.jsonl
	said JOB_STATE_FAILED
	ends 1 b wait failed
	same JOB_STATE_FAILED "$OUT"
	knob outcome=succeeded
	echo '{"key": "a"}' >bad.jsonl
	ends 1 b run bad bad.jsonl
	said 'line 1'
	ends 1 b run bad bad.jsonl
	said 'line 1'
	ends 2 b run bad in.jsonl
	ends 0 b rm bad
	ends 0 b run bad in.jsonl
	ends 2 b run x nowhere.jsonl
	ends 2 b run ../x in.jsonl
	ends 2 b run
	ends 2 b run x in.jsonl --model
	ends 2 b wait -m x a
	ends 0 b help run
	ends 1 b run model in.jsonl -m no-such-model
	GEMINI_API_KEY="" ends 77 b run x in.jsonl
	said 'no API key'
	same 3 "$(calls create)"
}

@test "a quota that is used up is waited for, and submit says that it is not bought" {
	export BATCHFS_TEST_QUEUE_SECONDS=0.3
	fault 'match=create&kind=status&status=429&count=1000'
	local run
	: >"$SAID"
	b run a in.jsonl >out &
	run=$!
	eventually grep -q QUEUED "$SAID"
	no_more_faults
	wait $run
	OUT=$(cat out)
	answered
	fault 'match=create&kind=status&status=429&count=1000'
	ends 0 b submit --queue b in.jsonl
	ends 75 b run b in.jsonl --timeout 1
	no_more_faults
	ends 0 b wait b && same 2 "$(jobs_at_api)"
}

# One part's results come, the others' do not: that is not what was asked for, but no answer
# is missing either.
@test "results of parts that cannot be had yet" {
	export BATCHFS_TEST_BACKOFF_SECONDS=0.1
	ends 0 b submit --queue a in.jsonl --split 1
	ends 0 b wait a -o fetch=read
	ends 0 b cat a/parts/0001/answers.tsv -o fetch=read
	fault "match=download&kind=status&status=500&count=0"
	ends 75 b run a in.jsonl --split 1
	said 'could not be had yet'
	contains "$OUT" answered
	contains "$OUT" pending
	# An outage is in no error; a refusal is.
	run ! grep -F a/error "$SAID"
	no_more_faults
	fault "match=download&kind=status&status=403&count=0"
	ends 75 b run a in.jsonl --split 1
	said 'batchfs cat a/error'
	no_more_faults
	ends 0 b run a in.jsonl --split 1
	answered
	same 3 "$(calls create)"
}

@test "a key that is refused" {
	stop_emulator
	start_emulator --key other
	ends 77 b run a in.jsonl && ends 77 b ls
}

@test "several at once have one state directory, in turn" {
	local pids=() pid i
	knob pending=1
	for i in 1 2 3 4 5; do
		"$BATCHFS" run -q -o poll=1,ttl=1 "j$i" in.jsonl >"out.$i" 2>"err.$i" 3>&- &
		pids+=($!)
	done
	"$BATCHFS" run -q -o poll=1,ttl=1 j1 in.jsonl >out.6 2>err.6 3>&- &
	pids+=($!)
	ends 0 b ls
	for pid in "${pids[@]}"; do wait "$pid" || { cat err.*; false; }; done
	same 5 "$(calls create)"
	for i in 1 2 3 4 5 6; do OUT=$(cat out.$i) && answered; done
}

@test "a mount comes and goes while a run waits" {
	local pid
	knob pending=600
	"$BATCHFS" run -o poll=1,ttl=1 a in.jsonl >out 2>err 3>&- &
	pid=$!
	eventually grep -q PENDING err
	mount_jobs
	eventually state_is a JOB_STATE_PENDING
	unmount_jobs
	knob pending=0.05
	wait $pid || { cat err; false; }
	OUT=$(cat out) && answered && same 1 "$(calls create)"
}

# ---- what documents and completions say -------------------------------------------------

# The commands of documents and examples, as they stand there, where jobs take a blink.
as_written() {
	ln -s "$BATCHFS" "$HOME/batchfs"
	PATH=$HOME:$PATH
	mkdir -p "$XDG_CONFIG_HOME/batchfs"
	echo poll=1 >"$XDG_CONFIG_HOME/batchfs/default.conf"
}

@test "README: without a mount" {
	local commands
	commands=$(sed -n '/^## Without a mount/,/^## Questions/p' "$BATS_TEST_DIRNAME/../../README.md" |
		sed -n '/^```/,/^```/{/^```/d;p}')
	as_written
	printf 'why\nwhen\n' >questions.txt
	cp in.jsonl requests.jsonl
	bash -ec "$commands" >out 2>"$SAID" || { cat "$SAID" && false; }
	same $'1\tanswered\n2\tanswered' "$(cut -f 1,2 answers.tsv)"
	contains "$(cat out)" k3
	same 2 "$(calls create)" && same 0 "$(jobs_at_api)"
}

# script_of YAML: parsed as a cluster would.
script_of() { "$BATS_TEST_DIRNAME/../helpers/example_script.py" "$BATS_TEST_DIRNAME/../../examples/$1"; }

# What a cluster would run: the script in the YAML, twice; also after a pod was killed while it
# wrote the day's name.
@test "examples without a mount" {
	local examples=$BATS_TEST_DIRNAME/../../examples
	as_written
	mkdir state data
	cp in.jsonl data/requests.jsonl
	export XDG_STATE_HOME=$PWD/state
	script_of cronjob.yaml >yaml
	sed "s|/state|$PWD/state|g; s|/data|$PWD/data|g" yaml >script
	sh -ec "$(cat script)"
	: >state/today
	sh -ec "$(cat script)"
	same 1 "$(calls create)"
	OUT=$(cat data/nightly-*.tsv)
	answered
	mkdir docs
	echo text >docs/a.md
	echo 'Sum up:' >prompt.txt
	script_of ci-job.yml >script
	bash -eo pipefail script
	bash -eo pipefail script
	contains "$(cat summaries/a.md.txt)" text
	mkdir ~/batch
	cp in.jsonl ~/batch/requests.jsonl
	sed -n 's/^7 \* \* \* \*  //p' "$examples/crontab" >script
	sh -e script
	OUT=$(cat ~/batch/answers.tsv)
	answered
	same 3 "$(calls create)"
}

# asked WORD...: what completion offers for the last word of a command line.
asked() {
	COMP_WORDS=("$BATCHFS" "$@") COMP_CWORD=$# COMPREPLY=()
	_batchfs
	echo "${COMPREPLY[*]}"
}

@test "completion of bash" {
	compopt() { :; }
	# shellcheck source=packaging/completion/batchfs.bash
	source "$BATS_TEST_DIRNAME/../../packaging/completion/batchfs.bash"
	ends 0 b submit first in.jsonl
	same 'run retry rm' "$(asked r)"
	same 'run' "$(asked help ru)"
	same '--timeout --to' "$(asked run --t | tr ' ' '\n' | sort | xargs)"
	same first "$(asked wait f)"
	contains "$(asked cat first/st)" first/state
	contains "$(asked run -m gem)" gemini-3.8-flash
	same in.jsonl "$(asked run x in)"
	same first "$(asked ctl -q f)"
	knob pending=600
	ends 0 b submit later in.jsonl
	same "$(verbs_of later)" "$(asked ctl later '')"
	same cancel "$(asked ctl later c)"
	same cancel "$(asked ctl -o ttl=1 later c)"
	same '' "$(asked ctl later adopt '')"
}

# What its ctl takes, in a line.
verbs_of() { "$BATCHFS" cat "$1/ctl" | cut -d ' ' -f 1 | xargs; }

@test "completion of fish" {
	need fish
	knob pending=600
	ends 0 b submit first in.jsonl
	ln -s "$BATCHFS" "$HOME/batchfs"
	PATH=$HOME:$PATH
	offers() {
		fish --no-config -c 'source $argv[1]; complete -C $argv[2]' \
			"$BATS_TEST_DIRNAME/../../packaging/completion/batchfs.fish" "$1" | cut -f 1 | xargs
	}
	same 'retry rm run' "$(offers 'batchfs r')"
	same first "$(offers 'batchfs ctl f')"
	same "$(verbs_of first | tr ' ' '\n' | sort | xargs)" "$(offers 'batchfs ctl first ')"
	same first/stats "$(offers 'batchfs cat first/stats')"
}

@test "completion of zsh" {
	need zsh
	knob pending=600
	ends 0 b submit first in.jsonl
	ln -s "$BATCHFS" "$HOME/batchfs"
	PATH=$HOME:$PATH
	# Without a terminal: what would be offered is what is handed to compadd.
	offers() { # FUNCTION WORD...
		zsh -f -c '
			compadd() { shift ${@[(i)--]}; print -l -- $@; }
			_arguments() { }
			_describe() { }
			_path_files() { }
			words=(batchfs) CURRENT=2
			source $1 >/dev/null
			words=("${@[3,-1]}") CURRENT=$#words PREFIX=$words[-1]
			$2' - "$BATS_TEST_DIRNAME/../../packaging/completion/_batchfs" "$@" | xargs
	}
	same first "$(offers _batchfs_jobs wait f)"
	same "$(verbs_of first)" "$(offers _batchfs_ctl ctl first '')"
	same "$(verbs_of first)" "$(offers _batchfs_ctl ctl -q first '')"
}
