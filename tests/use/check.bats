#!/usr/bin/env bats
# The check before anything is sent: what is refused, what `error` says about it, and
# that nothing is lost.

load ../helpers/mount

setup() { start_emulator; mount_jobs; draft a; J=$MNT/a/requests.jsonl; }
teardown() { stop_all; }

good() { echo '{"key":"'"$1"'","request":{"contents":[{"parts":[{"text":"x"}]}]}}'; }

# refused FILE: by close and by ctl with EBADMSG; the bytes stay; error has all the
# other arguments; nothing was sent.
refused() {
	local file=$1 text part
	shift
	run -1 cp "$file" "$J"
	same EBADMSG "$(errno_of_ctl a submit)"
	same EBADMSG "$(errno_of_ctl a check)"
	cmp "$file" "$J"
	text=$(cat "$MNT/a/error")
	for part; do
		contains "$text" "$part"
	done
	[ "$(printf '%s\n' "$text" | wc -l)" -ge 2 ]
	bought_nothing a
	same 0 "$(files_at_api)"
}

@test "no JSON at all" {
	{ good 1; echo 'Hello'; good 3; } >"$HOME/f"
	refused "$HOME/f" 2
}

@test "JSON that is no object" {
	{ good 1; echo '[1,2]'; echo '"text"'; echo 7; } >"$HOME/f"
	refused "$HOME/f" 2 3 4
}

@test "the first bad lines are named by number, not all of a thousand" {
	for ((i = 0; i < 1000; i++)); do echo nonsense; done >"$HOME/f"
	refused "$HOME/f" 1 2 3
	[ "$(wc -l <"$MNT/a/error")" -lt 100 ]
}

@test "two values on a line" {
	{ good 1; echo "$(good 2)$(good 3)"; } >"$HOME/f"
	refused "$HOME/f" 2
}

@test "an object over two lines" {
	jq . <<<"$(good 1)" >"$HOME/f"
	refused "$HOME/f" 1
}

@test "an object without a request" {
	{ good 1; echo '{"key":"x"}'; echo '{}'; } >"$HOME/f"
	refused "$HOME/f" 2 3 request
}

# What the API is known to refuse is not left for it to find after the upload.
@test "members of a request where the API does not take them" {
	while IFS='|' read -r json want; do
		{ good 1; echo '{"key":"2","request":{"contents":[],'"$json"'}}'; } >"$HOME/f"
		refused "$HOME/f" "line 2, column" "$want"
		{ good 1; echo '{"contents":[],'"$json"'}'; } >"$HOME/f"
		refused "$HOME/f" "line 2, column 16" "$want"
	done <<-'END'
		"config": {}|"config" is the SDK's name
		"thinking_config": {}|"thinkingConfig" belongs in generationConfig
		"system_instructions": {}|write systemInstruction
	END
	echo '{"contents":[],"systemInstruction":"Be brief."}' >"$HOME/f"
	refused "$HOME/f" "line 1, column 36" 'is a string: write {"parts": [{"text": "…"}]}'
	echo '{"contents":[],"generationConfig":{"cachedContent":"cachedContents/x"}}' >"$HOME/f"
	refused "$HOME/f" "line 1, column 36" "belongs beside generationConfig"
	echo '{"contents":[],"tools":[],"cachedContent":"cachedContents/x"}' >"$HOME/f"
	refused "$HOME/f" "line 1, column 27" "put those into the cache"
}

@test "a request that is no object" {
	echo '{"key":"x","request":"text"}' >"$HOME/f"
	refused "$HOME/f" 1 request
}

@test "a key that is no string" {
	echo '{"key":7,"request":{"contents":[]}}' >"$HOME/f"
	refused "$HOME/f" 1 key
}

@test "a key twice" {
	{ good x; good y; good x; } >"$HOME/f"
	refused "$HOME/f" 3 key
}

@test "a key twice, spelt differently in JSON" {
	{ good 'A'; good '\u0041'; } >"$HOME/f"
	refused "$HOME/f" 2
}

@test "a key twice among a hundred thousand" {
	jq -cn 'range(100000) | {key: "k\(. % 99999)", request: {contents: []}}' >"$HOME/f"
	refused "$HOME/f" 100000 key
}

@test "a key that is what a line number becomes" {
	{ good 2; echo '{"contents":[{"parts":[{"text":"x"}]}]}'; } >"$HOME/f"
	refused "$HOME/f" 2
}

@test "the last line cut short" {
	{ good 1; good 2 | head -c 30; } >"$HOME/f"
	refused "$HOME/f" 2
}

@test "a line that is not UTF-8" {
	{ good 1; good $'caf\xe9'; } >"$HOME/f"
	refused "$HOME/f" 2 UTF-8
}

@test "a NUL in a line" {
	{ good 1; printf '{"key":"a\0b","request":{"contents":[]}}\n'; } >"$HOME/f"
	refused "$HOME/f" 2
}

@test "nothing but blank lines" {
	printf '\n\n \n' >"$HOME/f"
	refused "$HOME/f" request
}

@test "UTF-16" {
	good 1 | iconv -t UTF-16 >"$HOME/f"
	refused "$HOME/f" 1
}

