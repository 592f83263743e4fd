#!/usr/bin/env bats
# Embeddings: jobs by lines and composed ones, what does not fit the model, vectors.npy.

load ../helpers/mount

setup() {
	export BATCHFS_TEST_DOUBT_SECONDS=0.01
	start_emulator
}
teardown() { stop_all; }

# all_vectors FILE: its shape, then a row a line, with Python's struct alone.
all_vectors() {
	python3 - "$1" <<-'END'
		import ast, struct, sys
		b = open(sys.argv[1], "rb").read()
		assert b[:8] == b"\x93NUMPY\x01\x00" and (10 + struct.unpack("<H", b[8:10])[0]) % 64 == 0
		n = 10 + struct.unpack("<H", b[8:10])[0]
		head = ast.literal_eval(b[10:n].decode())
		assert head["descr"] == "<f4" and head["fortran_order"] is False and b[n - 1:n] == b"\n"
		rows, dims = head["shape"]
		assert len(b) == n + 4 * rows * dims
		print(rows, dims)
		for i in range(rows):
		    print(*("%.9g" % x for x in struct.unpack_from("<%df" % dims, b, n + 4 * dims * i)))
	END
}

# The same out of the files of answers, in the order of answers.tsv.
vectors_of_files() { # DIRECTORY DIMENSIONS
	python3 - "$@" <<-'END'
		import json, os, struct, sys
		for line in open(sys.argv[1] + "/answers.tsv"):
		    path = "%s/responses/%s.json" % (sys.argv[1], line.split("\t")[0])
		    v = ["nan"] * int(sys.argv[2])
		    if os.path.exists(path):
		        v = json.load(open(path))["values"]
		        v = ["%.9g" % struct.unpack("<f", struct.pack("<f", x))[0] for x in v]
		    print(*v)
	END
}

@test "vectors of a job of others: rows as they came, any range, numpy" {
	mount_jobs -o fetch=all
	jq -cn '{batch: {displayName: "theirs", inputConfig: {requests: {requests: [range(200) |
		{request: {content: {parts: [{text: "text \(.)"}]}, outputDimensionality: 300},
		metadata: {key: "k\(.)"}}]}}}}' |
		api POST /v1beta/models/gemini-embedding-2:asyncBatchEmbedContent --data-binary @-
	eventually test -d "$MNT/theirs"
	cat "$MNT/theirs/wait"
	eventually test -s "$MNT/theirs/vectors.npy"
	contains "$(ls "$MNT/theirs")" vectors.npy
	all_vectors "$MNT/theirs/vectors.npy" >"$BATS_TEST_TMPDIR/all"
	same '200 300' "$(head -n 1 "$BATS_TEST_TMPDIR/all")"
	diff <(sed 1d "$BATS_TEST_TMPDIR/all") <(vectors_of_files "$MNT/theirs" 300)
	cp "$MNT/theirs/vectors.npy" "$BATS_TEST_TMPDIR/whole"
	python3 - "$MNT/theirs/vectors.npy" "$BATS_TEST_TMPDIR/whole" <<-'END'
		import os, random, sys
		whole, fd = open(sys.argv[2], "rb").read(), os.open(sys.argv[1], os.O_RDONLY)
		for i in range(300):
		    at, n = random.randrange(len(whole) + 9), random.choice([1, 3, 4, 1000, 5000, 70000])
		    assert os.pread(fd, n, at) == whole[at:at + n], (at, n)
	END
	python3 -c 'import numpy' 2>/dev/null || return 0
	python3 -c 'import numpy, sys
a = numpy.load(sys.argv[1], mmap_mode="r")
assert a.shape == (200, 300) and a.dtype == "float32", a' "$MNT/theirs/vectors.npy"
}

# texts KEY...: a line each with its text.
texts() {
	for key; do
		jq -cn --arg k "$key" \
			'{key: $k, request: {content: {parts: [{text: "text of \($k)"}]}}}'
	done
}

