#include "jobs/knowledge.h"

#include "base/test_point.h"
#include "provider/limits.h"

enum {
	GIVE_UP_AFTER = 3600, /* an end without output or error is believed then */
	MISSES_PROVE = 3,
	PROOF_SPAN = 2 * 3600, /* seconds that these misses are apart */
	LOOK_PAUSE = 60,
	PAUSE_MAX = 60, /* times the first pause */
	DENIED_FOR = 5, /* seconds that a refused key is an answer to others */
};

/* ---- observations ---------------------------------------------------------------- */

static double growing(double pause, unsigned times)
{
	double factor = 1;

	for (unsigned i = 1; i < times && factor < PAUSE_MAX; i++)
		factor *= 2;
	return pause * (factor < PAUSE_MAX ? factor : PAUSE_MAX);
}

static void one_more(uint8_t *count)
{
	if (*count < UINT8_MAX)
		++*count;
}

static uint32_t seconds(int64_t t)
{
	return t < 0 ? 0 : t > UINT32_MAX ? UINT32_MAX : (uint32_t)t;
}

static void knowledge_judge_end(struct knowledge *k, struct moment m, bool error)
{
	k->final |= k->ended && (k->output || error ||
					(k->end && m.server - k->end >= GIVE_UP_AFTER));
}

static void take_all(struct knowledge *k, const struct job_word *w, bool by_get)
{
	k->ended = w->ended;
	k->by_get = w->ended && by_get;
	k->final = false;
	k->succeeded = w->succeeded;
	k->pending = w->pending;
	k->output = w->output || w->presumed;
	if (w->created)
		k->created = seconds(w->created);
	k->end = seconds(w->end);
}

static enum take take_word(
	struct knowledge *k, struct moment m, const struct job_word *w, bool by_get)
{
	enum take take = TAKE_ALL;

	k->known = true;
	if (w->listed && k->ended && (k->by_get || !w->ended)) {
		take = TAKE_NEW;
		k->output |= w->ended && w->output;
	} else {
		take_all(k, w, by_get);
	}
	knowledge_judge_end(k, m, w->ended && w->error);
	return take;
}

enum take knowledge_saw(struct knowledge *k, struct moment m, const struct job_word *w)
{
	k->misses = 0;
	k->missed_span = 0;
	k->look_again = 0;
	k->denied = false;
	if (k->key == KEY_UNKNOWN)
		k->key = KEY_SEES;
	return take_word(k, m, w, !w->listed);
}

void knowledge_recalled(
	struct knowledge *k, struct moment m, const struct job_word *w, bool by_get)
{
	take_word(k, m, w, by_get);
}

void knowledge_made_with(struct knowledge *k, bool this_key)
{
	k->key = this_key ? KEY_MADE_IT : KEY_ANOTHER;
}

void knowledge_missed(struct knowledge *k, struct moment m)
{
	if (k->missed_at > 0 && k->misses && m.now > k->missed_at)
		k->missed_span += (float)(m.now - k->missed_at);
	k->missed_at = m.now;
	one_more(&k->misses);
	k->look_again = m.now + growing(LOOK_PAUSE, k->misses);
}

void knowledge_recalled_misses(struct knowledge *k, unsigned misses, double span)
{
	k->misses = misses < UINT8_MAX ? (uint8_t)misses : UINT8_MAX;
	k->missed_span = (float)span;
}

void knowledge_key_refused(struct knowledge *k, struct moment m)
{
	k->denied = true;
	k->missed_at = m.now;
}

void knowledge_forgotten(struct knowledge *k)
{
	*k = (struct knowledge){0};
}

void knowledge_cancel_accepted(struct knowledge *k)
{
	k->cancelled = true;
}

void knowledge_insisted(struct knowledge *k, bool yes)
{
	k->insisted = yes;
}

/* Requests that a person made in between do not make the pause longer. */
void knowledge_download_refused(struct knowledge *k, struct moment m, unsigned status,
	bool part_here, double pause)
{
	bool due = !k->refused || m.now >= k->fetch_again;

	k->refused = true;
	k->part_here = part_here;
	k->status = (uint16_t)status;
	if (!due)
		return;
	one_more(&k->refusals);
	k->fetch_again = m.now + growing(pause, k->refusals);
}

void knowledge_download_failed(struct knowledge *k, struct moment m, double pause)
{
	if (k->fetch_again < m.now + pause)
		k->fetch_again = m.now + pause;
}

void knowledge_download_came(struct knowledge *k)
{
	k->refused = k->part_here = false;
	k->refusals = 0;
	k->fetch_again = 0;
}

/* ---- conclusions ----------------------------------------------------------------- */

