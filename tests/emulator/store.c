#include "store.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <sys/stat.h>

static const char *const kinds[] = {
	"files", "uploads", "jobs", "caches", "blobs", "inline"};
static char *root;
static bool temporary;

static int make_dir(const char *path)
{
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	return 0;
}

static int make_temporary(void)
{
	const char *base = getenv("TMPDIR");

	root = xasprintf("%s/gemini-emulator.XXXXXX", base && *base ? base : "/tmp");
	if (!mkdtemp(root))
		return -errno;
	temporary = true;
	return 0;
}

int store_open(const char *dir)
{
	int r;

	if (dir) {
		root = xstrdup(dir);
		r = make_dir(root);
	} else {
		r = make_temporary();
	}
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(kinds); i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s", root, kinds[i]);

		r = make_dir(path);
	}
	return r;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *w)
{
	remove(path);
	return 0;
}

void store_close(void)
{
	if (temporary)
		nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(root);
	root = NULL;
}

bool store_id_ok(const char *id)
{
	size_t n = strspn(
		id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");

	return n && n <= 128 && !id[n];
}

char *store_path(const char *kind, const char *id, const char *suffix)
{
	return xasprintf("%s/%s/%s%s", root, kind, id, suffix);
}

void store_save(const char *kind, const char *id, const json_t *record)
{
	_cleanup_free_ char *path = store_path(kind, id, ".json");
	char tail[9];
	_cleanup_free_ char *tmp = NULL;

	random_id(tail, 8);
	tmp = xasprintf("%s.%s", path, tail);
	if (json_dump_file(record, tmp, JSON_COMPACT | JSON_ENSURE_ASCII) < 0 ||
		rename(tmp, path) < 0) {
		complain("cannot write %s: %s", path, strerror(errno));
		unlink(tmp);
	}
}

void store_remove(const char *kind, const char *id)
{
	store_unlink(kind, id, ".json");
}

void store_unlink(const char *kind, const char *id, const char *suffix)
{
	_cleanup_free_ char *path = store_path(kind, id, suffix);

	unlink(path);
}

static void load_one(const char *kind, const char *name,
	void (*each)(const char *id, json_t *record))
{
	const char *dot = strchr(name, '.');
	_cleanup_json_ json_t *record = NULL;
	_cleanup_free_ char *id = NULL, *path = NULL;

	if (!dot || strcmp(dot, ".json"))
		return;
	id = xstrndup(name, dot - name);
	path = store_path(kind, id, ".json");
	record = json_load_file(path, JSON_ALLOW_NUL, NULL);
	if (record && store_id_ok(id))
		each(id, record);
	else
		complain("passing over %s", path);
}

void store_each(const char *kind, void (*each)(const char *id, json_t *record))
{
	_cleanup_free_ char *path = store_path(kind, "", "");
	DIR *d = opendir(path);
	struct dirent *e;

	while (d && (e = readdir(d)))
		load_one(kind, e->d_name, each);
	if (d)
		closedir(d);
}
