# shellcheck shell=bash
# Tokens and quotas; sourced by check.sh, whose helpers it uses.

# ---- tokens: the same number from countTokens, at create and in the results

count() { # BODY [MODEL]
	post "/v1beta/${2:-$model}:countTokens" -d "$1" | jq -c 'if .error then .error.code else .totalTokens end'
}
job_tokens() { get /emu/jobs | jq --arg j "$1" '.jobs[] | select(.name == $j).tokens'; }

start
cat >"$work/odd.jsonl" <<'END'
{"key":"plain","request":{"contents":[{"parts":[{"text":"12345678"}]}]}}
{"key":"turns","request":{"contents":[{"role":"user","parts":[{"text":"a"},{"text":"bc"}]},{"role":"model","parts":[{"text":"def"}]},{"role":"user","parts":[{"text":"g"}]}],"systemInstruction":{"parts":[{"text":"hello"}]}}}
{"key":"escapes","request":{"contents":[{"parts":[{"text":"\u00e9\n\"\\\ud83d\ude00\u20ac\u0041ö€"}]}]}}
{"key":"snake","request":{"system_instruction":{"parts":[{"text":"be"}]},"contents":[{"parts":[{"inline_data":{"mime_type":"image/png","data":"AAAA"}},{"text":"see"}]}],"generation_config":{"response_mime_type":"text/plain"}}}
{"key":"tools","request":{"contents":[{"parts":[{"text":"abcd"}]}],"tools":[{"functionDeclarations":[{"name":"f","description":"text text text"}]}]}}
{"key":"nested","request":{"contents":[{"parts":[{"text":"q"},{"functionResponse":{"name":"f","response":{"text":"none of this"},"parts":[{"inlineData":{"mimeType":"image/png","data":"AAAA"}}]}}]}]}}
END
job=$(create "$(upload "$work/odd.jsonl")" | jq -r .name)
becomes SUCCEEDED "$job"
counted=$(while read -r l; do
	count "$(jq -c --arg m "$model" '{generateContentRequest: (.request + {model: $m})}' <<<"$l")"
done <"$work/odd.jsonl")
ok "tokens of a prompt: its turns, its system instruction, its files" same "2 4 5 260 1 1" "$(xargs <<<"$counted")"
ok "are those of the results" same "$(xargs <<<"$counted")" "$(download "$job" |
	jq -rs 'INDEX(.key) | [.plain, .turns, .escapes, .snake, .tools, .nested][].response.usageMetadata.promptTokenCount' | xargs)"
ok "and the job's, which nothing was parsed for" same 273 "$(job_tokens "$job")"
jq -c '.request' "$work/odd.jsonl" >"$work/bare.jsonl"
ok "also of bare lines" same 273 "$(job_tokens "$(create "$(upload "$work/bare.jsonl")" | jq -r .name)")"
job=$(jq -cs '{batch: {inputConfig: {requests: {requests: map({request})}}}}' "$work/odd.jsonl" |
	post "/v1beta/$model:batchGenerateContent" -d @- | jq -r .name)
ok "and inline" same 273 "$(job_tokens "$job")"
ok "details by modality" same '[{"modality":"TEXT","tokenCount":2},{"modality":"IMAGE","tokenCount":258}]' \
	"$(post "/v1beta/$model:countTokens" -d '{"contents":[{"parts":[{"text":"seen it"},{"inlineData":{"mimeType":"image/png","data":"AA"}}]}]}' | jq -c .promptTokensDetails)"

embed=models/gemini-embedding-2
echo '{"key":"a","request":{"content":{"parts":[{"text":"123456789"}]}}}' >"$work/e.jsonl"
job=$(post "/v1beta/$embed:asyncBatchEmbedContent" -d "{\"batch\":{\"inputConfig\":{\"fileName\":\"$(upload "$work/e.jsonl")\"}}}" | jq -r .name)
becomes SUCCEEDED "$job"
ok "embeddings are counted by contents" same "3 3 3" \
	"$(count '{"contents":[{"parts":[{"text":"123456789"}]}]}' $embed) $(job_tokens "$job") $(download "$job" | jq .response.usageMetadata.promptTokenCount)"