@test "a JSON array of requests, as people make by mistake" {
	{ good 1; good 2; } | jq -s . >"$HOME/f"
	refused "$HOME/f" 1
}

@test "ctl submit without any request" {
	same EBADMSG "$(errno_of_ctl a submit)"
	state_is a DRAFT
}

@test "over 2 GB is EFBIG" {
	# A sparse file: blanks between two lines would be dropped, so make one long line.
	python3 - "$J" <<-'P'
		import os, sys, errno
		fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
		head = b'{"key":"x","request":{"contents":[{"parts":[{"text":"'
		os.write(fd, head)
		block = b"x" * (1 << 20)
		for _ in range(2050):
		    os.write(fd, block)
		os.write(fd, b'"}]}]}}\n')
		os.close(fd)
	P
	same EFBIG "$(errno_of_ctl a check)"
	contains "$(cat "$MNT/a/error")" "2"
	same EFBIG "$(errno_of_ctl a submit)"
	bought_nothing a
}

@test "mended in place: error goes, and it is bought" {
	{ good 1; echo nonsense; } >"$HOME/f"
	refused "$HOME/f" 2
	sed -i '2d' "$J"
	[ ! -e "$MNT/a/error" ]
	same 1 "$(calls create)"
	succeeded a
}

@test "a content that was refused is not checked and refused again by every close" {
	echo nonsense >"$HOME/f"
	run -1 cp "$HOME/f" "$J"
	run -0 cat "$J"
	same OK "$(errno_of 'os.close(os.open(a[0], os.O_WRONLY))' "$J")"
}

@test "ctl check: sends nothing, stats counts, no error" {
	{ good 1; good 2; good 3; } >>"$J"
	same OK "$(errno_of_ctl a check)"
	same 3 "$(value_of request_count "$MNT/a/stats")"
	bought_nothing a
	[ ! -e "$MNT/a/error" ]
	same 0 "$(files_at_api)"
}

@test "CR LF line ends pass" {
	{ good 1; good 2; } | sed 's/$/\r/' >"$J"
	succeeded a
	same 2 "$(value_of request_count "$MNT/a/stats")"
}

# ---- the check beside the writing (lib/requests/validate_ahead.h) ---------------------------------------------

# PROGRAM: f.write, f.seek of a file of 20 MiB of good lines, then close.
write_twenty_mebibytes() {
	python3 - "$J" "$1" <<-'P'
		import sys
		text = "x" * 2000
		with open(sys.argv[1], "wb") as f:
		    for i in range(10000):
		        f.write(b'{"key":"%d","request":{"contents":[{"parts":[{"text":"%s"}]}]}}\n'
		                % (i, text.encode()))
		    f.flush()
		    exec(sys.argv[2])
	P
}

@test "twenty mebibytes are bought as they were written" {
	write_twenty_mebibytes ''
	succeeded a
	same 10000 "$(value_of request_count "$MNT/a/stats")"
}

@test "a line that is spoilt after others were written behind it is found" {
	run -1 write_twenty_mebibytes 'f.seek(0); f.write(b"?")'
	grep -q '^line 1, column 1:' "$MNT/a/error"
	bought_nothing a
}

@test "a key that was changed afterwards to what another is, is found" {
	run -1 write_twenty_mebibytes 'f.seek(8); f.write(b"9")'
	grep -q '^line 10: the same key as on line 1$' "$MNT/a/error"
	bought_nothing a
}

@test "cut back and written on, the new end counts" {
	write_twenty_mebibytes 'f.truncate(12 << 20); f.seek(0, 2); f.write(b"\"}]}]}}\n")'
	succeeded a
	same "$(wc -l <"$J")" "$(value_of request_count "$MNT/a/stats")"
}

@test "written under another name and moved, it is checked to the last line" {
	J=$MNT/a/tmp
	write_twenty_mebibytes 'f.write(b"{}\n")'
	run -1 mv "$MNT/a/tmp" "$MNT/a/requests.jsonl"
	grep -q '^line 10001:' "$MNT/a/error"
	bought_nothing a
	sed -i '$d' "$MNT/a/tmp"
	mv "$MNT/a/tmp" "$MNT/a/requests.jsonl"
	succeeded a
}

@test "an empty file is no job, and error says so until something is in it" {
	: >"$J"
	grep -q 'requests.jsonl is empty' "$MNT/a/error"
	state_is a DRAFT
	remount_jobs
	grep -q 'requests.jsonl is empty' "$MNT/a/error"
	good 1 >"$J"
	[ ! -e "$MNT/a/error" ]
	succeeded a
}

@test "likely mistakes are told with their cure" {
	echo 'What is love?' >"$HOME/f"
	refused "$HOME/f" 1
	grep -q 'inputs.txt' "$MNT/a/error"
	good 1 | jq . >"$HOME/f"
	refused "$HOME/f" 1
	grep -q 'jq -c' "$MNT/a/error"
	rm "$J"
	echo hello >"$MNT/a/input.txt"
	grep -q 'If it is meant to be inputs.txt: mv it there' "$MNT/a/error"
	same EBADMSG "$(errno_of_ctl a submit)"
	grep -q 'meant to be inputs.txt' "$MNT/a/error"
}
