/*
 * A number that may differ by project and model, as the value of a knob: "N", or a list by
 * commas of [PROJECT/][MODEL:]N, of which the last that fits holds; 0 where none does.
 * PROJECT is a project's name or a key of it; an alias and the model behind it are one
 * model. Any thread may call.
 */
#ifndef EMU_SCOPED_H
#define EMU_SCOPED_H

#include "knobs.h"

bool scoped_ok(const char *value);
/* The number for this project and model; `k` is of the kind PER. */
double scoped_num(enum knob k, const char *project, const char *model);

#endif
