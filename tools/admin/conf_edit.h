/*
 * One setting of brim.conf given another value, in a text or by a command for sh. The
 * line that sets it, and those that continue it, are replaced by one line; comments among
 * them stay. A setting that is not there is put at the end.
 */
#ifndef BRIMADM_CONF_EDIT_H
#define BRIMADM_CONF_EDIT_H

#include <stddef.h>

/* TEXT, of *LENGTH bytes, with NAME set to VALUE, and *LENGTH then, as a new string; NULL
 * without memory. */
char *conf_edit_text(
	const char *text, size_t *length, const char *name, const char *value);

/* Whether the text sets NAME. */
int conf_edit_has(const char *text, const char *name);

/* The command that sets NAME to VALUE (NULL: takes it out) in FILE, as a new string; NULL
 * without memory, and where no command can say it. */
char *conf_edit_command(const char *file, const char *name, const char *value);

#endif
