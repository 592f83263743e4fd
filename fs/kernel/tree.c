#include "kernel/tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "virtual/virtual_files.h"
#include "util/log_lines.h"
#include "kernel/notify.h"

void node_put(struct node *n)
{
	if (n->file)
		gb_file_unref(n->file);
	if (n->job)
		gb_job_unref(n->job);
	n->file = NULL;
	n->job = NULL;
}

/* What is below parts/ is of one part alone; parts/ itself needs no more than that. */
void node_look(struct node *n)
{
	bool alone = n->kind == NODE_PART || n->kind == NODE_PARTS ||
		     (n->kind == NODE_VIRTUAL && n->file_row->part);

	if (n->job && alone)
		gb_part_info(n->job, &n->info);
	else if (n->job)
		gb_job_info(n->job, &n->info);
}

static void set_job_take(struct mount *m, struct gb_job *job, struct node *ret)
{
	ret->job = job;
	node_look(ret);
}

/* Of what is in parts/. */
static fuse_ino_t ino_of_part(
	const struct mount *m, const struct gb_info *info, uint32_t number)
{
	return ino_of_job(
		m, info->slot, info->is_part ? number : number + NUMBER_OWN_PART);
}

void node_parts_take(struct mount *m, struct gb_job *dir, struct node *ret)
{
	*ret = (struct node){.kind = NODE_PARTS};
	set_job_take(m, dir, ret);
	ret->ino = ino_of_job(m, ret->info.slot, vfile_parts_number());
}

void node_part_take(struct mount *m, struct gb_job *part, struct node *ret)
{
	*ret = (struct node){.kind = NODE_PART};
	set_job_take(m, part, ret);
	ret->ino = ino_of_part(m, &ret->info, 0);
}

void node_job_take(struct mount *m, struct gb_job *job, struct node *ret)
{
	*ret = (struct node){.kind = NODE_JOB};
	set_job_take(m, job, ret);
	ret->ino = ino_of_job(m, ret->info.slot, 0);
}

static void node_link_take(struct mount *m, struct gb_job *job, struct node *ret)
{
	*ret = (struct node){.kind = NODE_LINK};
	set_job_take(m, job, ret);
	ret->ino = ino_of_job(m, ret->info.slot, NUMBER_LINK);
}

void node_file_take(
	struct mount *m, struct gb_job *job, struct gb_file *file, struct node *ret)
{
	*ret = (struct node){.kind = gb_file_is_dir(file) ? NODE_DIR : NODE_FILE,
		.file = file};
	set_job_take(m, job, ret);
	ret->ino = ino_of_job(m, ret->info.slot, gb_file_number(file));
}

void node_virtual_take(
	struct mount *m, struct gb_job *job, const struct vfile *row, struct node *ret)
{
	*ret = (struct node){.kind = NODE_VIRTUAL, .file_row = row};
	if (job) {
		set_job_take(m, job, ret);
		ret->ino = row->part ? ino_of_part(m, &ret->info, row->number)
				     : ino_of_job(m, ret->info.slot, row->number);
	} else {
		ret->ino = ino_of_meta(m, row->number);
	}
}

void node_answer_take(struct mount *m, struct gb_job *job,
	const struct gb_answer *answer, struct node *ret)
{
	*ret = (struct node){.kind = NODE_ANSWER,
		.answer = {answer->number, answer->dir, answer->size, answer->at}};
	set_job_take(m, job, ret);
	ret->ino = ino_of_job(m, ret->info.slot, NUMBER_ANSWERS + answer->number);
}

void node_meta(struct mount *m, struct node *ret)
{
	*ret = (struct node){.kind = NODE_META, .ino = ino_of_meta(m, 0)};
}

void node_part_name(const struct node *n, char ret[PART_NAME])
{
	snprintf(ret, PART_NAME, "%04u", n->info.part);
}

/* An id is one part's where there are several. */
void node_target(const struct node *n, char ret[NODE_TARGET])
{
	const struct gb_info *i = &n->info;

	if (i->is_part || i->has_parts)
		snprintf(ret, NODE_TARGET, "%s/parts/%04u", i->dir_name, i->part);
	else
		snprintf(ret, NODE_TARGET, "%s", i->name);
}

static int get_meta(struct mount *m, uint32_t number, struct node *ret)
{
	const struct vfile *row;

	if (!number) {
		node_meta(m, ret);
		return 0;
	}
	row = vfile_by_number(IN_META, number);
	if (!row)
		return -ESTALE;
	node_virtual_take(m, NULL, row, ret);
	return 0;
}