bool knowledge_needs_time(const struct knowledge *k)
{
	return k->misses || k->refused || k->denied || k->fetch_again > 0;
}

/* A 404 is normal then. */
static bool newborn(const struct knowledge *k, struct moment m)
{
	return k->created && !k->ended && m.server - k->created < m.limits->seen_after;
}

static bool key_counts(const struct knowledge *k)
{
	return k->key == KEY_SEES || k->key == KEY_MADE_IT;
}

static bool proven(const struct knowledge *k)
{
	return key_counts(k) && k->misses >= MISSES_PROVE &&
	       (double)k->missed_span >=
		       test_seconds("BATCHFS_TEST_GONE_SECONDS", PROOF_SPAN);
}

enum standing knowledge_standing(const struct knowledge *k, struct moment m)
{
	if (proven(k))
		return STANDS_GONE;
	if (k->misses && !newborn(k, m))
		return STANDS_MISSING;
	if (!k->known)
		return STANDS_UNKNOWN;
	return k->ended ? STANDS_ENDED : STANDS_RUNNING;
}

bool knowledge_ended(const struct knowledge *k)
{
	return k->ended;
}

bool knowledge_final(const struct knowledge *k)
{
	return k->final;
}

bool knowledge_end_by_get(const struct knowledge *k)
{
	return k->by_get;
}

bool knowledge_vanished(const struct knowledge *k)
{
	return proven(k) && !k->final && !k->output;
}

bool knowledge_denied(const struct knowledge *k, struct moment m)
{
	return k->denied && m.now - k->missed_at < DENIED_FOR;
}

bool knowledge_hopeless(const struct knowledge *k, struct moment m)
{
	return proven(k) || (k->misses && k->key == KEY_ANOTHER);
}

bool knowledge_routine(const struct knowledge *k, struct moment m)
{
	return !k->final &&
	       (!k->misses || !k->created ||
		       m.server < (int64_t)k->created + m.limits->job_life);
}

bool knowledge_look_due(const struct knowledge *k, struct moment m)
{
	return !k->final && (newborn(k, m) || m.now >= k->look_again);
}

double knowledge_look_at(const struct knowledge *k)
{
	return k->look_again;
}

bool knowledge_is_strangers(const struct knowledge *k)
{
	return k->key == KEY_SEES;
}

bool knowledge_counts_lag(const struct knowledge *k)
{
	return k->ended && !k->by_get && k->pending && !k->misses;
}

static int64_t output_dies(const struct knowledge *k, const struct provider_limits *l)
{
	if (k->end)
		return (int64_t)k->end + l->results_over;
	return k->created ? (int64_t)k->created + l->job_life + l->results_over
			  : INT64_MAX;
}

enum output_known knowledge_output(const struct knowledge *k, struct moment m)
{
	if (!k->output)
		return k->ended && k->succeeded && !k->final ? OUTPUT_AWAITED
							     : OUTPUT_NONE;
	if (!k->refused)
		return OUTPUT_NAMED;
	return m.server >= output_dies(k, m.limits) ? OUTPUT_OVER : OUTPUT_REFUSED;
}

bool knowledge_has_part(const struct knowledge *k)
{
	return k->refused && k->part_here;
}

bool knowledge_fetch_due(const struct knowledge *k, struct moment m)
{
	return m.now >= k->fetch_again;
}

double knowledge_fetch_at(const struct knowledge *k)
{
	return k->fetch_again;
}

unsigned knowledge_refusal(const struct knowledge *k)
{
	return k->refused ? k->status : 0;
}

enum removal_step knowledge_removal(const struct knowledge *k, struct moment m)
{
	if (!k->insisted && k->key == KEY_ANOTHER)
		return REMOVE_OTHER_KEY;
	if (!k->insisted && k->key == KEY_UNKNOWN)
		return REMOVE_LOOK;
	if (proven(k) || (k->insisted && k->misses))
		return REMOVE_DONE;
	return k->ended || (k->cancelled && k->misses) ? REMOVE_DELETE : REMOVE_CANCEL;
}

bool knowledge_is_deleted(const struct knowledge *k, struct moment m)
{
	return k->insisted || proven(k) ||
	       (key_counts(k) && (k->ended || k->cancelled));
}

bool knowledge_is_insisted(const struct knowledge *k)
{
	return k->insisted;
}

double knowledge_missed_since(const struct knowledge *k)
{
	bool told = k->misses && k->missed_at > 0 && !k->denied;

	return told ? k->missed_at - (double)k->missed_span : 0;
}

void knowledge_misses(const struct knowledge *k, unsigned *ret_misses, double *ret_span)
{
	*ret_misses = k->misses;
	*ret_span = k->missed_span;
}
