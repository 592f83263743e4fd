/* The providers that there are. */
#ifndef GB_PROVIDERS_H
#define GB_PROVIDERS_H

#include "provider/provider.h"

/* The one of a client that does not say which. */
const struct provider *provider_default(void);

#endif
