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
