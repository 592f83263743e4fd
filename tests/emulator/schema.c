#include "schema.h"

#include <stddef.h>
#include <string.h>

#define STR(n)                                                                         \
	{                                                                              \
		n, TYPE_STRING, false, NULL                                            \
	}
#define STRS(n)                                                                        \
	{                                                                              \
		n, TYPE_STRING, true, NULL                                             \
	}
#define ENU(n)                                                                         \
	{                                                                              \
		n, TYPE_ENUM, false, NULL                                              \
	}
#define ENUS(n)                                                                        \
	{                                                                              \
		n, TYPE_ENUM, true, NULL                                               \
	}
#define NUMB(n)                                                                        \
	{                                                                              \
		n, TYPE_NUMBER, false, NULL                                            \
	}
#define BOO(n)                                                                         \
	{                                                                              \
		n, TYPE_BOOL, false, NULL                                              \
	}
#define ANY(n)                                                                         \
	{                                                                              \
		n, TYPE_ANY, false, NULL                                               \
	}
#define STRUCT(n)                                                                      \
	{                                                                              \
		n, TYPE_STRUCT, false, NULL                                            \
	}
#define MSG(n, m)                                                                      \
	{                                                                              \
		n, TYPE_MESSAGE, false, &m                                             \
	}
#define MSGS(n, m)                                                                     \
	{                                                                              \
		n, TYPE_MESSAGE, true, &m                                              \
	}
#define END                                                                            \
	{                                                                              \
		NULL, TYPE_ANY, false, NULL                                            \
	}
