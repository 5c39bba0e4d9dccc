/*
 * The form of brim.conf, which is that of Postfix's main.cf: "name = value"; empty lines
 * and lines whose first byte that is no blank is # are ignored; a line that begins with a
 * blank continues the setting before it. A CR counts as a blank at the end of a line.
 *
 * What other readers take and this one would understand otherwise is refused, with the
 * line and its repair: a section, a colon, a comment with ;, a setting that is indented,
 * a byte order mark, a NUL. debian/brim.preinst refuses the same in the same words,
 * before the programs are there. What the names are, and what a value means, is the
 * caller's.
 */
#ifndef BRIM_CONF_READ_H
#define BRIM_CONF_READ_H

#include <stddef.h>

#include "reason.h"

#define CONF_FILE_MAX (1 << 20) /* bytes */

struct conf_reader {
	int (*is_name)(const char *text, size_t length);
	/* One setting, that begins in that line: 0, or -1 with the reason, which ends it.
	 */
	int (*take)(void *arg, unsigned line, const char *name, const char *value,
		struct reason *why);
	void *arg;
};

/* Hands out the settings of TEXT, as conf_read_file made it, and changes it. FILE is for
 * reasons, which name the line too: 0, or -1. */
int conf_read_text(const char *file, char *text, size_t size,
	const struct conf_reader *reader, struct reason *why);

#endif