ok "countTokens wants contents" same 400 "$(count '{}')"
ok "not a member of another message" same 400 "$(count '{"content":{"parts":[{"text":"a"}]}}')"
ok "nor without the model inside" contains "$(post "/v1beta/$model:countTokens" -d '{"generateContentRequest":{"contents":[{"parts":[{"text":"a"}]}]}}')" \
	'* CountTokensRequest.generate_content_request.model: model is not specified'
ok "a model without it" same 404 "$(count '{"contents":[{"parts":[{"text":"a"}]}]}' models/imagen-4.0-generate-001)"
for status in 429 404 500; do
	arm "match=count_tokens&kind=status&status=$status"
	ok "countTokens may fail: $status" same $status "$(count '{"contents":[{"parts":[{"text":"a"}]}]}')"
done
stop

# ---- quotas

big=$(printf 'x%.0s' {1..400}) # 100 tokens
line a "$big" >"$work/100.jsonl"
for i in 1 2 3; do line $i "$big"; done >"$work/300.jsonl"
refusal() { jq -r '.error | "\(.code) \(.status) \(.message)"' "$work/body"; }
detail() { jq -c --arg t "type.googleapis.com/google.rpc.$1" '[.error.details[]? | select(."@type" == $t)][0]' "$work/body"; }
try() { # FILE [MODEL] [KEY]: prints the code
	curl -sS -o "$work/body" -w '%{http_code}' -H "x-goog-api-key: ${3:-check}" -H 'Content-Type: application/json' \
		-d "{\"batch\":{\"inputConfig\":{\"fileName\":\"$1\"}}}" "$url/v1beta/${2:-$model}:batchGenerateContent"
}
tries() { # FILE...: prints the codes
	local f
	for f; do printf '%s ' "$(try "$f")"; done
}
made() { jq -r .name "$work/body"; }
watch() { get /emu/quota | jq -c "$1"; }
fresh() { # KNOBS: no jobs, no history
	get /emu/jobs | jq -r --arg u "$url" '.jobs[] | "\($u)/emu/job/\(.name[8:])"' |
		xargs -r curl -sS -X DELETE
	set_knob "max_jobs=100&queue_tokens=0&job_tokens=0&spend_limit=0&create_rate=0&credits_depleted=0&quota_whim=0&quota_text=quota&spend_text=own&pending=1000&running=0.05&running_jobs=0&$1"
	post /emu/quota/reset
} >/dev/null

start --data "$work/quotas" --key check=p1 --key second=p1 --key other=p2
one=$(upload "$work/100.jsonl") three=$(upload "$work/300.jsonl")

fresh queue_tokens=400
ok "a queue of tokens: what does not fit is refused" same "200 429 200 429 " "$(tries "$three" "$three" "$one" "$one")"
ok "in the usual words" contains "$(refusal)" \
	'429 RESOURCE_EXHAUSTED You exceeded your current quota, please check your plan and billing details.'
ok "with a link and nothing else" same '["type.googleapis.com/google.rpc.Help"]' "$(jq -c '[.error.details[]."@type"]' "$work/body")"
ok "other models have queues of their own" same 200 "$(try "$one" models/gemini-4-carbon)"
ok "an alias has not" same 429 "$(try "$one" models/gemini-flash-latest)"
ok "keys of a project share it" same 429 "$(try "$one" "$model" second)"
line a "$big" >"$work/other.jsonl"
theirs=$(key='x-goog-api-key: other' upload "$work/other.jsonl")
ok "other projects have theirs" same 200 "$(try "$theirs" "$model" other)"
ok "the queues can be watched" same '[2,400,2,400]' \
	"$(watch '.queues[] | select(.project == "p1" and .model == "gemini-3.8-flash") | [.jobs, .tokens, .mostJobs, .mostTokens]')"
