/* A schema of any bytes, up to the first NUL, and an answer, which is the rest: what is
 * said of it is the same in whatever pieces it comes, and it is JSON or it is not. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_fit.h"
#include "base/json_text.h"
#include "base/util.h"
#include "provider/gemini/answer_schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define must(condition)                                                                \
	do {                                                                           \
		if (!(condition)) {                                                    \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__,             \
				#condition);                                           \
			abort();                                                       \
		}                                                                      \
	} while (0)

static enum fit_verdict judge(struct fit *f, const struct fit_schema *s,
	const uint8_t *text, size_t n, size_t piece, char why[FIT_WHY_MAX])
{
	fit_begin(f, s);
	for (size_t at = 0; at < n; at += piece)
		must(fit_sink(f, text + at, n - at < piece ? n - at : piece) == 0);
	memset(why, 0, FIT_WHY_MAX);
	return fit_end(f, why);
}

static bool is_json(const uint8_t *text, size_t n)
{
	struct text_json j;

	text_json_init(&j);
	text_sink_json(&j, text, n);
	return text_json_valid(&j);
}

static void check_why(const char why[FIT_WHY_MAX])
{
	size_t n = strnlen(why, FIT_WHY_MAX);

	must(n > 0 && n < FIT_WHY_MAX && util_utf8_valid(why, n));
	for (size_t i = 0; i < n; i++)
		must((unsigned char)why[i] >= ' ' && why[i] != 0x7f);
}

static void check_text(const struct fit_schema *s, const uint8_t *text, size_t n)
{
	char whole[FIT_WHY_MAX], pieces[FIT_WHY_MAX];
	struct fit *f = fit_new();
	enum fit_verdict v = judge(f, s, text, n, n + 1, whole);

	for (size_t piece = 1; piece < 40; piece = piece * 3 + 1) {
		must(judge(f, s, text, n, piece, pieces) == v);
		must(strcmp(whole, pieces) == 0);
	}
	must((v == FIT_NO_JSON) == !is_json(text, n));
	if (v == FIT_FITS_NOT)
		check_why(whole);
	fit_free(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	size_t schema = n ? strnlen((const char *)data, n) : 0;
	size_t from = schema < n ? schema + 1 : n;
	struct fit_schema *s;

	must(answer_schema_compile((const char *)data, schema, &s) == 0);
	if (s)
		check_text(s, data + from, n - from);
	fit_schema_free(s);
	return 0;
}
