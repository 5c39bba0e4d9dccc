/*
 * A user table of lines, in place of the database: users_get and the few of its
 * neighbours that look-ups call. A test that wants it says so in tests.mk.
 */
#ifndef TESTS_LINE_TABLE_H
#define TESTS_LINE_TABLE_H

struct line_table {
	const char *const *lines; /* as brimadm dump has them; the last is NULL */
	/* can't be read: a key, "" (the first record of all), "bare" or "whole" (what the
	 * table has of names); NULL: all can */
	const char *damaged;
	int has_older_keys;
	int lookups; /* that there have been */
};

extern struct line_table line_table;

#endif
