# Files that requests name, and what came of them.

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
