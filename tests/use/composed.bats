#!/usr/bin/env bats
# Composed drafts: requests made of inputs/, inputs.txt, prompt.txt, system.txt,
# schema.json and defaults.json.

load ../helpers/mount
load ../helpers/composed

setup() { start_emulator; mount_jobs; draft a; J=$MNT/a; I=$J/inputs; }
teardown() { stop_all; }

asked() { jq -c "$1" "$J/requests.jsonl"; }

@test "a request per file, key its path, prompt before it; sent is what requests.jsonl shows" {
	mkdir -p "$I/d/e"
	printf 'one\n' >"$I/b.txt"
	printf 'say "two"\\\n\ttab' >"$I/d/e/2.txt"
	printf 'drei ä' >"$I/a ä.txt"
	echo 'Say it.' >"$J/prompt.txt"
	echo check >"$J/ctl"
	same 0 "$(calls create)"
	state_is a DRAFT
	same 3 "$(value_of request_count "$J/stats")"
	same '"a ä.txt" "b.txt" "d/e/2.txt"' "$(asked .key | xargs -d '\n')"
	same '["Say it.","say \"two\"\\\n\ttab"]' \
		"$(asked 'select(.key == "d/e/2.txt").request.contents[0].parts | map(.text)')"
	cp "$J/requests.jsonl" "$HOME/shown"
	echo submit >"$J/ctl"
	same 1 "$(calls create)"
	cmp "$HOME/shown" "$J/requests.jsonl"
	succeeded a
	same "$(jq -r .key "$HOME/shown" | sort)" "$(jq -r .key "$J/results.jsonl" | sort)"
	remount_jobs
	cmp "$HOME/shown" "$J/requests.jsonl"
	same 3 "$(grep -c . "$J/requests.jsonl")"
}

@test "system.txt, schema.json and defaults.json" {
	echo x >"$I/x"
	echo 'Be brief.' >"$J/system.txt"
	cat >"$J/schema.json" <<-'END'
		{"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
		 "properties": {"n": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
		                "p": {"$ref": "#/$defs/P"}},
		 "required": ["n"], "additionalProperties": false,
		 "$defs": {"P": {"type": "object", "properties": {"s": {"type": "string"}}}}}
	END
	echo '{"generation_config": {"temperature": 0.5}, "safetySettings": []}' >"$J/defaults.json"
	echo check >"$J/ctl"
	same '{"parts":[{"text":"Be brief."}]}' "$(asked .request.systemInstruction)"
	same 0.5 "$(asked .request.generation_config.temperature)"
	same '"application/json"' "$(asked .request.generation_config.responseMimeType)"
	same '[]' "$(asked .request.safetySettings)"
	lacks "$(asked .)" '$ref'
	lacks "$(asked .)" additionalProperties
	echo submit >"$J/ctl"
	succeeded a
}

@test "inputs.txt: a request per line that is not blank, keys of equal width" {
	{ printf 'one\r\n\n  \n'; seq 2 8; printf 'last ä'; } >"$J/inputs.txt"
	echo check >"$J/ctl"
	same "01 04 05 06 07 08 09 10 11" "$(jq -r .key "$J/requests.jsonl" | xargs)"
	same '"one"' "$(asked 'select(.key == "01").request.contents[0].parts[0].text')"
	same '"last ä"' "$(asked 'select(.key == "11").request.contents[0].parts[0].text')"
	echo submit >"$J/ctl"
	succeeded a
	same 9 "$(value_of request_count "$J/stats")"
}

@test "what is no text is referred to, with its type; larger texts are, too" {
	printf '\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\10\2\0\0\0\x90wS\xde' >"$I/cat.png"
	seq 200000 >"$I/long.txt"
	head -c 1048576 /dev/zero | tr '\0' x >"$I/short.txt"
	echo 'What is it?' >"$J/prompt.txt"
	echo check >"$J/ctl"
	same '{"file_uri":"inputs/cat.png","mime_type":"image/png"}' \
		"$(asked 'select(.key == "cat.png").request.contents[0].parts[1].file_data')"
	same '{"file_uri":"inputs/long.txt","mime_type":"text/plain"}' \
		"$(asked 'select(.key == "long.txt").request.contents[0].parts[1].file_data')"
	same 1048576 "$(asked 'select(.key == "short.txt").request.contents[0].parts[1].text | length')"
}

@test "pictures are uploaded, and the job gets their URIs" {
	printf '\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\10\2\0\0\0\x90wS\xde' >"$I/cat.png"
	mkdir "$I/d"
	printf '%%PDF-1.4\n1 0 obj\n\xff\xfe' >"$I/d/p.pdf"
	echo 'What is it?' >"$J/prompt.txt"
	echo submit >"$J/ctl"
	same 1 "$(calls create)"
	succeeded a
	same "cat.png d/p.pdf" "$(jq -r .key "$J/results.jsonl" | sort | xargs)"
	same inputs/cat.png \
		"$(jq -r '.. | .file_uri? // empty' "$J/requests.jsonl" | grep cat)"
}

