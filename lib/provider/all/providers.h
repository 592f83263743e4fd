/*
 * The providers that there are: the only place that names each of them. What must know
 * all of them at once (the ids on disk, ids.h) is here too; everything else goes
 * through the table of the provider that the client was opened with (provider.h).
 */
#ifndef GB_PROVIDERS_H
#define GB_PROVIDERS_H

#include "provider/provider.h"

/* The provider of a client that does not choose one. */
const struct provider *provider_default(void);

#endif
