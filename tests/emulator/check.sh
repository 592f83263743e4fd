#!/usr/bin/env bash
# Does the emulator do what docs/emulator.md says? With curl, in a few seconds, as TAP.
#
#	tests/emulator/check.sh [PROGRAM]
set -u

here=$(cd "$(dirname "$0")" && pwd)
emulator=${1:-${EMULATOR:-$here/../../build/tests/emulator/gemini-emulator}}
work=$(mktemp -d)
pid= passed=0 failed=0
key='x-goog-api-key: check'
model=models/gemini-3.8-flash
trap 'stop; rm -rf "$work"' EXIT

start() { # [ARGUMENT...]
	: >"$work/out" # of the one before, which had another address
	"$emulator" --data "$work/data" --pending 0.05 --running 0.05 \
		--set cancel_delay=0.01 --log "$work/log" "$@" >"$work/out" 2>>"$work/err" &
	pid=$!
	until grep -q '^listening on ' "$work/out"; do
		kill -0 $pid || exit 1
		sleep 0.02
	done
	url=$(sed 's/^listening on //' "$work/out")
}

stop() {
	[ -n "$pid" ] || return 0
	kill "$pid" 2>/dev/null
	wait "$pid"
	status=$?
	pid=
	return $status
}

ok() { # NAME COMMAND...
	local name=$1
	shift
	if "$@" >"$work/said" 2>&1; then
		passed=$((passed + 1))
		echo "ok $((passed + failed)) - $name"
	else
		failed=$((failed + 1))
		echo "not ok $((passed + failed)) - $name"
		sed 's/^/# /' "$work/said" | cut -c1-300 | head -n 20
	fi
}

get() { curl -sS -H "$key" "$url$1" "${@:2}"; }
post() { curl -sS -H "$key" -H 'Content-Type: application/json' -X POST "$url$1" "${@:2}"; }
delete() { curl -sS -H "$key" -X DELETE "$url$1" "${@:2}"; }
code() { curl -sS -o "$work/body" -w '%{http_code}' -H "$key" "$@"; }
set_knob() { post "/emu/set?$1" >/dev/null; }
arm() { post "/emu/fault?$1" >/dev/null; }
same() { [ "$1" = "$2" ] || { printf 'expected: %s\n     got: %s\n' "$1" "$2"; false; }; }
is_code() { same "$1" "$(code "${@:2}")" || { cat "$work/body"; false; }; }
contains() { [[ $1 == *"$2"* ]] || { printf 'no %s in: %s\n' "$2" "$1"; false; }; }
# curl's own failures: 18 partial, 28 timeout, 52 nothing, 56 reset
curl_fails() { # STATUS ARGUMENT...
	local want=$1 got=0
	shift
	curl -sS -o "$work/body" -H "$key" "$@" || got=$?
	same "$want" "$got"
}

# upload_start [SIZE] [NAME]: prints the URL
upload_start() {
	post /upload/v1beta/files -D - -o /dev/null -H 'X-Goog-Upload-Protocol: resumable' \
		-H 'X-Goog-Upload-Command: start' ${1:+-H "X-Goog-Upload-Header-Content-Length: $1"} \
		-H 'X-Goog-Upload-Header-Content-Type: application/jsonl' \
		-d "{\"file\":{\"displayName\":\"${2:-check}\"}}" |
		tr -d '\r' | sed -n 's/^X-Goog-Upload-URL: //Ip'
}
# piece URL COMMAND OFFSET FILE: prints HTTP code, status, size received
piece() {
	curl -sS -o "$work/body" -D "$work/head" -H "X-Goog-Upload-Command: $2" \
		${3:+-H "X-Goog-Upload-Offset: $3"} --data-binary "@${4:-/dev/null}" "$1" &&
		tr -d '\r' <"$work/head" | awk 'NR == 1 { c = $2 }
			tolower($1) == "x-goog-upload-status:" { s = $2 }
			tolower($1) == "x-goog-upload-size-received:" { n = " " $2 }
			END { print c " " s n }'
}
upload() { # FILE: prints the name
	piece "$(upload_start "$(stat -c %s "$1")")" 'upload, finalize' 0 "$1" >/dev/null
	jq -r .file.name "$work/body"
}
create() { # FILE-NAME [DISPLAY]
	post "/v1beta/$model:batchGenerateContent" \
		-d "{\"batch\":{\"displayName\":\"${2:-job}\",\"inputConfig\":{\"fileName\":\"$1\"}}}"
}
create_inline() { # TEXT
	jq -n --arg t "$1" '{batch: {displayName: "i", inputConfig: {requests: {requests:
		[{request: {contents: [{parts: [{text: $t}]}]}, metadata: {key: "a"}}]}}}}' |
		post "/v1beta/$model:batchGenerateContent" -d @-
}
state() { get "/v1beta/$1" | jq -r .metadata.state; }
becomes() { # STATE JOB
	local i
	for ((i = 0; i < 200; i++)); do
		[ "$(state "$2")" = "BATCH_STATE_$1" ] && return
		sleep 0.02
	done
	same "BATCH_STATE_$1" "$(state "$2")"
}
line() { jq -cn --arg k "$1" --arg t "$2" '{key: $k, request: {contents: [{parts: [{text: $t}]}]}}'; }
download() { get "/v1beta/files/batch-${1#batches/}:download?alt=media"; }

