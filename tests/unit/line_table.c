/* The table of lines. */
#include "line_table.h"

#include <string.h>

#include "suite.h"
#include "users.h"

struct line_table line_table;

/* Whether that can't be read. */
static int
is_damaged(const char *what, struct reason *why)
{
	if (!line_table.damaged || strcmp(line_table.damaged, what) != 0)
		return 0;
	reason_set(why, "users.db: damaged");
	return 1;
}

int
users_get(struct users *u, const char *key, struct record *r, struct reason *why)
{
	size_t length = strlen(key);

	(void)u;
	line_table.lookups++;
	memset(r, 0, sizeof *r);
	if (is_damaged(key, why))
		return -1;
	for (const char *const *line = line_table.lines; *line; line++)
		if (strncmp(*line, key, length) == 0 &&
			((*line)[length] == ' ' || (*line)[length] == '\0')) {
			ck_assert_int_eq(
				record_parse(r, *line, strlen(*line), 1, why), 0);
			return 1;
		}
	return 0;
}

int
users_has_records(struct users *u, struct reason *why)
{
	(void)u;
	return is_damaged("", why) ? -1 : line_table.lines[0] != NULL;
}

int
users_has_older_keys(struct users *u, struct reason *why)
{
	(void)u;
	(void)why;
	return line_table.has_older_keys;
}

int
users_has_bare_names(struct users *u, struct reason *why)
{
	(void)u;
	if (is_damaged("bare", why))
		return -1;
	for (const char *const *line = line_table.lines; *line; line++)
		if (!memchr(*line, '@', strcspn(*line, " ")))
			return 1;
	return 0;
}

int
users_has_local_part(struct users *u, const char *local, struct reason *why)
{
	size_t length = strlen(local);

	(void)u;
	if (is_damaged("whole", why))
		return -1;
	for (const char *const *line = line_table.lines; *line; line++)
		if (strncmp(*line, local, length) == 0 && (*line)[length] == '@')
			return 1;
	return 0;
}
