#include "kernel/handle.h"

#include <errno.h>

struct handles {
	pthread_mutex_t lock; /* a leaf */
	LIST_HEAD(, handle) list;
};

int handles_new(struct handles **ret)
{
	struct handles *all = calloc(1, sizeof *all);

	if (!all)
		return -ENOMEM;
	pthread_mutex_init(&all->lock, NULL);
	LIST_INIT(&all->list);
	*ret = all;
	return 0;
}

struct handle *handle_new(struct mount *m, const struct node *n)
{
	struct handle *h = calloc(1, sizeof *h);

	if (!h)
		return NULL;
	h->ino = n->ino;
	h->row = n->file_row;
	h->answer = n->answer;
	if (n->job) {
		h->job = gb_job_ref(n->job);
		h->slot = n->info.slot;
	}
	if (n->file)
		h->file = gb_file_ref(n->file);
	pthread_mutex_lock(&m->handles->lock);
	LIST_INSERT_HEAD(&m->handles->list, h, link);
	pthread_mutex_unlock(&m->handles->lock);
	return h;
}

void handle_free(struct mount *m, struct handle *h)
{
	if (!h)
		return;
	pthread_mutex_lock(&m->handles->lock);
	LIST_REMOVE(h, link);
	pthread_mutex_unlock(&m->handles->lock);
	if (closes_release(m, &h->closing))
		gb_file_settle(h->file);
	if (h->results)
		gb_results_close(h->results);
	gb_answers_close(h->answers);
	if (h->file)
		gb_file_unref(h->file);
	if (h->job)
		gb_job_unref(h->job);
	free(h->text);
	free(h);
}

void handles_free(struct mount *m)
{
	struct handle *h;

	if (!m->handles)
		return;
	while ((h = LIST_FIRST(&m->handles->list)))
		handle_free(m, h);
	pthread_mutex_destroy(&m->handles->lock);
	free(m->handles);
	m->handles = NULL;
}

/* Under the lock: what h is of, with references. */
static void node_of(const struct handle *h, struct node *ret)
{
	*ret = (struct node){
		.kind = h->file ? NODE_FILE : h->row ? NODE_VIRTUAL : NODE_ANSWER,
		.ino = h->ino,
		.file_row = h->row,
		.answer = h->answer,
		.job = h->job ? gb_job_ref(h->job) : NULL,
		.file = h->file ? gb_file_ref(h->file) : NULL,
	};
}

int handle_node(struct mount *m, fuse_ino_t ino, struct node *ret)
{
	struct handle *h;

	ino = ino_behind_door(ino);
	pthread_mutex_lock(&m->handles->lock);
	LIST_FOREACH(h, &m->handles->list, link)
	if (h->ino == ino)
		break;
	if (h)
		node_of(h, ret);
	pthread_mutex_unlock(&m->handles->lock);
	if (!h)
		return -ESTALE;
	node_look(ret);
	return 0;
}

void handle_set_text_take(struct mount *m, struct handle *h, char *text, size_t len)
{
	pthread_mutex_lock(&m->handles->lock);
	if (!h->text) {
		h->text = STEAL_PTR(text);
		h->len = len;
	}
	pthread_mutex_unlock(&m->handles->lock);
	free(text);
}

const char *handle_text(struct mount *m, struct handle *h, size_t *ret_len)
{
	const char *text;

	pthread_mutex_lock(&m->handles->lock);
	text = h->text;
	*ret_len = h->len;
	pthread_mutex_unlock(&m->handles->lock);
	return text;
}