/* Steals job. While the answers are not here yet only the root exists: a look into it
 * waits for them. */
static int get_answer(
	struct mount *m, struct gb_job *job, uint32_t number, struct node *ret)
{
	struct gb_answer answer = {.dir = true};
	bool there = gb_answer_get(job, number, &answer);

	node_answer_take(m, job, &answer, ret);
	if (there || (number == 0 && node_answers_awaited(ret)))
		return 0;
	node_put(ret);
	return -ESTALE;
}

/* Steals job: a part, or a directory that is its own first; without a directory that has
 * several there is neither. */
static int get_in_part(
	struct mount *m, struct gb_job *job, uint32_t number, struct node *ret)
{
	const struct vfile *row = vfile_by_number(IN_PART, number);

	if (number ? !row : false) {
		gb_job_unref(job);
		return -ESTALE;
	}
	if (row)
		node_virtual_take(m, job, row, ret);
	else
		node_part_take(m, job, ret);
	if (!row || vfile_present(row, &ret->info))
		return 0;
	node_put(ret);
	return -ESTALE;
}

/* Steals job. */
static int get_in_job(
	struct mount *m, struct gb_job *job, uint32_t number, struct node *ret)
{
	const struct vfile *row;
	struct gb_file *file;

	if (number == NUMBER_LINK) {
		node_link_take(m, job, ret);
		return 0;
	}
	if (gb_job_is_part(job))
		return get_in_part(m, job, number, ret);
	if (number >= NUMBER_OWN_PART && number < NUMBER_LINK)
		return get_in_part(m, job, number - NUMBER_OWN_PART, ret);
	if (!number) {
		node_job_take(m, job, ret);
		return 0;
	}
	if (number >= NUMBER_ANSWERS)
		return get_answer(m, job, number - NUMBER_ANSWERS, ret);
	if (number >= NUMBER_FILES) {
		file = gb_file_by_number(job, number);
		if (!file)
			goto stale;
		node_file_take(m, job, file, ret);
		return 0;
	}
	row = vfile_by_number(IN_JOB, number);
	if (!row)
		goto stale;
	if (row->how == HOW_PARTS) {
		node_parts_take(m, job, ret);
		return 0;
	}
	node_virtual_take(m, job, row, ret);
	if (vfile_present(row, &ret->info))
		return 0;
	node_put(ret);
	return -ESTALE;
stale:
	gb_job_unref(job);
	return -ESTALE;
}

int node_get(struct mount *m, fuse_ino_t ino, struct node *ret)
{
	struct ino_parts at;
	struct gb_job *job;

	*ret = (struct node){.kind = NODE_ROOT, .ino = FUSE_ROOT_ID};
	if (ino == FUSE_ROOT_ID)
		return 0;
	if (!ino_split(m, ino, &at))
		return -ESTALE;
	if (at.meta)
		return get_meta(m, at.number, ret);
	job = gb_job_by_slot(m->gb, at.slot);
	return job ? get_in_job(m, job, at.number, ret) : -ESTALE;
}

static int root_child(struct mount *m, const char *name, struct node *ret)
{
	struct gb_job *job;

	if (*name == '.') {
		if (strcmp(name, ".batchfs"))
			return -ENOENT;
		node_meta(m, ret);
		return 0;
	}
	job = gb_job_by_name(m->gb, name);
	if (job) {
		node_job_take(m, job, ret);
		return 0;
	}
	job = gb_job_by_id(m->gb, name);
	if (!job)
		return -ENOENT;
	node_link_take(m, job, ret);
	return 0;
}

/* In the job's directory itself, or (dir) below. */
static int job_child(struct mount *m, struct gb_job *job, struct gb_file *dir,
	const char *name, struct node *ret)
{
	const struct vfile *row = dir ? NULL : vfile_by_name(IN_JOB, name);
	struct gb_file *file;

	if (row && row->how == HOW_TREE && get_answer(m, gb_job_ref(job), 0, ret) == 0)
		return 0;
	if (row && row->how != HOW_TREE) {
		node_virtual_take(m, gb_job_ref(job), row, ret);
		bool present = vfile_present(row, &ret->info);

		if (present && row->how != HOW_PARTS)
			return 0;
		node_put(ret);
		if (present) {
			node_parts_take(m, gb_job_ref(job), ret);
			return 0;
		}
	}
	/* Before it had its meaning the name may have been given to scratch. */
	file = gb_file_by_name(job, dir, name);
	if (!file)
		return -ENOENT;
	node_file_take(m, gb_job_ref(job), file, ret);
	return 0;
}