start
for i in 1 2 3 4 5; do line "k$i" "prompt $i"; done >"$work/in.jsonl"

# ---- a whole life

in=$(upload "$work/in.jsonl")
job=$(create "$in" | jq -r .name)
ok "a job succeeds" becomes SUCCEEDED "$job"
ok "every key once" same "k1 k2 k3 k4 k5" "$(download "$job" | jq -r .key | sort | xargs)"
ok "answers are the keys' own" same "You said: prompt 3" "$(download "$job" |
	jq -r 'select(.key == "k3").response.candidates[0].content.parts[0].text')"
ok "counts are strings, zeros absent" same '{"requestCount":"5","successfulRequestCount":"5"}' \
	"$(get "/v1beta/$job" | jq -c .metadata.batchStats)"
ok "output file by its name" same GENERATED "$(get "/v1beta/files/batch-${job#batches/}" | jq -r .source)"
ok "delete of it is refused" is_code 400 -X DELETE "$url/v1beta/files/batch-${job#batches/}"
ok "the other download path, a range" same '{"' \
	"$(get "/download/v1beta/files/batch-${job#batches/}:download?alt=media" -r 0-1)"
ok "the newer version's path" is_code 200 "$url/v1/$job"
ok "fields" same '{"name":"'"$job"'","metadata":{"state":"BATCH_STATE_SUCCEEDED"}}' \
	"$(get "/v1beta/$job?fields=name,metadata(state)" -g | jq -c .)"
ok "prettyPrint=false" same 1 "$(get "/v1beta/$job?prettyPrint=false" | grep -c '')"
ok "deleted with its output" delete "/v1beta/$job"
ok "so it is gone" is_code 404 "$url/v1beta/$job"
ok "and its output" is_code 404 "$url/v1beta/files/batch-${job#batches/}:download?alt=media"

# ---- countTokens

count() { post "/v1beta/$model:countTokens" -d "$1" | jq -r '.totalTokens // .error.message'; }
ask='"contents":[{"parts":[{"text":"12345678"}]}]'
ok "tokens are counted" same 2 "$(count "{$ask}")"
ok "of a whole request, which names its model" same 4 "$(count \
	"{\"generateContentRequest\":{\"model\":\"$model\",$ask,\"systemInstruction\":{\"parts\":[{\"text\":\"12345\"}]}}}")"
ok "one without is refused" contains "$(count "{\"generateContentRequest\":{$ask}}")" 'model is not specified'
ok "a file that is not there too" contains "$(count \
	'{"contents":[{"parts":[{"fileData":{"fileUri":"https://x/v1beta/files/none"}}]}]}')" 'may not exist'
ok "a model that is not there cannot count" is_code 404 -d '{}' "$url/v1beta/models/none:countTokens"

# ---- other calls

job=$(create "$in" | jq -r .name)
ok "update" same '"new name" "7"' "$(post "/v1beta/$job:updateGenerateContentBatch?updateMask=displayName,priority" \
	-X PATCH -d '{"displayName":"new name","priority":"7"}' | jq -c '.displayName, .priority' | xargs -d '\n')"
cache=$(post /v1beta/cachedContents -d '{"model":"models/gemini-3.8-flash","contents":[{"parts":[{"text":"x"}]}]}' | jq -r .name)
ok "a cached content" is_code 200 "$url/v1beta/$cache"
jq -cn --arg c "$cache" '{key: "here", request: {contents: [{parts: [{text: "x"}]}], cachedContent: $c}},
	{key: "gone", request: {contents: [{parts: [{text: "x"}]}], cached_content: "cachedContents/gone"}},
	{key: "both", request: {contents: [{parts: [{text: "x"}]}], cachedContent: $c,
		systemInstruction: {parts: [{text: "y"}]}}}' >"$work/c.jsonl"
job=$(create "$(upload "$work/c.jsonl")" | jq -r .name)
becomes SUCCEEDED "$job"
ok "requests that name caches" same "both 3 gone 7 here null" \
	"$(download "$job" | jq -r '"\(.key) \(.error.code)"' | sort | xargs)"
ok "HEAD" contains "$(curl -sSI -H "$key" "$url/v1beta/files/batch-${job#batches/}:download?alt=media")" 'Content-Length: '
ok "files in pages" same "$(get '/v1beta/files?pageSize=100' | jq '.files | length')" "$(
	token= n=0
	while :; do
		page=$(get "/v1beta/files?pageSize=1&pageToken=$token")
		n=$((n + $(jq '.files // [] | length' <<<"$page")))
		token=$(jq -r '.nextPageToken // empty' <<<"$page")
		[ -n "$token" ] || break
	done
	echo $n)"
set_knob late_output=1000
job=$(create "$in" | jq -r .name)
becomes SUCCEEDED "$job"
ok "output comes late" same null "$(get "/v1beta/$job" | jq .metadata.output)"
set_knob 'late_output=0&inline_output_limit=10'
job=$(create_inline x | jq -r .name)
ok "inline output too big" eval 'for i in $(seq 100); do [ "$(code "$url/v1beta/$job")" = 503 ] && break; sleep 0.02; done; is_code 503 "$url/v1beta/$job"'
set_knob 'inline_output_limit=0&state_spelling=job&counts=number'
ok "another spelling" same "JOB_STATE_SUCCEEDED 1" "$(get "/v1beta/$job" | jq -r '.metadata | "\(.state) \(.batchStats.requestCount)"')"
set_knob 'state_spelling=batch&counts=string&list_delay=1000'
job=$(create "$in" | jq -r .name)
ok "listed late" same false "$(get '/v1beta/batches?pageSize=100' | jq --arg j "$job" '[.operations // [] | .[].name] | index($j) != null')"
set_knob 'list_delay=0&page_default=0'
ok "an empty list without pageSize" same '{}' "$(get /v1beta/batches | jq -c .)"
set_knob page_default=10

# ---- magic words

job=$(create_inline '[emu:function]' | jq -r .name)
becomes SUCCEEDED "$job"
ok "a function call" same do_something "$(get "/v1beta/$job" |
	jq -r '.response.inlinedResponses.inlinedResponses[0].response.candidates[0].content.parts[0].functionCall.name')"
{ line a '[emu:missing]' && line b '[emu:image 1000]' && line c '[emu:thought]'; } >"$work/m.jsonl"
job=$(create "$(upload "$work/m.jsonl")" | jq -r .name)
becomes SUCCEEDED "$job"
ok "a missing line, an image, a thought" same "b c" "$(download "$job" | jq -r .key | sort | xargs)"

jq -cn '{key: "pic", request: {contents: [{parts: [{text: "[emu:files]"},
		{inline_data: {mime_type: "image/png", data: "iVBORw0KGgo="}}]}]}},
	{key: "bare", request: {contents: [{parts: [{text: "x"}, {inlineData: {}}]}]}}' >"$work/m.jsonl"
