#!/usr/bin/env bats
# The main job from end to end, as the contract's first page shows it.

load ../helpers/mount

setup() { start_emulator; mount_jobs; }
teardown() { stop_all; }

@test "mkdir, cp, state, wait, results, rmdir" {
	requests 5 >"$HOME/requests.jsonl"
	mkdir "$MNT/haiku"
	cp "$HOME/requests.jsonl" "$MNT/haiku/"
	run -0 cat "$MNT/haiku/state"
	[[ $output == JOB_STATE_* ]]
	same JOB_STATE_SUCCEEDED "$(cat "$MNT/haiku/wait")"
	run -0 jq -r '.response.candidates[0].content.parts[0].text' "$MNT/haiku/results.jsonl"
	same 5 "${#lines[@]}"
	rmdir "$MNT/haiku"
	[ ! -e "$MNT/haiku" ]
	becomes 0 jobs_at_api
	unmount_jobs
}

@test "a new mount is empty but for .batchfs" {
	run -0 ls "$MNT"
	same "" "$output"
	run -0 ls -A "$MNT"
	same .batchfs "$output"
	run -0 ls "$MNT/.batchfs"
	same "README history jobs log metrics models status transfers" "$(LC_ALL=C sort <<<"$output" | xargs)"
}

@test "the files of a draft" {
	draft a
	run -0 ls -A "$MNT/a"
	for f in model state stats ctl; do contains "$output" $f; done
	lacks "$output" results.jsonl
	lacks "$output" error
	lacks "$output" wait
	state_is a DRAFT
}

@test "the files of a job that has ended" {
	submit_job a
	succeeded a
	eventually test -e "$MNT/a/results.jsonl"
	run -0 ls -A "$MNT/a"
	for f in requests.jsonl model state stats results.jsonl id job.json ctl; do
		contains "$output" $f
	done
	lacks "$output" wait
	lacks "$output" error
}

@test "each key's answer is that of its own request" {
	submit_job a 20
	succeeded a
	jq -r '.key + " " + .response.candidates[0].content.parts[0].text' "$MNT/a/results.jsonl" |
		while read -r key text; do
			[[ $text == *"prompt ${key#k}"* ]] || { echo "$key: $text"; false; }
		done
}

@test "id and job.json are the API's own" {
	submit_job a
	same "$(ids_of a)" "$(cat "$MNT/a/id")"
	same "$(ids_of a)" "$(jq -r .name "$MNT/a/job.json")"
	same a "$(jq -r .metadata.displayName "$MNT/a/job.json")"
}

@test "job.json has no inlined responses" {
	make_foreign_job tiny 2
	eventually ls "$MNT/tiny"
	ended tiny
	run -0 jq -c '.. | objects | select(has("candidates"))' "$MNT/tiny/job.json"
	same "" "$output"
}

@test "two jobs of the same requests have a file of their own each at the API" {
	submit_job a
	submit_job b
	run -0 jq -r .metadata.inputConfig.fileName "$MNT/a/job.json" "$MNT/b/job.json"
	[ "${lines[0]}" != "${lines[1]}" ]
}

@test "the model of a draft is what the job is made for" {
	draft a
	same gemini-flash-latest "$(cat "$MNT/a/model")"
	echo gemini-4-carbon >"$MNT/a/model"
	same gemini-4-carbon "$(cat "$MNT/a/model")"
	requests 1 >"$MNT/a/requests.jsonl"
	same models/gemini-4-carbon "$(jq -r .metadata.model "$MNT/a/job.json")"
}

@test "models/NAME is taken for a model, too" {
	draft a
	echo models/gemini-4-carbon >"$MNT/a/model"
	requests 1 >"$MNT/a/requests.jsonl"
	same models/gemini-4-carbon "$(jq -r .metadata.model "$MNT/a/job.json")"
}

@test "a job's uploads are deleted at the API when it has ended" {
	submit_job a
	ended a
	becomes 0 files_at_api
}

@test "results come home by themselves and are served without the API" {
	submit_job a
	ended a
	eventually results_saved a
	cat "$MNT/a/results.jsonl" >"$HOME/first"
	stop_emulator
	cmp "$HOME/first" "$MNT/a/results.jsonl"
}
