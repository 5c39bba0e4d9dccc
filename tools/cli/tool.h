/*
 * What the command line tools share: options from one table, messages, tables, JSON.
 *
 * Data goes to standard output, everything else to standard error, each message one line
 * with the tool's name in front. Data is printable ASCII: other bytes are written %XX, as
 * in the user table; JSON has a rule of its own. Messages may have UTF-8 in them. A write
 * error ends in a message and TOOL_CANT.
 */
#ifndef BRIM_TOOL_H
#define BRIM_TOOL_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/* Exit statuses of the tools. */
enum tool_status {
	TOOL_OK = 0,
	TOOL_NO = 1, /* no such record; or, of brimq, over its limit */
	TOOL_USAGE = 64,
	TOOL_CANT = 75 /* table damaged, lock, disk, daemon: can't tell or can't do */
};

struct tool_option {
	char letter;      /* '\0' without a short form */
	const char *name; /* the long form, "json"; NULL without one */
	const char
		*argument; /* what the usage calls it; NULL: it takes none; in brackets,
			      "[=SECONDS]": it may take one */
	const char *sentence; /* NULL: the usage has it not */
	const char **value;   /* set to the argument, or to "" */
};

/* To be called first: the name for messages, signals that must not kill (SIGPIPE,
 * SIGXFSZ), descriptors 0 to 2 that are open. */
void tool_start(const char *name);

/* Takes the options out of argv, wherever they stand before a "--": 0 with the words that
 * are left (without the name of the tool), or TOOL_USAGE after a message. The table ends
 * with an empty entry. */
int tool_options(int *argc, char ***argv, const struct tool_option *options);

/* Prints the options' part of a usage. */
void tool_print_options(const struct tool_option *options, FILE *to);

/* One line on standard error; what is not printable is '?' (printable_text). */
void tool_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same; returns the status. */
int tool_fail(enum tool_status status, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Where messages go from now on; NULL is standard error. */
void tool_messages(FILE *to);

/* To be called last: the status, or TOOL_CANT where standard output could not be
 * written. */
int tool_finish(int status);

/* The name that is most like the word, of those that NAME gives for 0, 1... until NULL;
 * or NULL if none is. */
const char *tool_nearest(const char *word, const char *(*name)(size_t i));

/* --- the terminal ---------------------------------------------------------------- */

struct tool_terminal {
	int width, height; /* characters; 80 and 24 where they can't be told */
	int is_screen;     /* a terminal whose cursor can be moved */
	int has_colour;    /* the same, and NO_COLOR is not set */
};

/* The characters in a line of the terminal, or OTHERWISE where it does not tell. */
int tool_terminal_width(int fd, int otherwise);

/* What standard output is now; elsewhere than on a terminal COLUMNS is the width. */
void tool_terminal_look(struct tool_terminal *t);

/* --- tables ---------------------------------------------------------------------- */

/* How a column is set; 0 is to the left. Added where several hold. */
enum tool_set {
	TOOL_RIGHT = 1,   /* to the right, as numbers are */
	TOOL_BAR = 2,     /* its cells are per cent; as wide as the terminal lets it be */
	TOOL_COLOURED = 4 /* in the row's colour */
};

enum tool_colour { TOOL_PLAIN, TOOL_GREEN, TOOL_YELLOW, TOOL_RED };

struct tool_column {
	const char *title;
	int set;
};

struct tool_table;

/* COLUMNS are kept, not copied; NULL without memory. */
struct tool_table *tool_table_new(const struct tool_column *columns, size_t count);

/* Fits the table to a terminal; without it there are 80 columns and no colour. */
void tool_table_fit(struct tool_table *t, const struct tool_terminal *to);

/* Adds a row, COUNT cells (NULL is empty), copied: 0, or -1 without memory. The first
 * thousand rows decide how wide the columns are; a longer table is printed as it comes,
 * and needs no more memory. */
int tool_table_row(struct tool_table *t, const char *const *cells);
int tool_table_coloured_row(
	struct tool_table *t, const char *const *cells, enum tool_colour colour);

/* Prints what is left of the table, if it has rows, and frees it. T may be NULL. */
void tool_table_print(struct tool_table **t);

/* --- JSON (json.c) --------------------------------------------------------------- */

/* A name (an address, a path, whatever the user table or a mailbox holds) by the one rule
 * of all tools: UTF-8 as it is, another byte as %XX, % always as %25; record_unescape
 * reads it back. NULL without memory. */
json_t *tool_json_name(const char *name);

/* The same as a new string. */
char *tool_json_escape(const char *name);

/* A sentence or a command, which is not read back: the same, but % as it is. */
json_t *tool_json_text(const char *text);

/* A number, of all 64 bits. NULL without memory. Only what prints shows a large one. */
json_t *tool_json_number(uint64_t n);

/* Prints the value on standard output and lets go of it. */
void tool_json_print(json_t *value);

/* Prints an array item by item, however long; COUNT begins at 0. */
void tool_json_item(json_t *value, size_t *count);
void tool_json_end(size_t count);

#endif