@test "a job by lines, inline and by file; what is missing is NaN" {
	local max
	for max in 0 1000000; do
		mount_jobs -o model=gemini-embedding-2,inline_max=$max
		draft "job$max"
		{ texts a b; jq -cn '{key: "gone", request: {content: {}}}'; texts c; } \
			>"$MNT/job$max/requests.jsonl"
		succeeded "job$max"
		eventually test -s "$MNT/job$max/vectors.npy"
		same 'a b gone c ' "$(cut -f 1 "$MNT/job$max/answers.tsv" | tr '\n' ' ')"
		contains "$(cat "$MNT/job$max/answers.tsv")" $'a\tanswered\t8'
		same '4 8' "$(all_vectors "$MNT/job$max/vectors.npy" | head -n 1)"
		diff <(all_vectors "$MNT/job$max/vectors.npy" | sed 1d) \
			<(vectors_of_files "$MNT/job$max" 8)
		same 'nan nan nan nan nan nan nan nan' \
			"$(all_vectors "$MNT/job$max/vectors.npy" | sed -n 4p)"
		unmount_jobs
	done
	same 2 "$(calls create_embed)"
	same 0 "$(calls create)"
}

@test "lines of the wrong kind name both cures" {
	mount_jobs
	draft a
	run -1 cp <(texts a) "$MNT/a/requests.jsonl"
	same EBADMSG "$(errno_of_ctl a submit)"
	contains "$(cat "$MNT/a/error")" "gives answers" gemini-embedding "NAME > model" '"contents"'
	echo gemini-embedding-2 >"$MNT/a/model"
	echo submit >"$MNT/a/ctl"
	succeeded a
	draft b
	echo gemini-embedding-2 >"$MNT/b/model"
	run -1 cp <(requests 2) "$MNT/b/requests.jsonl"
	same EBADMSG "$(errno_of_ctl b submit)"
	contains "$(cat "$MNT/b/error")" "makes embeddings" "NAME > model" '"content"'
	draft c
	run -1 cp <(texts a; requests 1) "$MNT/c/requests.jsonl"
	contains "$(cat "$MNT/c/error")" "line 2: a job has one kind of request"
	same 1 "$(calls create_embed)"
}

@test "a composed draft: a text a request, and no parts for answers" {
	mount_jobs -o model=gemini-embedding-2
	draft a
	printf 'one\n\ntwo\n' >"$MNT/a/inputs.txt"
	echo '{"outputDimensionality": 5, "taskType": "CLUSTERING"}' >"$MNT/a/defaults.json"
	echo 'What is it?' >"$MNT/a/prompt.txt"
	same EBADMSG "$(errno_of_ctl a check)"
	contains "$(cat "$MNT/a/error")" prompt.txt "NAME > model"
	rm "$MNT/a/prompt.txt"
	echo check >"$MNT/a/ctl"
	same one "$(jq -r 'select(.key == "1").request.content.parts[].text' "$MNT/a/requests.jsonl")"
	# The same files are requests for answers, if another model is to have them.
	echo gemini-3.8-flash >"$MNT/a/model"
	rm "$MNT/a/defaults.json"
	echo check >"$MNT/a/ctl"
	same user "$(jq -r 'select(.key == "1").request.contents[0].role' "$MNT/a/requests.jsonl")"
	echo gemini-embedding-2 >"$MNT/a/model"
	echo '{"outputDimensionality": 5}' >"$MNT/a/defaults.json"
	echo submit >"$MNT/a/ctl"
	succeeded a
	eventually test -s "$MNT/a/vectors.npy"
	same '2 5' "$(all_vectors "$MNT/a/vectors.npy" | sed -n 1p)"
	diff <(all_vectors "$MNT/a/vectors.npy" | sed 1d) <(vectors_of_files "$MNT/a" 5)
	same 1 "$(calls create_embed)"
}

@test "what waits for the API goes to the same method after a kill" {
	mount_jobs -o model=gemini-embedding-2,submit=background
	draft a
	stop_emulator
	cp <(texts a b) "$MNT/a/requests.jsonl"
	kill_batchfs
	start_emulator
	mount_jobs -o submit=background
	succeeded a
	same 1 "$(calls create_embed)"
	same 0 "$(calls create)"
}