static int answer_child(
	struct mount *m, const struct node *dir, const char *name, struct node *ret)
{
	struct gb_answer answer;

	if (!dir->answer.dir)
		return -ENOTDIR;
	if (!gb_answer_child(dir->job, dir->answer.number, name, &answer))
		return -ENOENT;
	node_answer_take(m, gb_job_ref(dir->job), &answer, ret);
	return 0;
}

/* In parts/: 0001, 0002, … */
static int parts_child(
	struct mount *m, const struct node *dir, const char *name, struct node *ret)
{
	char text[PART_NAME];
	unsigned long n = strtoul(name, NULL, 10);
	struct gb_job *part = n && n <= INT32_MAX
				      ? gb_job_part(dir->job, (uint32_t)n)
				      : NULL;

	if (!part)
		return -ENOENT;
	node_part_take(m, part, ret);
	node_part_name(ret, text);
	if (strcmp(name, text) == 0)
		return 0;
	node_put(ret);
	return -ENOENT;
}

/* In a directory of parts/. */
static int part_child(
	struct mount *m, const struct node *dir, const char *name, struct node *ret)
{
	const struct vfile *row = vfile_by_name(IN_PART, name);

	if (!row)
		return -ENOENT;
	node_virtual_take(m, gb_job_ref(dir->job), row, ret);
	if (vfile_present(row, &ret->info))
		return 0;
	node_put(ret);
	return -ENOENT;
}

int node_child(
	struct mount *m, const struct node *dir, const char *name, struct node *ret)
{
	const struct vfile *row;

	switch (dir->kind) {
	case NODE_ROOT:
		return root_child(m, name, ret);
	case NODE_JOB:
	case NODE_DIR:
		return job_child(m, dir->job, dir->file, name, ret);
	case NODE_ANSWER:
		return answer_child(m, dir, name, ret);
	case NODE_PARTS:
		return parts_child(m, dir, name, ret);
	case NODE_PART:
		return part_child(m, dir, name, ret);
	case NODE_META:
		row = vfile_by_name(IN_META, name);
		if (!row)
			return -ENOENT;
		node_virtual_take(m, NULL, row, ret);
		return 0;
	default:
		return -ENOTDIR;
	}
}

static void node_set_times(struct stat *st, struct timespec t)
{
	st->st_atim = st->st_mtim = st->st_ctim = t;
}

static struct timespec first_known(
	struct mount *m, struct timespec a, struct timespec b)
{
	if (a.tv_sec)
		return a;
	return b.tv_sec ? b : m->started;
}

static struct timespec later_of(struct timespec a, struct timespec b)
{
	bool first = a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec : a.tv_nsec > b.tv_nsec;

	return first ? a : b;
}

/* What grows part by part is as new as what it grew by: that may have come long after the
 * API ended the part, and make must not take what it made before for up to date. */
static struct timespec answers_time(struct mount *m, const struct node *n)
{
	const struct gb_info *info = &n->info;

	return later_of(first_known(m, info->ended_at, info->updated), info->answers_at);
}

static struct timespec row_time(struct mount *m, const struct node *n)
{
	const struct gb_info *info = &n->info;

	switch (n->file_row->time) {
	case TIME_CREATED:
		return first_known(m, info->created, info->updated);
	case TIME_UPDATED:
		return first_known(m, info->updated, info->created);
	case TIME_ENDED:
		return n->file_row->how == HOW_RESULTS
			       ? first_known(m, info->ended_at, info->updated)
			       : answers_time(m, n);
	case TIME_NOW:
		return notify_last_change(m->notify, false);
	default:
		return m->started;
	}
}

static struct timespec directory_time(struct mount *m, const struct node *n)
{
	switch (n->kind) {
	case NODE_JOB:
	case NODE_PART:
		return first_known(m, n->info.created, n->info.updated);
	case NODE_PARTS:
		return first_known(m, n->info.grown, n->info.created);
	case NODE_ROOT:
		return notify_last_change(m->notify, true);
	default:
		return m->started;
	}
}

/* 0, or 1 if the API must be asked for the size, also for answers. */
static int results_attr(const struct node *n, struct stat *st)
{
	st->st_blksize = BLOCK;
	if (n->info.results_size >= 0) {
		st->st_size = n->info.results_size;
		return 0;
	}
	/* That of several parts can be told once all are saved: then it is asked of them,
	 * and not of the API. */
	if (n->info.has_parts)
		return !n->info.results_unmeasured;
	return n->info.output == GB_OUTPUT_THERE && !n->info.results_refused;
}

