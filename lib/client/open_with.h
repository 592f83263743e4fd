/* Opening a client on another provider than the default one. */
#ifndef GB_OPEN_WITH_H
#define GB_OPEN_WITH_H

#include "gembatch.h"
#include "provider/provider.h"

/* As gb_open. arg is the provider's own (struct provider_conn), and lives as long as
 * the client. */
_must_check_ int client_open_with(const struct gb_options *o, const struct provider *p,
	void *arg, struct gb_client **ret, char **ret_why);

#endif
