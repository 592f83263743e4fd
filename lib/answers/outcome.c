/*
 * What the result of a request is: answered, truncated, blocked or failed, and whether
 * another try may answer it.
 */
#include "answers/answers_private.h"

#include <errno.h>
#include <string.h>

#include "provider/errors.h"
#include "base/util.h"

static int count_text_bytes(void *arg, const void *buf, size_t n)
{
	uint64_t *sums = arg;

	sums[0] += n;
	sums[1] += text_tsv_extra(buf, n);
	return 0;
}

/* Of JSON as it stands, which may have backslashes: bytes, and more as TSV. */
static int measure_text(struct build *b, struct span at, struct line_text *ret)
{
	uint64_t sums[2] = {0};
	struct text_sink counter = {count_text_bytes, sums, NULL};
	int err = text_raw(b->in->results, at, &counter);

	*ret = (struct line_text){.at = at, .len = sums[0], .extra = sums[1]};
	return err;
}

static void set_outcome_text(
	struct build *b, uint32_t i, enum answers_how how, const struct line_text *text)
{
	b->rows[i].how = (uint8_t)how;
	b->rows[i].text = text->at;
	/* Until sizes are added up: what it is as a field. */
	b->rows[i].tsv_end = text->len + text->extra;
	b->files[i].size = text->len;
}

static void wants_retry(struct build *b, uint32_t i)
{
	b->rows[i].retry = b->rows[i].request.to > 0;
}

static int note_failure(struct build *b, uint32_t i, const struct answer_line *line)
{
	const char *name = line->status.len ? line->status.text
			   : line->code >= 0 && line->code < 100
				   ? errors_grpc_name((int)line->code)
				   : "HTTP";
	const char *colon = line->has_message && line->message.len ? ": " : "";
	char note[LINE_WORD_MAX + 32];

	b->rows[i].status = ANSWER_FAILED;
	b->files[i].error = true;
	if (line->has_message)
		set_outcome_text(b, i, HOW_STRING, &line->message);
	if (errors_code_may_pass(line->code))
		wants_retry(b, i);
	if (line->code >= 0)
		snprintf(note, sizeof note, "%s (%jd)%s", name, (intmax_t)line->code,
			colon);
	else
		snprintf(note, sizeof note, "%s%s",
			line->status.len ? line->status.text : "no code", colon);
	return answers_note(b, i, note);
}

static int failed_because(struct build *b, uint32_t i, const char *why)
{
	b->rows[i].status = ANSWER_FAILED;
	b->files[i].error = true;
	wants_retry(b, i);
	return answers_note(b, i, why);
}

static enum line_finish finish_of(const struct build *b, const struct answer_line *line)
{
	const struct finish_word *f = b->in->grammar->finishes;

	while (f->word && strcmp(f->word, line->finish.text) != 0)
		f++;
	return f->word ? f->means : FINISH_USUAL;
}

/* A picture was asked for and none was made. */
static bool lacks_picture(const struct build *b, const struct answer_line *line)
{
	return !line->media && finish_of(b, line) == FINISH_NO_PICTURE;
}

static int no_answer(struct build *b, uint32_t i, const struct answer_line *line)
{
	enum line_finish finish = finish_of(b, line);
	bool cut = finish == FINISH_CUT;
	bool blocked = line->block.len || finish == FINISH_BLOCKED;
	const char *why = line->block.len	? line->block.text
			  : line->finish.len	? line->finish.text
			  : line->has_candidate ? "no content"
						: "no candidates";
	bool empty = !cut && !blocked && line->has_candidate && line->finish.len &&
		     !lacks_picture(b, line);
	char note[LINE_WORD_MAX + 32];

	b->rows[i].status = cut	      ? ANSWER_TRUNCATED
			    : blocked ? ANSWER_BLOCKED
				      : ANSWER_FAILED;
	b->files[i].error = true;
	if (b->rows[i].status == ANSWER_FAILED)
		wants_retry(b, i);
	if (line->has_message && line->message.len)
		set_outcome_text(b, i, HOW_STRING, &line->message);
	snprintf(note, sizeof note, "%s%s%s", why, empty ? ", no content" : "",
		line->has_message && line->message.len ? ": " : "");
	return answers_note(b, i, note);
}

