/*
 * Completion of a tool's command line for bash and zsh, printed from the tables that the
 * tool itself goes by: what is not in them is not offered. A shell's names are those of
 * its own manual page.
 */
#ifndef BRIM_COMPLETION_H
#define BRIM_COMPLETION_H

#include "tool.h"

struct completion_command {
	const char *name, *arguments, *sentence; /* as in the usage */
	unsigned options; /* bits, by place in the table of options */
};

struct completion_field {
	const char *name;
	const char *values; /* with blanks between; NULL where they can't be told */
};

struct completion {
	const char *tool;
	const struct tool_option *options; /* without a sentence: not offered */
	size_t commands_options; /* so many of them, the first, belong to commands */
	/* Each command and field by number from 0 on, 0 after the last; NULL for a tool
	 * without. */
	int (*command)(size_t i, struct completion_command *c);
	int (*field)(size_t i, struct completion_field *f);
};

/* Prints the script for the shell, "bash" or "zsh"; returns an enum tool_status. */
int completion_print(const struct completion *c, const char *shell);

#endif