@test "a close or an mv of a part submits nothing" {
	echo x >"$I/x"
	echo 'Say it.' >"$J/tmp"
	mv "$J/tmp" "$J/prompt.txt"
	cp "$J/prompt.txt" "$J/system.txt"
	mkdir "$I/d"
	mv "$I/x" "$I/d/"
	state_is a DRAFT
	same 0 "$(all_calls_of_submission)"
}
all_calls_of_submission() { emu GET /emu/stats | jq '(.ops.create // 0) + (.ops.upload // 0)'; }

@test "check's requests.jsonl goes with the first change, and is nothing of the user's" {
	echo x >"$I/x"
	echo check >"$J/ctl"
	[ -f "$J/requests.jsonl" ]
	same EPERM "$(errno_of 'os.unlink(a[0])' "$J/requests.jsonl")"
	local want=EACCES
	as_root && want=EROFS
	same $want "$(errno_of_write "$J/requests.jsonl" y)"
	remount_jobs
	[ -f "$J/requests.jsonl" ]
	exec 7<"$J/requests.jsonl"
	echo y >>"$I/x"
	[ ! -e "$J/requests.jsonl" ]
	same x "$(jq -r .key <&7)"
	exec 7>&-
	local change
	for change in 'echo y >$I/y' 'rm $I/y' 'mv $I/x $I/z' 'echo z >$J/prompt.txt' 'mkdir $I/d && mv $I/z $I/d/z'; do
		echo "$change"
		echo check >"$J/ctl"
		[ -f "$J/requests.jsonl" ]
		eval "$change"
		[ ! -e "$J/requests.jsonl" ]
	done
	same 0 "$(calls create)"
}

@test "kinds are never mixed, whatever submits" {
	echo x >"$J/prompt.txt"
	requests 2 >"$HOME/r"
	same EBADMSG "$(errno_of_write "$J/requests.jsonl" "$(cat "$HOME/r")")"
	contains "$(cat "$J/error")" "Only one of the two"
	refused "Only one of the two"
	rm "$J/requests.jsonl"
	cp "$HOME/r" "$J/tmp"
	run ! mv "$J/tmp" "$J/requests.jsonl"
	[ -f "$J/tmp" ]
	rm "$J/prompt.txt"
	echo x >"$I/x"
	same EBADMSG "$(errno_of_write "$J/requests.jsonl" "$(cat "$HOME/r")")"
	contains "$(cat "$J/error")" "Only one of the two"
	same 0 "$(calls create)"
	rm "$I/x"
	echo submit >"$J/ctl"
	same 1 "$(calls create)"
}

@test "a file of neither kind is refused by name; dot and ~ files are not" {
	echo x >"$I/x"
	echo x >"$J/promt.txt"
	refused "promt.txt"
	rm "$J/promt.txt"
	echo x >"$J/.hidden"
	echo x >"$J/notes~"
	echo submit >"$J/ctl"
	succeeded a
}

@test "dot files, Thumbs.db and desktop.ini are no inputs" {
	mkdir "$I/.git"
	touch "$I/.git/x" "$I/.DS_Store" "$I/Thumbs.db" "$I/desktop.ini"
	echo x >"$J/prompt.txt"
	refused "inputs/" "is empty"
	echo x >"$I/x"
	echo check >"$J/ctl"
	same '"x"' "$(asked .key)"
}

@test "what is wrong is said before money is spent, all of it at once" {
	touch "$I/empty"
	head -c 2000 /dev/urandom | tr -d '\n' | sed 's/^/\x00\x01/' >"$I/rubbish"
	printf 'caf\xe9 au lait, s il vous pla\xeet\n' >"$I/latin1"
	printf '%%PDF-1.4\n1 0 obj\n\xff\xfe' >"$I/p.pdf"
	echo '{not json' >"$J/schema.json"
	printf '{\n "temperature": 1\n}' >"$J/defaults.json"
	refused "inputs/empty: is empty" "inputs/rubbish: application/octet-stream" \
		"inputs/latin1: is text, but not UTF-8" "inputs/p.pdf: is not text: write into prompt.txt" "schema.json: is not JSON" \
		'defaults.json, line 2: "temperature" belongs in generationConfig'
	rm "$I"/{empty,rubbish,latin1} "$J"/{schema,defaults}.json
	echo 'What is it?' >"$J/prompt.txt"
	echo check >"$J/ctl"
}