ok "so can refusals" same '[4,4]' "$(watch '[.taken, .refused.tokens]')"

job=$(get /emu/jobs | jq -r '[.jobs[] | select(.tokens == 300)][0].name')
post "/v1beta/$job:cancel" -d '{}' >/dev/null
becomes CANCELLED "$job"
ok "a cancelled job frees its tokens" same "200 " "$(tries "$three")"
delete "/v1beta/$(made)" >/dev/null
ok "a deleted one, too" same "200 " "$(tries "$three")"
set_knob pending=0.01
becomes SUCCEEDED "$(made)"
set_knob pending=1000
ok "and one that ends" same "200 " "$(tries "$three")"

fresh 'queue_tokens=400&quota_text=named'
tries "$three" "$three" >/dev/null
ok "a text that says which quota" contains "$(refusal)" \
	'* Quota exceeded for metric: generativelanguage.googleapis.com/batch_enqueued_tokens, limit: 400, model: gemini-3.8-flash'
ok "and a QuotaFailure" same '"BatchEnqueuedTokensPerProjectPerModel" "400"' \
	"$(detail QuotaFailure | jq -c '.violations[0] | .quotaId, .quotaValue' | xargs -d '\n')"
for text in exhausted 'Resource has been exhausted' prepaid 'Your prepayment credits' retryinfo 'Please retry in'; do
	[ "${text/ /}" = "$text" ] && set_knob quota_text="$text" && continue
	ok "another text: $text" contains "$(try "$three" >/dev/null; refusal)" "$text"
done

fresh 'queue_tokens=50'
ok "a quota that nothing fits" same "429 429 " "$(tries "$one" "$three")"
ok "leaves no job behind" same 0 "$(get '/emu/jobs?count=1' | jq .count)"
set_knob queue_tokens=100
ok "until it changes its mind" same "200 429 " "$(tries "$one" "$one")"
fresh 'job_tokens=200'
ok "a quota for one job" same "429 200 200 200 " "$(tries "$three" "$one" "$one" "$one")"
fresh 'max_jobs=2'
ok "two of ten at a time" same "200 200 429 429 429 " "$(tries "$one" "$one" "$one" "$one" "$one")"
ok "counted as jobs" same '[2,3]' "$(watch '[.taken, .refused.jobs]')"
fresh 'quota_whim=100'
ok "a quota without a reason" same "429 " "$(tries "$one")"

fresh 'queue_tokens=1e6,gemini-4-carbon:100,other/*:150,p1/gemini-4-argon:1'
ok "limits by model" same "200 429 200 429 " "$(for m in carbon argon neon; do printf '%s ' "$(try "$one" models/gemini-4-$m)"; done
	printf '%s ' "$(try "$three" models/gemini-4-carbon)")"
theirs=$(key='x-goog-api-key: other' upload "$work/300.jsonl")
ok "limits by key" same "429" "$(try "$theirs" "$model" other)"
ok "a limit that is none" is_code 400 -X POST "$url/emu/set?queue_tokens=gemini-4-carbon:many"

fresh 'spend_limit=0.0005&token_price=1&spend_window=600'
ok "money in a while" same "200 200 429 " "$(tries "$one" "$three" "$three")"
ok "has words of its own" contains "$(refusal)" 'You exceeded your spend-based rate limit.'
delete "/v1beta/$(get /emu/jobs | jq -r '.jobs[0].name')" >/dev/null
ok "it is spent for good" same "429 200 429 " "$(tries "$three" "$one" "$one")"
set_knob spend_text=same
ok "or the words of the others" contains "$(try "$one" >/dev/null; refusal)" 'check your plan and billing details'
set_knob spend_window=0.01
sleep 0.02
ok "until the time has passed" same "200 429 " "$(set_knob spend_window=0.01; sleep 0.02; tries "$three"; set_knob spend_window=600; tries "$three")"
set_knob 'token_price=gemini-4-carbon:100'
ok "prices by model" same "200 429" "$(try "$three") $(try "$one" models/gemini-4-carbon)"