static int virtual_attr(struct mount *m, const struct node *n, struct stat *st)
{
	const struct vfile *row = n->file_row;
	_cleanup_free_ char *text = NULL;
	struct timespec newest;
	struct stat ledger;
	size_t len = 0;
	int err = 0;

	st->st_mode = S_IFREG | 0444;
	if (row->write == WRITE_ALWAYS ||
		(row->write == WRITE_DRAFT && node_is_draft(n)))
		st->st_mode = S_IFREG | 0666;
	node_set_times(st, row_time(m, n));
	/* tar takes another ctime after reading for a file that changed under it */
	if (row->time == TIME_NOW)
		st->st_ctim = m->started;
	switch (row->how) {
	case HOW_RESULTS:
		return results_attr(n, st);
	case HOW_HISTORY:
		if (!fstat(gb_history_fd(m->gb), &ledger)) {
			st->st_size = ledger.st_size;
			node_set_times(st, ledger.st_mtim);
		}
		return 0;
	case HOW_LOG:
		st->st_size = (off_t)log_lines_size(&newest);
		if (newest.tv_sec)
			node_set_times(st, newest);
		return 0;
	case HOW_ANSWERS:
		st->st_blksize = BLOCK;
		st->st_size = n->info.answers_size[row->answers];
		return !n->info.answers_there;
	case HOW_WAIT:
		return 0;
	default:
		err = vfile_text(m, row, n->job, &text, &len);
		st->st_size = len;
		return err == -ENOENT ? -ESTALE : err;
	}
}

bool node_is_settled(const struct node *n)
{
	if (n->kind != NODE_VIRTUAL)
		return true;
	/* Who has a door is not told when the file has changed. */
	return n->file_row->write == WRITE_ALWAYS ? false
	       : n->file_row->how == HOW_LOG	 ? false
	       : n->file_row->how == HOW_RESULTS
		       ? n->info.results_size >= 0 && !n->info.results_told
	       : n->file_row->how == HOW_ANSWERS
		       ? n->info.answers_there && !n->info.answers_grow
						 : true;
}

bool node_is_fixed(const struct node *n)
{
	return n->kind == NODE_FILE && gb_file_is_fixed(n->file);
}

static int file_attr(const struct node *n, struct stat *st)
{
	struct stat spool;
	int err = gb_file_stat(n->file, &spool);

	if (err)
		return err;
	st->st_atim = spool.st_atim;
	st->st_mtim = spool.st_mtim;
	st->st_ctim = spool.st_ctim;
	if (n->kind == NODE_DIR) {
		st->st_mode = S_IFDIR | 0777;
		return 0;
	}
	st->st_mode = S_IFREG | (node_is_fixed(n) ? 0444 : 0666);
	st->st_size = spool.st_size;
	st->st_blksize = BLOCK;
	return 0;
}

static void answer_attr(struct mount *m, const struct node *n, struct stat *st)
{
	st->st_mode = n->answer.dir ? S_IFDIR | 0777 : S_IFREG | 0444;
	if (!n->answer.dir)
		st->st_size = n->answer.size;
	node_set_times(st, n->answer.at.tv_sec ? n->answer.at : answers_time(m, n));
}

int node_attr(struct mount *m, const struct node *n, struct stat *ret)
{
	struct stat st = {.st_ino = n->ino, .st_nlink = 1, .st_blksize = 4096};
	char target[NODE_TARGET];
	int err = 0;

	switch (n->kind) {
	case NODE_ROOT:
	case NODE_META:
	case NODE_JOB:
	case NODE_PARTS:
	case NODE_PART:
		/* One link: find must not conclude that there are no directories. */
		st.st_mode = S_IFDIR | 0777;
		node_set_times(&st, directory_time(m, n));
		break;
	case NODE_LINK:
		st.st_mode = S_IFLNK | 0777;
		node_target(n, target);
		st.st_size = (off_t)strlen(target);
		node_set_times(&st, first_known(m, n->info.created, n->info.updated));
		break;
	case NODE_VIRTUAL:
		err = virtual_attr(m, n, &st);
		break;
	case NODE_ANSWER:
		answer_attr(m, n, &st);
		break;
	case NODE_FILE:
	case NODE_DIR:
		err = file_attr(n, &st);
		break;
	}
	if (err < 0)
		return err;
	if (n->kind != NODE_LINK)
		st.st_mode &= ~m->o->umask;
	st.st_uid = m->o->uid;
	st.st_gid = m->o->gid;
	st.st_blocks = (st.st_size + 511) / 512;
	*ret = st;
	return err;
}
