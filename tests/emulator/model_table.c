#include "model_table.h"

/* As of November 2026. */
static const struct model models[] = {
	{"gemini-3.8-flash", "001", "Gemini 3.8 Flash",
		"Our mid-size multimodal model that supports up to 1 million tokens", 1048576,
		65536, GEN | BATCH, true, NULL},
	{"gemini-3.6-flash", "001", "Gemini 3.6 Flash", "Stable release of Gemini 3.6 Flash",
		1048576, 65536, GEN | BATCH, true, NULL},
	{"gemini-3.5-flash-lite", "001", "Gemini 3.5 Flash-Lite", "", 1048576, 65536,
		GEN | BATCH, true, NULL},
	{"gemini-3.1-flash-lite", "001", "Gemini 3.1 Flash-Lite", "", 1048576, 65536,
		GEN | BATCH, true, NULL},
	{"gemini-4-carbon", "001", "Gemini 4 Carbon", "", 1048576, 65536, GEN | BATCH, true,
		NULL},
	{"gemini-4-argon", "001", "Gemini 4 Argon", "", 1048576, 65536, GEN | BATCH, true,
		NULL},
	{"gemini-4-hydrogen", "001", "Gemini 4 Hydrogen", "", 1048576, 65536, GEN | BATCH,
		true, NULL},
	{"gemini-4-neon", "001", "Gemini 4 Neon", "", 1048576, 65536, GEN | BATCH, true, NULL},
	{"gemini-flash-latest", "latest", "Gemini Flash Latest", "Latest release of Gemini Flash",
		1048576, 65536, GEN | BATCH, true, "gemini-3.8-flash"},
	{"gemini-flash-lite-latest", "latest", "Gemini Flash-Lite Latest", "", 1048576, 65536,
		GEN | BATCH, true, "gemini-3.5-flash-lite"},
	{"gemini-pro-latest", "latest", "Gemini Pro Latest", "", 1048576, 65536, GEN | BATCH,
		true, "gemini-4-carbon"},
	{"gemma-3-27b-it", "001", "Gemma 3 27B", "", 131072, 8192, GEN, false, NULL},
	{"gemini-embedding-2", "2", "Gemini Embedding 2",
		"Obtain a distributed representation of a text.", 8192, 1, EMBED, false, NULL},
	{"gemini-embedding-001", "001", "Gemini Embedding 001",
		"Obtain a distributed representation of a text.", 2048, 1, EMBED, false, NULL},
	{"imagen-4.0-generate-001", "001", "Imagen 4", "Vertex served Imagen 4.0 model", 480,
		8192, IMAGEN, false, NULL},
	/* In no list: routed to a newer one; taken, and every line fails; refused. */
	{"gemini-3.7-flash", "001", "Gemini 3.7 Flash", "", 1048576, 65536,
		GEN | BATCH | UNLISTED, true, "gemini-3.8-flash"},
	{"gemini-2.0-flash", "2.0", "Gemini 2.0 Flash", "", 1048576, 8192,
		GEN | BATCH | UNLISTED | FAILING, false, NULL},
	{"gemini-2.5-flash", "001", "Gemini 2.5 Flash", "", 1048576, 65536, RETIRED | UNLISTED,
		true, NULL},
	{"gemini-2.5-pro", "001", "Gemini 2.5 Pro", "", 1048576, 65536, RETIRED | UNLISTED,
		true, NULL},
};

size_t model_count(void)
{
	return ARRAY_LEN(models);
}

const struct model *model_at(size_t i)
{
	return &models[i];
}

const struct model *model_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(models); i++)
		if (!strcmp(models[i].name, name))
			return &models[i];
	return NULL;
}

const char *model_version(const char *name)
{
	const struct model *m = model_find(name);

	return m && m->answers ? m->answers : name;
}

bool model_fails(const char *name)
{
	const struct model *m = model_find(name);

	return m && m->can & FAILING;
}