@test "leftovers are passed over, and check says so; texts may have a BOM" {
	echo x >"$I/x"
	touch "$I/x~" "$I/#x#" "$I/x.orig" "$I/THUMBS.DB" "$I/film.part" "$I/~\$x.docx" "$J/prompt.txt.orig"
	printf '\xef\xbb\xbfWhat is it?\n' >"$J/prompt.txt"
	printf '\xef\xbb\xbf{"safetySettings": []}' >"$J/defaults.json"
	echo check >"$J/ctl"
	same '"x"' "$(asked .key)"
	same '"What is it?"' "$(asked '.request.contents[0].parts[0].text')"
	same 6 "$(grep -c '^inputs/.*: ignored' "$J/warnings")"
	contains "$(cat "$J/warnings")" 'inputs/THUMBS.DB: ignored'
}

@test "what is wrong with an input is said once, and what it is" {
	sh -c 'exec >"$1"; printf "\0\1\2"; kill -9 $$' - "$I/half" || true
	refused "inputs/half: is incomplete"
	same 1 "$(grep -c inputs/ "$J/error")"
	rm "$I/half"
	head -c 1100000 /dev/zero | tr '\0' x >"$I/long.txt"
	refused "inputs/long.txt: is longer than 1 MiB"
	echo 'What is it?' >"$J/prompt.txt"
	truncate -s 2200000000 "$I/film"
	printf '\0\0\0\x18ftypmp42\0\0\0\0mp42isom' | dd of="$I/film" conv=notrunc status=none
	same EFBIG "$(errno_of_ctl a submit)"
	contains "$(cat "$J/error")" "One of the files to be sent is too large."
	contains "$(cat "$J/error")" "inputs/film: it is larger than the 2 GB"
	rm "$I/film"
	echo submit >"$J/ctl"
	succeeded a
}

@test "defaults.json: fields where the API does not take them" {
	echo x >"$I/x"
	while IFS='|' read -r json want; do
		echo "$json"
		echo "$json" >"$J/defaults.json"
		refused "$want"
	done <<-'END'
		[1]|is not a JSON object
		{"config": {}}|"config" is the SDK's name
		{"contents": []}|"contents" is made from
		{"thinking_config": {}}|"thinking_config" belongs in generationConfig
		{"generationConfig": {"cachedContent": "x"}}|"cachedContent" belongs beside
		{"generationConfig": 1}|"generationConfig" is not an object
		{"systemInstruction": "x"}|"systemInstruction" is a string
		{"cachedContent": "x", "tools": []}|"cachedContent" cannot be used together
	END
	echo '{"cachedContent": "cachedContents/x"}' >"$J/defaults.json"
	echo s >"$J/system.txt"
	refused '"cachedContent" cannot be used together'
}

@test "a draft without anything, and one with both kinds of inputs" {
	refused "nothing to send"
	echo x >"$I/x"
	echo y >"$J/inputs.txt"
	refused "inputs.txt"
	rm "$I/x"
	echo check >"$J/ctl"
}

@test "an input whose writer was killed is incomplete until it is rewritten or removed" {
	echo x >"$I/good"
	sh -c 'exec >"$1"; echo half; kill -9 $$' - "$I/half" || true
	refused "inputs/half" "incomplete"
	remount_jobs
	refused "inputs/half" "incomplete"
	mv "$I/half" "$I/renamed"
	refused "inputs/renamed" "incomplete"
	echo whole >"$I/renamed"
	echo check >"$J/ctl"
	sh -c 'exec >"$1"; echo half; exit 3' - "$J/prompt.txt" || true
	refused "prompt.txt" "incomplete"
	rm "$J/prompt.txt"
	sh -c 'exec >"$1"; echo half; kill -9 $$' - "$I/half" || true
	echo new >"$HOME/new"
	cp "$HOME/new" "$I/tmp"
	mv "$I/tmp" "$I/half"
	echo submit >"$J/ctl"
	succeeded a
	same 3 "$(value_of request_count "$J/stats")"
}

# ends NAME PYTHON: a process with inputs/NAME open as fd writes to it, and ends so.
ends() {
	python3 - "$I/$1" "$2" <<-'P'
		import os, signal, sys, threading, time
		if os.fork() == 0:
		    fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
		    os.write(fd, b"half\n")
		    def die(): os.kill(os.getpid(), signal.SIGKILL)
		    def become_true(): os.execv("/bin/true", ["true"])
		    def thread(f): threading.Thread(target=f).start(); time.sleep(60)
		    exec(sys.argv[2])
		    os._exit(0)
		os.wait()
	P
}

