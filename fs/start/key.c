#include "start/key.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "util/util.h"
#include "util/log.h"
#include "start/paths.h"

#define KEY_MAX 4096
#define QUICKSTART "./examples/quickstart"

static const char *const variables[] = {"GOOGLE_API_KEY", "GEMINI_API_KEY"};

static void wipe(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

/* A copy without white space at either end; NULL when nothing is left. */
static char *trim_dup(const char *text)
{
	size_t n;

	while (isspace((unsigned char)*text))
		text++;
	n = strlen(text);
	while (n && isspace((unsigned char)text[n - 1]))
		n--;
	return n ? strndup(text, n) : NULL;
}

/* The key must fit into one header line, whatever the file holds. */
static bool looks_like_key(const char *text)
{
	for (; *text; text++)
		if (!isgraph((unsigned char)*text))
			return false;
	return true;
}

static int refuse_key_file(const char *path, const char *why)
{
	log_line(LOG_ERR, "key file %s %s", path, why);
	return -EACCES;
}

static int check_file(int fd, const char *path)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return refuse_key_file(path, "is not a regular file");
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return refuse_key_file(path, "belongs to another user");
	if (st.st_mode & 077)
		return refuse_key_file(path, "can be read by others: chmod 600 it");
	if (st.st_size >= KEY_MAX)
		return refuse_key_file(path, "is too large to be a key");
	return 0;
}

/* What editors put before a text, and what is invisible. */
static int check_encoding(const char *buf, size_t n, const char *path)
{
	if (n >= 3 && memcmp(buf, "\xef\xbb\xbf", 3) == 0)
		return refuse_key_file(
			path, "begins with a byte order mark (BOM), which is invisible "
			      "and not part of the key: save it without one, or: sed "
			      "-i '1s/^\\xef\\xbb\\xbf//' FILE");
	if (n >= 2 &&
		(memcmp(buf, "\xff\xfe", 2) == 0 || memcmp(buf, "\xfe\xff", 2) == 0))
		return refuse_key_file(path, "is UTF-16, not plain text: "
				    "iconv -f UTF-16 -t UTF-8 FILE > NEW");
	return 0;
}

/* The key in the file at path. -ENOENT without a line; others are explained. */
static int read_file(const char *path, char **ret)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char buf[KEY_MAX];
	ssize_t n;
	int err;

	if (fd < 0 && errno == ENOENT)
		return -ENOENT;
	if (fd < 0) {
		err = -errno;
		log_line(LOG_ERR, "key file %s: %s", path, strerror(-err));
		return err;
	}
	err = check_file(fd, path);
	if (err)
		return err;
	n = read(fd, buf, sizeof buf - 1);
	if (n < 0)
		n = 0;
	buf[n] = '\0';
	err = check_encoding(buf, (size_t)n, path);
	*ret = strlen(buf) == (size_t)n && !err ? trim_dup(buf) : NULL;
	explicit_bzero(buf, sizeof buf);
	if (err)
		return err;
	if (!*ret || !looks_like_key(*ret)) {
		wipe(*ret);
		*ret = NULL;
		return refuse_key_file(path, "holds no key (one line is expected)");
	}
	return 0;
}

static int take_key_file(const char *path, struct key *ret)
{
	int err = read_file(path, &ret->text);

	if (err)
		return err;
	ret->source = strdup(path);
	return ret->source ? 0 : -ENOMEM;
}

/* Take a variable out of the environment, wiping its bytes, which ps could show. */
static char *take_variable(const char *name)
{
	char *value = getenv(name);
	char *copy = value ? trim_dup(value) : NULL;

	if (value)
		explicit_bzero(value, strlen(value));
	unsetenv(name);
	return copy;
}

static int take_environment(struct key *ret)
{
	char *found[ARRAY_SIZE(variables)];
	size_t pick = 0;

	for (size_t i = 0; i < ARRAY_SIZE(variables); i++)
		found[i] = take_variable(variables[i]);
	if (found[0] && found[1] && strcmp(found[0], found[1]))
		log_line(LOG_WARNING, "%s and %s are both set and differ: %s is used",
			variables[0], variables[1], variables[0]);
	if (!found[0])
		pick = 1;
	wipe(found[!pick]);
	if (!found[pick])
		return -ENOENT;
	if (!looks_like_key(found[pick])) {
		wipe(found[pick]);
		log_line(LOG_ERR,
			"%s holds no key: it has spaces or control characters",
			variables[pick]);
		return -EINVAL;
	}
	ret->text = found[pick];
	ret->source = strdup(variables[pick]);
	return ret->source ? 0 : -ENOMEM;
}

int key_find(const struct options *o, struct key *ret)
{
	_cleanup_free_ char *path = NULL;
	struct key unused = {};
	int err;

	*ret = (struct key){};
	if (o->api_key_file) {
		take_environment(&unused);
		key_wipe(&unused);
		err = take_key_file(o->api_key_file, ret);
		if (err == -ENOENT)
			log_line(
				LOG_ERR, "key file %s does not exist", o->api_key_file);
		return err == -ENOENT ? -EACCES : err;
	}
	err = take_environment(ret);
	if (err != -ENOENT)
		return err;
	path = paths_key_file(o->account);
	return path ? take_key_file(path, ret) : -ENOENT;
}

/* The tour is there for who has the sources, not in a line of fstab. */
void key_explain_none(const struct options *o)
{
	_cleanup_free_ char *path = paths_key_file(o->account);

	log_line(LOG_ERR,
		"no API key: write it to %s (mode 600), or set GEMINI_API_KEY. Keys: "
		"https://aistudio.google.com/apikey%s",
		path ? path : "a file and name that with -o api_key_file=PATH",
		access(QUICKSTART, X_OK)
			? ""
			: ". To try without: " QUICKSTART);
}

void key_wipe(struct key *k)
{
	wipe(k->text);
	free(k->source);
	*k = (struct key){};
}
