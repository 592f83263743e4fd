/* What becomes of uploads: those that the API does not know, and those that nobody holds any
 * more. */
#include "submit/attachments_private.h"
#include "provider/all/ids.h"
#include "submit/submit.h"

#include <stdlib.h>
#include <string.h>

bool attach_doubt(struct submission *s)
{
	bool named = false;

	if (!s->attached || !s->err.refused || !s->err.text)
		return false;
	for (size_t i = 0; i < s->attached->n && !named; i++) {
		const char *file = s->attached->items[i]->at.file;

		named = file && strstr(s->err.text, remote_id_tail(file));
	}
	return named && uploads_doubt(s->c->uploads, s->job->dir->lid) > 0;
}

void attach_tidy(struct gb_client *c)
{
	struct canceller none = CANCELLER_INIT;
	char *file;
	bool go_on = !c->o.offline && !c->o.readonly;
	time_t now;

	if (go_on && engine_server_clock(c->engine, &now))
		uploads_expire(c->uploads, now);

	while (go_on && client_online(c) &&
		(file = uploads_next_idle(
			 c->uploads, engine_origin(c->engine), c->key_print,
			 engine_server_time(c->engine)))) {
		struct provider_error err = {.retry = -1};
		int r = provider_file_remove(&c->api, file, &none, &err);

		/* A refusal counts as done: the file expires within two days. Failed
		 * deletions are tried again at the next end of a job, or at the next
		 * start.
		 */
		go_on = r == 0 || (err.refused && err.from_api && err.status != 429);
		test_point("attachment-deleted");
		uploads_deleted(c->uploads, file, go_on);
		provider_error_clear(&err);
		free(file);
	}
}

void attach_release(struct gb_client *c, const char *lid, bool forget)
{
	if (forget)
		uploads_forget(c->uploads, lid);
	else
		uploads_end(c->uploads, lid);
	attach_tidy(c);
}