# The close that comes with the end of a process tells how it ended, whichever thread
# does it; one inside execve waits for us, while nobody may look into the process.
@test "how the writer of an input ended: killed or failed is incomplete, all else is not" {
	local how
	for how in 'die()' 'thread(die)' 'os._exit(3)' 'thread(lambda: os._exit(3))' \
		'os.kill(os.getpid(), signal.SIGTERM)' 'os.abort()' \
		'os.fork() or die(); os.wait(); die()'; do
		ends x "$how"
		refused "inputs/x" "incomplete"
	done
	for how in '0' 'os.close(fd)' 'become_true()' 'thread(become_true)' \
		'os.close(fd); die()' 'os._exit(0)' 'thread(lambda: os._exit(0))' \
		'os.posix_spawn("/bin/true", ["true"], {}); os.wait()' \
		'os.fork() or os._exit(3); os.wait()'; do
		ends x "$how"
		echo check >"$J/ctl"
	done
}

@test "an input that was being written when batchfs was killed is incomplete" {
	echo x >"$I/good"
	exec 7>"$I/half"
	echo half >&7
	kill_batchfs
	exec 7>&- || true
	mount_jobs
	refused "inputs/half" "incomplete"
	rm "$I/half"
	echo submit >"$J/ctl"
	succeeded a
}

@test "submit while an input is still open for writing is EBUSY" {
	exec 7>"$I/x"
	echo x >&7
	same EBUSY "$(errno_of_ctl a submit)"
	contains "$(cat "$J/error")" "inputs/x is still open for writing."
	exec 7>&-
	echo submit >"$J/ctl"
	succeeded a
}

@test "after submission all parts are read-only, scratch is not" {
	echo x >"$I/x"
	echo p >"$J/prompt.txt"
	echo submit >"$J/ctl"
	local want=EACCES f
	as_root && want=EROFS
	for f in inputs/x prompt.txt requests.jsonl; do
		same $want "$(errno_of_write "$J/$f" y)"
		same EPERM "$(errno_of 'os.unlink(a[0])' "$J/$f")"
	done
	same EPERM "$(errno_of_write "$I/new" y)"
	same EPERM "$(errno_of 'os.mkdir(a[0])' "$I/d")"
	same EPERM "$(errno_of_write "$J/system.txt" y)"
	same EPERM "$(errno_of 'os.rename(a[0], a[1])' "$I/x" "$J/x")"
	same x "$(cat "$I/x")"
	echo note >"$J/note"
	rm "$J/note"
	run ! rm -rf "$J"
	same x "$(cat "$I/x")"
	remount_jobs
	same x "$(cat "$I/x")"
	rmdir "$J"
}

@test "a failed submission leaves a draft that can be mended and sent again" {
	echo x >"$I/x"
	fault 'match=create&kind=status&status=403'
	same EACCES "$(errno_of_ctl a submit)"
	state_is a SUBMIT_FAILED
	echo y >"$I/y"
	state_is a DRAFT
	echo submit >"$J/ctl"
	succeeded a
	same 2 "$(value_of request_count "$J/stats")"
	same 1 "$(jobs_at_api)"
}

@test "behind: submit=background sends a composed draft, also at the next mount" {
	unmount_jobs
	mount_jobs -o submit=background
	echo x >"$I/x"
	fault 'match=create&kind=status&status=429&count=0'
	echo submit >"$J/ctl"
	becomes QUEUED cat "$J/state"
	same x "$(jq -r .key "$J/requests.jsonl")"
	no_more_faults
	remount_jobs -o submit=background
	eventually test -e "$J/id"
	succeeded a
	same 1 "$(jobs_at_api)"
}

@test "the bytes of a draft can be sent inline" {
	unmount_jobs
	mount_jobs -o inline_max=1000000
	echo x >"$I/x"
	echo submit >"$J/ctl"
	succeeded a
	same x "$(jq -r .key "$J/results.jsonl")"
}

@test "requests that were refused beside inputs are not passed over in silence" {
	echo one >"$I/x"
	requests 2 >"$J/tmp"
	run -1 mv "$J/tmp" "$J/requests.jsonl"
	rm "$J/tmp"
	refused requests.jsonl.rejected 'not sent'
	rm "$J/requests.jsonl.rejected"
	echo submit >"$J/ctl"
	same 1 "$(calls create)"
}

@test "what the API refuses of a composed draft is mended in its parts" {
	echo one >"$I/x"
	echo '{"generationConfig": {"temprature": 0}}' >"$J/defaults.json"
	same EINVAL "$(errno_of_ctl a submit)"
	contains "$(cat "$J/error")" defaults.json temprature
	run -1 grep -q 'Fix requests.jsonl' "$J/error"
	echo '{"generationConfig": {"temperature": 0}}' >"$J/defaults.json"
	echo submit >"$J/ctl"
	succeeded a
}
