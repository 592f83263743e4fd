#include "provider/all/providers.h"

#include "provider/gemini/gemini.h"

const struct provider *provider_default(void)
{
	return &provider_gemini;
}