static int check_json(struct build *b, uint32_t i, bool *ret_valid)
{
	struct text_json json;
	struct text_sink sink = {text_sink_json, &json, NULL};
	int err;

	text_json_init(&json);
	err = answers_row_text(b->a, &b->rows[i], b->in->results, &sink);
	*ret_valid = !err && text_json_valid(&json);
	return err == -EBADMSG ? 0 : err;
}

static int text_answer(struct build *b, uint32_t i, const struct answer_line *line)
{
	struct answers_files *f = &b->files[i];
	int err = 0;

	set_outcome_text(b, i, line->texts > 1 ? HOW_STRINGS : HOW_STRING, &line->text);
	f->has_main = true;
	f->newline = !line->text.len || line->text.last != '\n';
	if (!f->json)
		return 0;
	err = check_json(b, i, &f->json);
	if (!f->json)
		b->rows[i].status = ANSWER_TRUNCATED;
	return err;
}

/* Empty text is not an answer: another try often has one. */
static bool says_something(const struct build *b, const struct answer_line *line)
{
	return !lacks_picture(b, line) &&
	       (line->text.len || line->media || line->others);
}

static int note_answer(struct build *b, uint32_t i, const struct answer_line *line)
{
	struct answers_files *f = &b->files[i];
	bool cut = finish_of(b, line) == FINISH_CUT;
	struct line_text raw;
	int err = 0;

	b->rows[i].status = cut ? ANSWER_TRUNCATED : ANSWERED;
	if (line->texts && (line->text.len || !(line->media || line->others)))
		err = text_answer(b, i, line);
	else
		f->json = false;
	if (err || !line->others || !line->has_parts)
		return err;
	f->parts = line->parts;
	if (f->has_main)
		return 0;
	err = measure_text(b, line->parts, &raw);
	set_outcome_text(b, i, HOW_RAW, &raw);
	return err;
}

/* Its file has the object as it came; a line of a table has no room for its numbers. */
static int embedding(struct build *b, uint32_t i, const struct answer_line *line)
{
	struct answers_row *r = &b->rows[i];
	char note[24];
	uint64_t n = 0;
	int err = b->in->grammar->vector_find(
		b->in->results, line->embedding, &r->text, &n);

	if (err)
		return err;
	if (!n)
		return failed_because(b, i, "an embedding without values");
	if (n > UINT32_MAX)
		return -EFBIG;
	r->status = ANSWERED;
	r->how = HOW_VECTOR;
	b->files[i].parts = line->embedding;
	snprintf(note, sizeof note, "%ju", (uintmax_t)n);
	return answers_note(b, i, note);
}

int answers_judge(struct build *b, uint32_t i, const struct answer_line *line)
{
	if (line->damaged)
		return failed_because(b, i, "the line of results is damaged");
	if (line->has_error && !line->has_candidate)
		return note_failure(b, i, line);
	if (!line->has_response)
		return failed_because(b, i, "neither a response nor an error");
	if (line->has_candidate && says_something(b, line))
		return note_answer(b, i, line);
	if (!line->has_candidate && line->has_embedding)
		return embedding(b, i, line);
	return no_answer(b, i, line);
}

int answers_missing(struct build *b, uint32_t i, enum answers_none none, bool dropped)
{
	static const char *const why[ANSWERS_NONES] = {
		[NONE_ENDED] = "there is no result for this request",
		[NONE_CANCELLED] = "it was cancelled before there was a result",
		[NONE_LOST] = "its result is lost",
	};

	b->rows[i].status = ANSWER_MISSING;
	b->files[i].made = b->files[i].error = true;
	if (none == NONE_ENDED)
		wants_retry(b, i);
	return answers_note(b, i, dropped ? "it was not sent" : why[none]);
}
