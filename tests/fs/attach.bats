#!/usr/bin/env bats
# Files of a draft that request lines name: uploaded once, put in as URIs, deleted when
# the last job that needs them has ended.

load helpers

setup() {
	start_emulator
	mount_jobs
	draft a
	J=$MNT/a/requests.jsonl
}
teardown() { stop_all; }

# Pictures as small as can be; the last byte makes them differ.
picture() { # NUMBER
	printf '\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\10\6\0\0\0\x1f\x15\xc4\x89 %s' "$1"
}
sha() { sha256sum <"$1" | cut -d ' ' -f 1; }

# A line that asks which file it got; the name is JSON already.
ask() { # KEY NAME [MORE]
	printf '{"key":"%s","request":{"contents":[{"parts":[{"text":"[emu:files]"},{"file_data":{"file_uri":"%s"%s}}]}]}}\n' "$@"
}
# What a key's line got: "TYPE BYTES SHA256".
got() { # JOB KEY
	jq -r --arg k "$2" 'select(.key == $k).response.candidates[0].content.parts[0].text' \
		"$MNT/$1/results.jsonl" | head -n 1
}
got_file() { # JOB KEY FILE
	same "image/png $(stat -c %s "$3") $(sha "$3")" "$(got "$1" "$2")"
}
uploads() { calls upload; }

@test "names are uploaded, each content once, and the right one goes with each key" {
	picture 1 >"$MNT/a/one.png"
	picture 2 >"$MNT/a/two words ä.png"
	picture 1 >"$MNT/a/again.png"
	{
		ask k1 one.png
		ask k2 'two words \u00e4.png' ',"mime_type":"image/png"'
		ask k3 again.png
		ask k4 one.png
	} >"$J"
	succeeded a
	same 3 "$(uploads)" # one of them is the requests
	got_file a k1 "$MNT/a/one.png"
	got_file a k2 "$MNT/a/two words ä.png"
	got_file a k3 "$MNT/a/one.png"
	got_file a k4 "$MNT/a/one.png"
}
