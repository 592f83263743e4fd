#!/usr/bin/env bats
# Real input: Debian's collection of quotations, each a request, through the mount with
# cp, cat and jq; every key must come back with the answer to its own request.

load ../helpers/mount

setup() { start_emulator; mount_jobs; }
teardown() { stop_all; }

# Every quotation of every file as a request; the key says where it is from.
quotations() {
	local file
	for file in /usr/share/games/fortunes/*; do
		[[ -L $file || ! -f $file || $file == *.dat || $file == *.u8 ]] && continue
		iconv -f UTF-8 -t UTF-8 "$file" >/dev/null 2>&1 || continue
		jq -cRs --arg file "${file##*/}" '
			split("\n%\n") | to_entries[] | select(.value | test("\\S")) |
			{key: "\($file)/\(.key)", request: {contents: [{role: "user", parts: [{text: .value}]}]}}' "$file"
	done
}

@test "ten thousand quotations and more" {
	[ -e /usr/share/games/fortunes/fortunes ] || skip "no fortunes here"
	quotations >"$HOME/quotations.jsonl"
	local n
	n=$(grep -c . "$HOME/quotations.jsonl")
	echo "$n quotations"
	[ "$n" -gt 10000 ]

	mkdir "$MNT/fortunes"
	cp "$HOME/quotations.jsonl" "$MNT/fortunes/requests.jsonl"
	same JOB_STATE_SUCCEEDED "$(timeout 100 cat "$MNT/fortunes/wait")"
	same "$n" "$(value_of request_count "$MNT/fortunes/stats")"
	same "$n" "$(value_of successful_request_count "$MNT/fortunes/stats")"
	cmp "$HOME/quotations.jsonl" "$MNT/fortunes/requests.jsonl"
	cp "$MNT/fortunes/results.jsonl" "$HOME/results.jsonl"
	cat "$MNT/fortunes/results.jsonl" | cmp - "$HOME/results.jsonl"

	# Each answer repeats its prompt.
	jq -rn --slurpfile asked "$HOME/quotations.jsonl" --slurpfile got "$HOME/results.jsonl" '
		($asked | map({(.key): .request.contents[0].parts[0].text}) | add) as $prompts |
		($got | length), ($got | map(.key) | unique | length),
		([$got[] | . as $g | select(.response.candidates[0].content.parts[0].text |
			contains($prompts[$g.key]))] | length)' >"$HOME/sums"
	same "$n $n $n" "$(xargs <"$HOME/sums")"
}