fresh 'create_rate=2&create_window=600'
ok "so many creates in a time" same "200 200 429 " "$(tries "$one" "$one" "$one")"
ok "say when to come again" same 1 "$(detail RetryInfo | jq '.retryDelay | rtrimstr("s") | tonumber | if . > 500 and . <= 600 then 1 else . end')"
set_knob create_window=0.01
sleep 0.02
ok "and then pass" same "200 " "$(tries "$one")"

fresh credits_depleted=1
ok "credits that are depleted" same "429 RESOURCE_EXHAUSTED Your prepayment credits are depleted. Please go to AI Studio to manage your project and billing." \
	"$(try "$one" >/dev/null; refusal)"
ok "do not stop uploads and counts" same 25 "$(upload "$work/100.jsonl" >/dev/null; count '{"contents":[{"parts":[{"text":"'"${big:0:100}"'"}]}]}')"

fresh input_limit=200
sed 's/xxx*/x/' "$work/100.jsonl" >"$work/small.jsonl"
ok "an input file that is too large" same "200 400 " "$(tries "$(upload "$work/small.jsonl")" "$three")"
ok "says so" contains "$(refusal)" '400 INVALID_ARGUMENT The input file must not be larger than 200 bytes.'
set_knob input_limit=2147483648

fresh queue_tokens=1000
post /emu/job -d '{"state":"RUNNING","key":"check","tokens":800}' >/dev/null
ok "another client's jobs are in the queue" same "429 200 " "$(tries "$three" "$one")"

stop
start --data "$work/quotas" --key check=p1 --key other=p2 --set queue_tokens=1000 --pending 1000
ok "what was queued still is after a restart" same "429 200 429 " "$(tries "$three" "$one" "$one")"

# ---- the queue at work

fresh 'running=100,gemini-4-carbon:0.01&pending=0'
a=$(create "$one" | jq -r .name)
ok "how long a job runs, by model" becomes SUCCEEDED "$(try "$one" models/gemini-4-carbon >/dev/null; made)"
ok "the other one still runs" becomes RUNNING "$a"

fresh 'running=100&pending=0&running_jobs=1'
a=$(create "$three" | jq -r .name) b=$(create "$one" | jq -r .name)
try "$one" models/gemini-4-carbon >/dev/null
c=$(made)
d=$(post "/v1beta/$model:batchGenerateContent" \
	-d "{\"batch\":{\"priority\":\"5\",\"inputConfig\":{\"fileName\":\"$one\"}}}" | jq -r .name)
becomes RUNNING "$a"
becomes RUNNING "$c"
ok "one job of a model runs at a time" same "BATCH_STATE_RUNNING BATCH_STATE_PENDING BATCH_STATE_RUNNING BATCH_STATE_PENDING" \
	"$(state "$a") $(state "$b") $(state "$c") $(state "$d")"
post "/emu/job/${a#batches/}" -d '{"state":"SUCCEEDED"}' >/dev/null
becomes SUCCEEDED "$a"
ok "the next one by priority" becomes RUNNING "$d"
ok "then by age" same BATCH_STATE_PENDING "$(state "$b")"
delete "/v1beta/$d" >/dev/null
ok "when the one before has left" becomes RUNNING "$b"

fresh 'running=0.5&pending=0'
for i in {1..50}; do line $i x; done >"$work/50.jsonl"
a=$(create "$(upload "$work/50.jsonl")" | jq -r .name)
grows() {
	local i n
	for ((i = 0; i < 100; i++)); do
		n=$(get "/v1beta/$a" | jq -r '.metadata.batchStats.successfulRequestCount // "0"')
		((n > 0 && n < 50)) && return
		sleep 0.02
	done
	echo "$n"
	false
}
ok "counts grow while a job runs" grows
stop
