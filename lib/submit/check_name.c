/*
 * Names prevent two machines from buying the same job: mkdir fails with EEXIST for a
 * name that any job of the project has. The name of a draft that was made while no list
 * was available is looked up here, before anything is sent. Other drafts cost no call.
 */
#include "jobs/parts.h"
#include "store/dir_names.h"
#include "submit/submit.h"
#include "provider/all/ids.h"

#include <errno.h>
#include <string.h>

/* Each of up to 100 jobs: a server whose list has no end says nothing about names. */
enum { MAX_LIST_PAGES = 1000 };

/* Our own jobs, and those being removed, do not count: the table decides whether their
 * names are free. */
static bool is_anothers(struct gb_client *c, const char *id)
{
	client_lock(c);
	const struct gb_job *job = job_find_id(c, id);
	bool ours = job && job->dir &&
		    (job->dir->rec.own || job->dir->rec.removal);
	client_unlock(c);
	return !ours;
}

static bool has_name(const struct submission *s, const struct remote_batch *b)
{
	char name[NAME_SIZE];

	name_encode(b->display ? b->display : "", remote_id_tail(b->id), name);
	return (strcmp(name, s->rec->name) == 0 ||
		       parts_name_is_of(name, s->rec->name)) &&
	       is_anothers(s->c, b->id);
}

static int name_taken(struct submission *s, const struct remote_batch *b)
{
	provider_error_clear(&s->err);
	s->err.text = util_format("%s is called %s.\n", b->id,
		b->display ? b->display : s->rec->name);
	return -EEXIST;
}

static int look_at_names(struct submission *s, const struct remote_page *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (has_name(s, &p->batches[i]))
			return name_taken(s, &p->batches[i]);
	return 0;
}

/* A refused key is not a problem of the network. */
static int list_failed(struct submission *s)
{
	int err = s->err.err == -EACCES || s->err.err == -ECANCELED ? s->err.err
								    : -EHOSTUNREACH;
	char *text = util_format("The API's list of jobs could not be read since the "
				 "directory was made, so its name may be in use.\n"
				 "%s",
		s->err.text ? s->err.text : "");

	if (text) {
		free(s->err.text);
		s->err.text = text;
	}
	return err;
}

static int look_through_names(struct submission *s)
{
	_cleanup_free_ char *token = NULL;

	for (int pages = 0; pages < MAX_LIST_PAGES; pages++) {
		struct remote_page page;

		if (provider_list(&s->c->api, token, &s->t->cancel, &page, &s->err))
			return list_failed(s);
		int err = look_at_names(s, &page);
		free(token);
		token = STEAL_PTR(page.next);
		remote_page_clear(&page);
		if (err || !token)
			return err;
	}
	return -EHOSTUNREACH;
}

int submission_name(struct submission *s)
{
	client_lock(s->c);
	/* A job that is sent again had its name looked up the first time. */
	bool look = s->rec->name_unchecked && !s->t->again;
	client_unlock(s->c);
	if (!look)
		return 0;
	int err = look_through_names(s);
	client_called(s->c, &s->err);
	if (err)
		return err;
	/* Written with the intent: after a crash before that, the name is looked up
	 * again. */
	client_lock(s->c);
	s->rec->name_unchecked = false;
	client_unlock(s->c);
	return 0;
}
