/* What check may find: its name, how bad it is, and why it matters. */
#ifndef BRIMADM_CHECK_KINDS_H
#define BRIMADM_CHECK_KINDS_H

#include "check.h"

enum check_severity { ERROR, WARNING, NOTE }; /* with a note alone nothing was found */

struct check_kind_row {
	const char *name; /* stable: scripts rely on it */
	enum check_severity severity;
	const char *why;
};

/* The row of the kind. */
const struct check_kind_row *check_kind_row(enum check_kind kind);

/* "error", "warning" or "note". */
const char *check_severity_name(enum check_severity severity);

#endif