job=$(create "$(upload "$work/m.jsonl")" | jq -r .name)
becomes SUCCEEDED "$job"
ok "pictures within requests" same "image/png 8 -" "$(download "$job" |
	jq -r 'select(.key == "pic").response.candidates[0].content.parts[0].text' | head -n 1)"
jq -cn 'def r(s): {contents: [{parts: [{text: "x"}]}], generationConfig: {responseMimeType:
		"application/json", responseSchema: s}};
	{key: "format", request: r({type: "string", format: "uuid"})},
	{key: "empty", request: r({type: "object"})},
	{key: "enum", request: r({type: "STRING", enum: [""]})},
	{key: "required", request: r({type: "object", properties: {a: {type: "string"}}, required: ["b"]})},
	{key: "items", request: r({type: "array"})},
	{key: "none", request: r({description: "x"})},
	{key: "good", request: r({type: "object", properties: {a: {type: "string", format: "date-time"}}})},
	{key: "role", request: {contents: [{role: "system", parts: [{text: "x"}]}]}}' >"$work/m.jsonl"
job=$(create "$(upload "$work/m.jsonl")" | jq -r .name)
becomes SUCCEEDED "$job"
ok "values that make no sense, line by line" same \
	"empty 3 enum 3 format 3 good null items 3 none 3 required 3 role 3" \
	"$(download "$job" | jq -r '"\(.key) \(.error.code)"' | sort | xargs)"
