#include "start/environment.h"

#include <string.h>

#include "util/util.h"
#include "util/log.h"

extern char **environ;

/* Honoured by a library in this process. */
static const char *const ignored[] = {
	"SSLKEYLOGFILE", /* libcurl, GnuTLS: the keys of every connection, to a file */
	"QLOGDIR",       /* libcurl: what goes over QUIC, to files */
	"KRB5_TRACE",
	"OPENSSL_CONF", /* OpenSSL: these load code */
	"OPENSSL_CONF_INCLUDE",
	"OPENSSL_MODULES",
	"OPENSSL_ENGINES",
	"GNUTLS_SYSTEM_PRIORITY_FILE",
	"GCONV_PATH", /* glibc: so does this, and these load data */
	"LOCPATH",
	"NLSPATH",
	"MALLOC_TRACE",
	"MAGIC", /* libmagic: rules from a file */
};

/* The loader's have had their effect here, children get none of it. */
static const char loader[] = "LD_";

static void ignore(const char *name)
{
	if (getenv(name))
		log_line(LOG_WARNING,
			"%s is ignored: it could make a library load code or write "
			"files in the process that holds the key",
			name);
	unsetenv(name);
}

/* The first variable of the loader's; false: none is left. */
static bool drop_loader(void)
{
	for (char **v = environ; v && *v; v++) {
		size_t n = strcspn(*v, "=");
		_cleanup_free_ char *name = NULL;

		if (strncmp(*v, loader, strlen(loader)) != 0 || !(*v)[n])
			continue;
		name = strndup(*v, n);
		return name && unsetenv(name) == 0;
	}
	return false;
}

void environment_clean(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(ignored); i++)
		ignore(ignored[i]);
	while (drop_loader())
		;
}
