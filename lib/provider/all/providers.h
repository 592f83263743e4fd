/* All providers. */
#ifndef GB_PROVIDERS_H
#define GB_PROVIDERS_H

#include "provider/provider.h"

/* The provider of a client that does not choose one. */
const struct provider *provider_default(void);

#endif