#define MESSAGE(id, ...)                                                               \
	static const struct field id##_fields[] = {__VA_ARGS__, END};                  \
	static const struct message id = {#id, id##_fields, NULL}
#define PUBLIC_MESSAGE(id, ...)                                                        \
	static const struct field id##_fields[] = {__VA_ARGS__, END};                  \
	const struct message id = {#id, id##_fields, NULL}

/* Content */

MESSAGE(blob, STR("mimeType"), STR("data"), STR("displayName"));
MESSAGE(file_data, STR("mimeType"), STR("fileUri"), STR("displayName"));
MESSAGE(function_call, STR("id"), STR("name"), STRUCT("args"));
MESSAGE(function_response_part, MSG("inlineData", blob), MSG("fileData", file_data));
MESSAGE(function_response, STR("id"), STR("name"), STRUCT("response"),
	MSGS("parts", function_response_part), BOO("willContinue"), ENU("scheduling"));
MESSAGE(executable_code, ENU("language"), STR("code"), STR("id"));
MESSAGE(code_result, ENU("outcome"), STR("output"), STR("id"));
MESSAGE(video_metadata, STR("startOffset"), STR("endOffset"), NUMB("fps"));
MESSAGE(part_resolution, ENU("level"), NUMB("numTokens"));
MESSAGE(part, STR("text"), MSG("inlineData", blob), MSG("fileData", file_data),
	MSG("functionCall", function_call), MSG("functionResponse", function_response),
	MSG("executableCode", executable_code), MSG("codeExecutionResult", code_result),
	MSG("videoMetadata", video_metadata), MSG("mediaResolution", part_resolution),
	BOO("thought"), STR("thoughtSignature"), STRUCT("partMetadata"),
	STRUCT("toolCall"), STRUCT("toolResponse"));
MESSAGE(content, MSGS("parts", part), STR("role"));

/* Schema; refers to itself */

static const struct message api_schema;
static const struct field property = MSG("", api_schema);
static const struct message property_map = {"properties", NULL, &property};
static const struct field api_schema_fields[] = {ENU("type"), STR("format"),
	STR("title"), STR("description"), BOO("nullable"), STRS("enum"),
	NUMB("maxItems"), NUMB("minItems"), MSG("properties", property_map),
	STRS("required"), NUMB("minProperties"), NUMB("maxProperties"),
	NUMB("minLength"), NUMB("maxLength"), STR("pattern"), ANY("example"),
	MSGS("anyOf", api_schema), STRS("propertyOrdering"), ANY("default"),
	MSG("items", api_schema), NUMB("minimum"), NUMB("maximum"), END};
static const struct message api_schema = {"schema", api_schema_fields, NULL};

/* Tools */

MESSAGE(function_declaration, STR("name"), STR("description"), ENU("behavior"),
	MSG("parameters", api_schema), ANY("parametersJsonSchema"),
	MSG("response", api_schema), ANY("responseJsonSchema"));
MESSAGE(retrieval_config, ENU("mode"), NUMB("dynamicThreshold"));
MESSAGE(search_retrieval, MSG("dynamicRetrievalConfig", retrieval_config));
MESSAGE(interval, STR("startTime"), STR("endTime"));
MESSAGE(google_search, MSG("timeRangeFilter", interval), STRUCT("searchTypes"));
MESSAGE(computer_use, ENU("environment"), STRS("excludedPredefinedFunctions"),
	BOO("enablePromptInjectionDetection"));
MESSAGE(file_search, STRS("fileSearchStoreNames"), NUMB("topK"), STR("metadataFilter"));
MESSAGE(google_maps, BOO("enableWidget"));
MESSAGE(tool, MSGS("functionDeclarations", function_declaration),
	MSG("googleSearchRetrieval", search_retrieval), STRUCT("codeExecution"),
	MSG("googleSearch", google_search), MSG("computerUse", computer_use),
	STRUCT("urlContext"), MSG("fileSearch", file_search), ANY("mcpServers"),
	MSG("googleMaps", google_maps));
MESSAGE(calling_config, ENU("mode"), STRS("allowedFunctionNames"));
MESSAGE(lat_lng, NUMB("latitude"), NUMB("longitude"));
MESSAGE(where, MSG("latLng", lat_lng), STR("languageCode"));
MESSAGE(tool_config, MSG("functionCallingConfig", calling_config),
	MSG("retrievalConfig", where), BOO("includeServerSideToolInvocations"));
MESSAGE(safety_setting, ENU("category"), ENU("threshold"));

/* GenerationConfig */

MESSAGE(prebuilt_voice, STR("voiceName"));
MESSAGE(voice, MSG("prebuiltVoiceConfig", prebuilt_voice));
MESSAGE(speaker, STR("speaker"), MSG("voiceConfig", voice));
MESSAGE(speakers, MSGS("speakerVoiceConfigs", speaker));
MESSAGE(speech, MSG("voiceConfig", voice), MSG("multiSpeakerVoiceConfig", speakers),
	STR("languageCode"));
MESSAGE(thinking, BOO("includeThoughts"), NUMB("thinkingBudget"), ENU("thinkingLevel"));
MESSAGE(image_config, STR("aspectRatio"), STR("imageSize"));
MESSAGE(generation_config, NUMB("candidateCount"), STRS("stopSequences"),
	NUMB("maxOutputTokens"), NUMB("temperature"), NUMB("topP"), NUMB("topK"),
	NUMB("seed"), STR("responseMimeType"), MSG("responseSchema", api_schema),
	ANY("responseJsonSchema"), ANY("_responseJsonSchema"), NUMB("presencePenalty"),
	NUMB("frequencyPenalty"), BOO("responseLogprobs"), NUMB("logprobs"),
	BOO("enableEnhancedCivicAnswers"), ENUS("responseModalities"),
	MSG("speechConfig", speech), MSG("thinkingConfig", thinking),
	MSG("imageConfig", image_config), ENU("mediaResolution"));

/* Requests */

#define GENERATE_FIELDS                                                                \
	STR("model"), MSGS("contents", content), MSG("systemInstruction", content),    \
		MSGS("tools", tool), MSG("toolConfig", tool_config),                   \
		MSGS("safetySettings", safety_setting),                                \
		MSG("generationConfig", generation_config), STR("cachedContent")
#define EMBED_FIELDS                                                                   \
	STR("model"), MSG("content", content), ENU("taskType"), STR("title"),          \
		NUMB("outputDimensionality")

MESSAGE(generate_request, GENERATE_FIELDS);
MESSAGE(embed_request, EMBED_FIELDS);
PUBLIC_MESSAGE(
	schema_line, STR("key"), MSG("request", generate_request), GENERATE_FIELDS);
PUBLIC_MESSAGE(
	schema_embed_line, STR("key"), MSG("request", embed_request), EMBED_FIELDS);

PUBLIC_MESSAGE(schema_count, MSGS("contents", content),
	MSG("generateContentRequest", generate_request));

/* Batches */

MESSAGE(inlined_request, MSG("request", generate_request), STRUCT("metadata"));
MESSAGE(inlined_requests, MSGS("requests", inlined_request), STR("fileName"));
MESSAGE(input_config, STR("fileName"), MSG("requests", inlined_requests));
MESSAGE(inlined_embed, MSG("request", embed_request), STRUCT("metadata"));
MESSAGE(inlined_embeds, MSGS("requests", inlined_embed), STR("fileName"));
MESSAGE(embed_input_config, STR("fileName"), MSG("requests", inlined_embeds));
MESSAGE(webhook, STRS("uris"), STRUCT("userMetadata"));

#define BATCH_FIELDS(input)                                                            \
	STR("name"), STR("model"), STR("displayName"), MSG("inputConfig", input),      \
		NUMB("priority"), MSG("webhookConfig", webhook), ANY("output"),        \
		ANY("createTime"), ANY("updateTime"), ANY("endTime"),                  \
		ANY("batchStats"), ENU("state")

PUBLIC_MESSAGE(schema_batch, BATCH_FIELDS(input_config));
MESSAGE(embed_batch, BATCH_FIELDS(embed_input_config));
PUBLIC_MESSAGE(schema_batch_body, MSG("batch", schema_batch));
PUBLIC_MESSAGE(schema_embed_body, MSG("batch", embed_batch));

/* Files and caches */

MESSAGE(file, STR("name"), STR("displayName"), STR("mimeType"), NUMB("sizeBytes"),
	STR("createTime"), STR("updateTime"), STR("expirationTime"), STR("sha256Hash"),
	STR("uri"), STR("downloadUri"), ENU("state"), ENU("source"), ANY("error"),
	ANY("videoMetadata"));
PUBLIC_MESSAGE(schema_upload, MSG("file", file));
PUBLIC_MESSAGE(schema_cache, STR("name"), STR("model"), STR("displayName"),
	MSGS("contents", content), MSG("systemInstruction", content),
	MSGS("tools", tool), MSG("toolConfig", tool_config), STR("ttl"),
	STR("expireTime"), STR("createTime"), STR("updateTime"), ANY("usageMetadata"));

bool schema_is_outer(const struct field *f)
{
	return !strcmp(f->name, "key") || !strcmp(f->name, "request");
}