ok "by their path" same \
	"* GenerateContentRequest.generation_config.response_schema.required[0]: property is not defined" \
	"$(download "$job" | jq -r 'select(.key == "required").error.message')"

# ---- refusals

ok "no key" same 403 "$(curl -sS "$url/v1beta/batches" | jq .error.code)"
ok "a bad key" same API_KEY_INVALID "$(curl -sS "$url/v1beta/batches?key=invalid" | jq -r '.error.details[0].reason')"
ok "no such path" is_code 404 "$url/v1beta/nothing"
ok "GET of :cancel" is_code 404 "$url/v1beta/batches/x:cancel"
ok "no such file" is_code 403 "$url/v1beta/files/nowhere"
ok "create from it" same 404 "$(create files/nowhere | jq .error.code)"
printf '{"request":{"contents":[{"parts":[{"fileData":{"fileUri": "%s"}}]}]}}\n' "$url/v1beta/files/nowhere" >"$work/lost"
ok "create from lines that name it" same 403 "$(create "$(upload "$work/lost")" | jq .error.code)"
printf '{"request":{"contents":[{"parts":[{"file_data":{"file_uri":"cat.png"}}]}]}}\n' >"$work/lost"
ok "create from lines that name a file here" same 400 "$(create "$(upload "$work/lost")" | jq .error.code)"
ok "a bad page token" is_code 400 "$url/v1beta/batches?pageToken=x"
{ line a x && echo '{"key":"b","request":{"contents":[],"thinking_config":{}}}' && echo '['; } >"$work/bad.jsonl"
ok "bad lines, each by number" same \
	"Error on line 2: invalid JSON, near column 37: no such field: 'thinking_config'|Error on line 3: invalid JSON, near column 1: unexpected character: '['; expected '{'" \
	"$(create "$(upload "$work/bad.jsonl")" | jq -r .error.message | tr '\n' '|' | sed 's/|$//')"
