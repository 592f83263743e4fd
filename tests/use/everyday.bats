#!/usr/bin/env bats
# What everyday programs do to a mount, in one place: writers of several ways, crawlers,
# names and characters that are rare.

load ../helpers/mount

setup() {
	start_emulator
	mount_jobs
	IN=$HOME/in.jsonl
	requests 3 >"$IN"
}
teardown() { stop_all; }

@test "dd oflag=direct, python's copytree, node's copyFile of a read-only source: one job each" {
	draft d
	dd if="$IN" of="$MNT/d/requests.jsonl" oflag=direct bs=4096 iflag=fullblock status=none ||
		dd if="$IN" of="$MNT/d/requests.jsonl" oflag=direct bs=1M status=none
	bought_once d "$IN"
	mkdir "$HOME/tree"
	cp "$IN" "$HOME/tree/requests.jsonl"
	python3 -c 'import shutil, sys; shutil.copytree(sys.argv[1], sys.argv[2])' "$HOME/tree" "$MNT/t"
	same 2 "$(calls create)"
	cmp "$IN" "$MNT/t/requests.jsonl"
	need node
	draft n
	chmod 444 "$IN"
	node -e 'require("fs").copyFileSync(process.argv[1], process.argv[2])' "$IN" "$MNT/n/requests.jsonl"
	same 3 "$(calls create)"
	cmp "$IN" "$MNT/n/requests.jsonl"
}

@test "an editor that reads, truncates and writes; a lock file of emacs; a sponge" {
	draft a
	draft b
	ln -s "me@host.1:2" "$MNT/a/.#requests.jsonl" || true
	sed '2s/}$//' "$IN" >"$MNT/a/requests.jsonl" || true
	same 0 "$(calls create)"
	python3 - "$MNT/a/requests.jsonl" "$IN" <<-'END'
		import sys
		good = open(sys.argv[2]).read()
		with open(sys.argv[1], "r+") as f:
		    f.read()
		    f.seek(0)
		    f.truncate()
		    f.write(good)
	END
	bought_once a "$IN"
	{ cat; } <"$IN" | python3 -c 'import sys
data = sys.stdin.buffer.read()
open(sys.argv[1], "wb").write(data)' "$MNT/b/requests.jsonl"
	same 2 "$(calls create)"
}

@test "names below inputs/ of all kinds become keys, each its own" {
	draft a
	local i=$MNT/a/inputs long
	long=$(printf 'n%.0s' {1..254})
	python3 - "$i" "$long" <<-'END'
		import os, sys, unicodedata
		d, long = sys.argv[1:]
		e = "\u00e9"
		names = ["%41", "A", "a\nb", "a b", " a", "a ", "a'b", 'a"b', "a\\b", "a\tb", "-r", "$x",
		         "*", "?", "[a]", "{a}", "a;b", "a&b", "a|b", "a<b", "a>b", "(a)", "!a", "a=b",
		         "a,b", "a:b", "@a", "a%", "%zz", e, unicodedata.normalize("NFD", e),
		         "\u202eabc", "\u2028", "\U0001f600", "\u0085", long]
		for n in names:
		    with open(os.path.join(d, n), "w") as f:
		        f.write("x")
		os.mkdir(os.path.join(d, "dir"))
		with open(os.path.join(d, "dir", "A"), "w") as f:
		    f.write("x")
		assert sorted(os.listdir(d)) == sorted(names + ["dir"])
	END
	echo check >"$MNT/a/ctl"
	same 37 "$(jq -r '.key | @json' "$MNT/a/requests.jsonl" | sort -u | wc -l)"
	echo submit >"$MNT/a/ctl"
	succeeded a
	same 37 "$(grep -c '	answered	' "$MNT/a/answers.tsv")"
}

@test "raw U+2028, U+2029 and U+0085 are characters like others" {
	draft a
	printf '{"key":"a\xe2\x80\xa8b","request":{"contents":[{"parts":[{"text":"x\xe2\x80\xa9y\xc2\x85z"}]}]}}\n' \
		>"$MNT/a/requests.jsonl"
	succeeded a
	same 1 "$(wc -l <"$MNT/a/answers.tsv")"
	same "You said: x"$'\xe2\x80\xa9'y$'\xc2\x85'z "$(cut -f3 "$MNT/a/answers.tsv")"
}

@test "crawlers and coloured listings over thirty jobs of others ask nothing" {
	emu POST /emu/job -d '{"displayName":"other","count":30,"output":true}' >/dev/null
	sees() { [ "$(ls "$MNT" | grep -c '^other')" = 30 ]; }
	eventually sees
	local before
	before=$(($(calls get) + $(calls download) + $(calls file_get)))
	for _ in 1 2 3 4 5; do
		ls -l --color=always "$MNT" >/dev/null
	done
	find "$MNT" -type f -name '*.conf' >/dev/null
	if command -v updatedb >/dev/null; then
		updatedb -l 0 -U "$MNT" -o "$HOME/db" 2>/dev/null || true
	fi
	same "$before" "$(($(calls get) + $(calls download) + $(calls file_get)))"
}

@test "mounted and used inside of unshare -Urm" {
	unshare -Urm true 2>/dev/null || skip "no user namespaces here"
	unmount_jobs
	mkdir "$HOME/m"
	timeout "$PATIENCE" unshare -Urm sh -ec '
		"$1" -o "poll=1,state_dir=$HOME/s,cache_dir=$HOME/c" "$2" "$HOME/m"
		mkdir "$HOME/m/a"
		mv "$3" "$HOME/m/a/tmp"
		mv "$HOME/m/a/tmp" "$HOME/m/a/requests.jsonl"
		cat "$HOME/m/a/wait" "$HOME/m/a/answers.tsv"
		umount "$HOME/m"' - "$(realpath "$BATCHFS")" "$EMU_URL" "$IN" 3>&- >"$HOME/out"
	same 4 "$(wc -l <"$HOME/out")"
	same 1 "$(calls create)"
}
