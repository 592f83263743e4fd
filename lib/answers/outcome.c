/*
 * What the result of a request is, and whether another try may answer it.
 */
#include "answers/answers_private.h"

#include <errno.h>
#include <string.h>

#include "provider/errors.h"
#include "base/util.h"

const struct answers_outcome answers_outcomes[ANSWER_STATUSES] = {
	[ANSWERED] = {"answered", true, RETRY_NEVER},
	[ANSWER_TRUNCATED] = {"truncated", true, RETRY_NEVER},
	[ANSWER_INVALID] = {"invalid", true, RETRY_ALWAYS},
	[ANSWER_BLOCKED] = {"blocked", false, RETRY_NEVER},
	[ANSWER_FAILED] = {"failed", false, RETRY_IF_PASSING},
	[ANSWER_MISSING] = {"missing", false, RETRY_IF_PASSING},
	[ANSWER_PENDING] = {"pending", false, RETRY_NEVER},
};

static void settle_outcome(
	struct build *b, uint32_t i, enum answers_status status, bool passing)
{
	struct answers_row *r = &b->rows[i];

	r->status = status;
	r->retry = r->request_len > 0 && answers_may_retry(status, passing);
}

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

/* Its place in the result, which is no longer than 32 bits tell. */
static void set_text_place(struct answers_row *r, struct span at)
{
	r->text_at = (uint32_t)(at.from - r->result_from);
	r->text_len = (uint32_t)(at.to - at.from);
}

/* -EFBIG: it is longer than an index can tell. */
static int set_outcome_text(
	struct build *b, uint32_t i, enum answers_how how, const struct line_text *text)
{
	if (text->len + text->extra > ANSWERS_TEXT_MAX)
		return -EFBIG;
	b->rows[i].how = how;
	set_text_place(&b->rows[i], text->at);
	/* Until sizes are added up: what it is as a field. */
	b->rows[i].tsv_len = (uint32_t)(text->len + text->extra);
	b->files[i].size = (uint32_t)text->len;
	return 0;
}

static int note_failure(struct build *b, uint32_t i, const struct answer_line *line)
{
	const char *name = line->status.len ? line->status.text
			   : line->code >= 0 && line->code < 100
				   ? errors_grpc_name((int)line->code)
				   : "HTTP";
	const char *colon = line->has_message && line->message.len ? ": " : "";
	char note[LINE_WORD_MAX + 32];

	settle_outcome(b, i, ANSWER_FAILED, errors_code_may_pass(line->code));
	b->files[i].error = true;
	int err = line->has_message
			  ? set_outcome_text(b, i, HOW_STRING, &line->message)
			  : 0;
	if (err)
		return err;
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
	settle_outcome(b, i, ANSWER_FAILED, true);
	b->files[i].error = true;
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

	settle_outcome(b, i,
		cut	  ? ANSWER_TRUNCATED
		: blocked ? ANSWER_BLOCKED
			  : ANSWER_FAILED,
		true);
	b->files[i].error = true;
	int err = line->has_message && line->message.len
			  ? set_outcome_text(b, i, HOW_STRING, &line->message)
			  : 0;
	if (err)
		return err;
	snprintf(note, sizeof note, "%s%s%s", why, empty ? ", no content" : "",
		line->has_message && line->message.len ? ": " : "");
	return answers_note(b, i, note);
}

/* The text stays the answer; KEY.error beside it says why it does not fit. */
static int not_fitting(struct build *b, uint32_t i, const char *why)
{
	struct answers_more *more = answers_more_of(b, i);

	if (!more)
		return -ENOMEM;
	settle_outcome(b, i, ANSWER_INVALID, true);
	more->why_len = (uint32_t)strlen(why);
	return answers_blob_add(&b->blob, why, more->why_len, &more->why_at);
}

static int json_answer(struct build *b, uint32_t i, const struct answer_line *line)
{
	enum fit_verdict verdict = FIT_NO_JSON;
	char why[FIT_WHY_MAX];
	int err = answers_schema_judge(b, i, &verdict, why);

	b->files[i].json = verdict != FIT_NO_JSON;
	if (err)
		return err;
	if (verdict == FIT_NO_JSON)
		settle_outcome(b, i, ANSWER_TRUNCATED, false);
	/* Beside a call of a function, text is no answer yet. */
	else if (verdict == FIT_FITS_NOT && b->rows[i].status == ANSWERED &&
		 !line->others)
		err = not_fitting(b, i, why);
	return err;
}

static int text_answer(struct build *b, uint32_t i, const struct answer_line *line)
{
	struct answers_files *f = &b->files[i];
	int err = set_outcome_text(
		b, i, line->texts > 1 ? HOW_STRINGS : HOW_STRING, &line->text);

	if (err)
		return err;
	f->has_main = true;
	f->newline = !line->text.len || line->text.last != '\n';
	return f->json ? json_answer(b, i, line) : 0;
}

/* Empty text is not an answer: another try often has one. */
static bool says_something(const struct build *b, const struct answer_line *line)
{
	return !lacks_picture(b, line) &&
	       (line->text.len || line->media || line->others);
}

/* They are a file of their own. */
static int add_parts(struct build *b, uint32_t i, struct span at)
{
	struct answers_more *more = answers_more_of(b, i);

	if (!more)
		return -ENOMEM;
	more->parts_at = (uint32_t)(at.from - b->rows[i].result_from);
	more->parts_len = (uint32_t)(at.to - at.from);
	return 0;
}

static int note_answer(struct build *b, uint32_t i, const struct answer_line *line)
{
	struct answers_files *f = &b->files[i];
	bool cut = finish_of(b, line) == FINISH_CUT;
	struct line_text raw;
	int err = 0;

	settle_outcome(b, i, cut ? ANSWER_TRUNCATED : ANSWERED, false);
	if (line->texts && (line->text.len || !(line->media || line->others)))
		err = text_answer(b, i, line);
	else
		f->json = false;
	if (err || !line->others || !line->has_parts)
		return err;
	err = add_parts(b, i, line->parts);
	if (err || f->has_main)
		return err;
	err = measure_text(b, line->parts, &raw);
	return err ? err : set_outcome_text(b, i, HOW_RAW, &raw);
}

/* Its file has the object as it came; a line of a table has no room for its numbers. */
static int embedding(struct build *b, uint32_t i, const struct answer_line *line)
{
	struct answers_row *r = &b->rows[i];
	char note[24];
	struct span numbers;
	uint64_t n = 0;
	int err = b->in->grammar->vector_find(
		b->in->results, line->embedding, &numbers, &n);

	if (err)
		return err;
	if (!n)
		return failed_because(b, i, "an embedding without values");
	if (n > UINT32_MAX)
		return -EFBIG;
	settle_outcome(b, i, ANSWERED, false);
	r->how = HOW_VECTOR;
	set_text_place(r, numbers);
	err = add_parts(b, i, line->embedding);
	snprintf(note, sizeof note, "%ju", (uintmax_t)n);
	return err ? err : answers_note(b, i, note);
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
		[NONE_VANISHED] = "the API does not know its job any more",
	};

	const char *unsent = b->in->lost ? "it was not sent, or the record of that is lost"
					 : "it was not sent";

	settle_outcome(b, i, ANSWER_MISSING,
		none == NONE_ENDED || none == NONE_VANISHED);
	b->files[i].made = b->files[i].error = true;
	return answers_note(b, i, dropped ? unsent : why[none]);
}
