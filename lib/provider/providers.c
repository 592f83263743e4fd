/* The providers that there are. */
#include "provider/provider.h"

#include "provider/gemini/gemini.h"

const struct provider *provider_default(void)
{
	return &provider_gemini;
}