ok "single quotes are forgiven" same "it's" "$(post "/v1beta/$model:batchGenerateContent" -d \
	"{'batch':{'display_name':'it\\'s','input_config':{'file_name':'$in'}}}" | jq -r .metadata.displayName)"

# ---- uploads

head -c 600000 /dev/zero | tr '\0' a >"$work/a"
head -c 262144 "$work/a" >"$work/p1" && tail -c +262145 "$work/a" | tr a b >"$work/p2"
set_knob granularity=262144
u=$(upload_start 600000)
ok "odd length" same "400 active" "$(piece "$u" upload 0 "$work/a")"
ok "nothing of it stored" same "200 active 0" "$(piece "$u" query)"
ok "a piece" same "200 active" "$(piece "$u" upload 0 "$work/p1")"
ok "the same again" same "200 active" "$(piece "$u" upload 0 "$work/p1")"
head -c 262144 "$work/p2" >"$work/p3"
ok "other bytes in its place" same "400 active" "$(piece "$u" upload 0 "$work/p3")"
ok "an offset beyond" same "400 active" "$(piece "$u" upload 300000 "$work/p1")"
ok "query" same "200 active 262144" "$(piece "$u" query)"
ok "last piece" same "200 final" "$(piece "$u" 'upload, finalize' 262144 "$work/p2")"
ok "its File" same 600000 "$(jq -r .file.sizeBytes "$work/body")"
ok "its digest" same "$(cat "$work/p1" "$work/p2" | sha256sum | cut -d ' ' -f 1)" \
	"$(jq -r .file.sha256Hash "$work/body" | base64 -d)"
ok "query when final" same "200 final" "$(piece "$u" query)"
ok "gives the File again" same 600000 "$(jq -r .file.sizeBytes "$work/body")"
u=$(upload_start 10)
ok "too many bytes" same "400 final" "$(piece "$u" 'upload, finalize' 0 "$work/p1")"
u=$(upload_start)
ok "no size declared; finalize alone" same "200 active" "$(piece "$u" upload 0 "$work/p1")"
ok "finalize" same "200 final" "$(piece "$u" finalize)"
u=$(upload_start 10)
ok "cancel" same "200 cancelled" "$(piece "$u" cancel)"
ok "query when cancelled" same "200 cancelled" "$(piece "$u" query)"
ok "an unknown session" same "404 " "$(piece "$url/upload/v1beta/files?upload_id=x" query)"
u=$(upload_start 600000)
arm 'match=upload&kind=cut_body&at=300000'
curl -sS -H 'X-Goog-Upload-Command: upload, finalize' -H 'X-Goog-Upload-Offset: 0' \
	--data-binary "@$work/a" "$u" 2>/dev/null
ok "cut: the bytes that came are kept" same "200 active 300000" "$(piece "$u" query)"
set_knob upload_keep=granules
tail -c +300001 "$work/a" >"$work/rest"
arm 'match=upload&kind=cut_body&at=200000'
curl -sS -H 'X-Goog-Upload-Command: upload, finalize' -H 'X-Goog-Upload-Offset: 300000' \
	--data-binary "@$work/rest" "$u" 2>/dev/null
ok "or whole granules" same "200 active 300000" "$(piece "$u" query)"
ok "resumed" same "200 final" "$(piece "$u" 'upload, finalize' 300000 "$work/rest")"
printf -- '--B\r\nContent-Type: application/json\r\n\r\n{"file":{"displayName":"m"}}\r\n--B\r\nContent-Type: text/plain\r\n\r\nhello\r\n--B--\r\n' >"$work/mp"
ok "multipart" same "5 text/plain" "$(curl -sS -H "$key" -H 'X-Goog-Upload-Protocol: multipart' \
	-H 'Content-Type: multipart/related; boundary=B' --data-binary "@$work/mp" \
	"$url/upload/v1beta/files" | jq -r '.file | "\(.sizeBytes) \(.mimeType)"')"

# ---- faults

b=$url/v1beta/batches
arm 'match=list&kind=status&status=503&skip=1'
ok "status: not the first" is_code 200 "$b"
ok "status: the second" is_code 503 "$b"
ok "status: not the third" is_code 200 "$b"
set_knob retry_after=7
arm 'match=list&kind=status&status=429&count=2'
ok "429 with Retry-After" contains "$(get /v1beta/batches -i)" 'Retry-After: 7'
ok "429 twice" contains "$(get /v1beta/batches)" 'exceeded your current quota'
n=$(get '/emu/jobs?count=1' | jq .count)
arm 'match=create&kind=drop_before'
ok "drop_before" curl_fails 52 "$url/v1beta/$model:batchGenerateContent" -d \
	"{\"batch\":{\"inputConfig\":{\"fileName\":\"$in\"}}}"
ok "made no job" same "$n" "$(get '/emu/jobs?count=1' | jq .count)"
arm 'match=create&kind=drop_after'
ok "drop_after" curl_fails 52 "$url/v1beta/$model:batchGenerateContent" -d \
	"{\"batch\":{\"inputConfig\":{\"fileName\":\"$in\"}}}"
ok "made one" same $((n + 1)) "$(get '/emu/jobs?count=1' | jq .count)"
arm 'match=POST%20/v1beta/models&kind=status&status=500&after=1'
ok "500 after the deed, by path" same 500 "$(create "$in" | jq .error.code)"
ok "made another" same $((n + 2)) "$(get '/emu/jobs?count=1' | jq .count)"
arm 'match=list&kind=cut&at=5'
ok "cut" curl_fails 18 "$b"
arm 'match=list&kind=stall&seconds=5'
ok "stall" curl_fails 28 -m 0.3 "$b"
arm 'match=list&kind=stall&seconds=5&at=2'
ok "stall inside the body" curl_fails 28 -m 0.3 "$b"
arm 'match=list&kind=drip&bytes=1&seconds=0.05'
ok "drip" curl_fails 28 -m 0.3 "$b"
arm 'match=list&kind=html&status=502'
ok "html" contains "$(get /v1beta/batches)" '<html'
arm 'match=list&kind=garbage&text=%00oops'
ok "garbage" is_code 200 "$b"
arm 'match=list&kind=redirect&status=307&location=http://elsewhere/'
ok "redirect" contains "$(get /v1beta/batches -i)" 'Location: http://elsewhere/'
arm 'match=list&kind=truncate&at=5'
ok "truncate" same 5 "$(get /v1beta/batches | wc -c)"
arm 'match=list&kind=hugejson&bytes=1000000'
ok "hugejson" same 1000011 "$(get /v1beta/batches | wc -c)"
arm 'match=list&kind=widejson&bytes=6&text=1'
ok "widejson" same '{"operations":[1,1,1,1]}' "$(get /v1beta/batches)"
arm 'match=list&kind=deepjson&bytes=5'
ok "deepjson" same '{"metadata":[[[[[]]]]]}' "$(get /v1beta/batches)"
arm 'match=models&kind=wrongtypes'
ok "wrongtypes" same object "$(get /v1beta/models | jq -r '.models | type')"
arm 'match=list&kind=header&text=X-Check:%20yes'
ok "header" contains "$(get /v1beta/batches -i)" 'X-Check: yes'
job=$(create "$in" | jq -r .name)
becomes SUCCEEDED "$job"
d="$url/v1beta/files/batch-${job#batches/}:download?alt=media"
size=$(download "$job" | wc -c)
arm 'match=download&kind=lying_range&text=label'
ok "lying_range" contains "$(curl -sS -i -H "$key" -r 0-9 "$d")" "Content-Range: bytes 1-10/$size"
arm 'match=download&kind=changed_length&bytes=10'
ok "changed_length" curl_fails 18 "$d"
arm 'match=download&kind=changed_bytes'
curl -sS -H "$key" -o "$work/other" "$d"
curl -sS -H "$key" -o "$work/true" "$d"
ok "changed_bytes" same "$(tr e x <"$work/true" | cksum)" "$(cksum <"$work/other")"
arm 'match=download&kind=cut&at=100'
ok "download cut" curl_fails 18 "$d"
set_knob gzip=on
ok "gzip" same "$size" "$(curl -sS --compressed -H "$key" "$d" | wc -c)"
set_knob 'gzip=off&range=off&length=off'
ok "no range, no length" same "200 chunked" "$(curl -sS -o /dev/null -D - -H "$key" -r 0-9 "$d" |
	tr -d '\r' | awk 'NR == 1 { c = $2 } /^Transfer-Encoding/ { print c, $2 }')"
set_knob 'range=on&length=on'

# ---- knobs

ok "an unknown knob" is_code 400 -X POST "$url/emu/set?nonsense=1"
ok "a bad value" is_code 400 -X POST "$url/emu/set?order=diagonal"
set_knob pending=1000
job=$(create "$in" | jq -r .name)
post "/v1beta/$job:cancel" >/dev/null
ok "cancelled while pending" becomes CANCELLED "$job"
ok "with code 13" same 13 "$(get "/v1beta/$job" | jq .error.code)"
set_knob 'pending=0&running=1000'
job=$(create "$in" | jq -r .name)
becomes RUNNING "$job"
post "/v1beta/$job:cancel" >/dev/null
ok "cancelled while running" becomes SUCCEEDED "$job"
ok "unserved lines are code 1" same '{"code":1}' "$(download "$job" | jq -c .error | sort -u)"
job=$(create "$in" | jq -r .name)
post "/emu/job/${job#batches/}" -d '{"age":180000}' >/dev/null
ok "expired after two days" becomes EXPIRED "$job"
set_knob 'pending=0.05&running=0.05&outcome=failed'
job=$(create "$in" | jq -r .name)
ok "failed" becomes FAILED "$job"
set_knob 'outcome=succeeded&validate=off'
ok "unchecked input" same BATCH_STATE_PENDING "$(create "$(upload "$work/bad.jsonl")" | jq -r .metadata.state)"
set_knob validate=full

# ---- other clients' jobs

ok "a thousand jobs at once" same 1000 "$(post /emu/job -d \
	'{"displayName":"j\u0000/","count":1000,"state":"SUCCEEDED"}' | jq '.names | length')"
page() { get "/v1beta/batches?pageSize=100&pageToken=$1" -g; }
count_all() {
	local token= n=0 reply
	while :; do
		reply=$(page "$token")
		n=$((n + $(jq '.operations | length' <<<"$reply")))
		token=$(jq -r '.nextPageToken // empty' <<<"$reply")
		[ -n "$token" ] || break
	done
	echo $n
}
ok "listed in pages" same "$(get '/emu/jobs?count=1' | jq .count)" "$(count_all)"
job=$(post /emu/job -d '{"displayName":"big","outputBytes":3000000,"requests":10}' | jq -r '.names[0]')
ok "with output of some size" same 10 "$(download "$job" | jq -r .key | wc -l)"
post "/emu/job/${job#batches/}" -d '{"stateText":"BATCH_STATE_PAUSED"}' >/dev/null
ok "a state nobody knows" same BATCH_STATE_PAUSED "$(state "$job")"
ok "calls are counted" same true "$(get /emu/stats | jq '.ops.create > 5')"
ok "and logged" grep -q '^POST /v1beta/models/gemini-3.8-flash:batchGenerateContent 200 .* op=create key=[0-9a-f]' "$work/log"

# ---- restart, keys, TLS, commands

set_knob granularity=262144
u=$(upload_start 600000)
piece "$u" upload 0 "$work/p1" >/dev/null
old=$url
ok "ends on SIGTERM" stop
start --key check=p1 --key second=p1 --key other=p2 --set granularity=262144
ok "jobs outlive it" same "200" "$(code "$url/v1beta/batches/$(get /emu/jobs | jq -r '.jobs[0].name' | cut -d/ -f2)")"
ok "upload sessions, too" same "200 active 262144" "$(piece "${u/$old/$url}" query)"
job=$(create_inline x | jq -r .name)
ok "another key of the project" same 200 "$(curl -sS -o /dev/null -w '%{http_code}' -H 'x-goog-api-key: second' "$url/v1beta/$job")"
ok "a key of another project" same 404 "$(curl -sS -o /dev/null -w '%{http_code}' -H 'x-goog-api-key: other' "$url/v1beta/$job")"
ok "an unlisted key" same 400 "$(curl -sS -o /dev/null -w '%{http_code}' -H 'x-goog-api-key: none' "$url/v1beta/$job")"
stop
start --responder 'tr a-z A-Z; [ "$GEMINI_MODEL" = gemini-3.8-flash ]' --responder-jobs 4
job=$(create "$(upload "$work/in.jsonl")" | jq -r .name)
becomes SUCCEEDED "$job"
ok "a command answers" same "PROMPT 1 PROMPT 2 PROMPT 3 PROMPT 4 PROMPT 5" \
	"$(download "$job" | jq -r '.response.candidates[0].content.parts[0].text' | sort | xargs)"
stop
start --responder 'cat; exit 3'
job=$(create "$(upload "$work/in.jsonl")" | jq -r .name)
becomes SUCCEEDED "$job"
ok "a command fails" same "5" "$(download "$job" | grep -c '"code":13.*status 3')"
stop
if command -v openssl >/dev/null && openssl req -x509 -newkey rsa:2048 -nodes -days 2 \
	-subj /CN=localhost -keyout "$work/tls.key" -out "$work/tls.crt" 2>/dev/null; then
	start --tls "$work/tls.crt" "$work/tls.key"
	ok "https" is_code 200 -k "$url/v1beta/batches"
	ok "https in URLs" contains "$(url=$url post /upload/v1beta/files -k -D - -H 'X-Goog-Upload-Command: start' -d '{}')" "X-Goog-Upload-URL: https://"
	stop
fi
# shellcheck source-path=SCRIPTDIR source=check_quota.bash
. "$here/check_quota.bash"
ok "nothing was complained about" same "" "$(cat "$work/err")"

echo "1..$((passed + failed))"
echo "# $passed passed, $failed failed"
[ $failed = 0 ]
