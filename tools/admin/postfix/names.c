/* Postfix's lists, taken apart as its match_list(3) does (src/util/match_list.c). */
#include "names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "postconf.h"
#include "spelled.h"

#define SEPARATORS ", \t\r\n"
#define DEPTH_MAX  5 /* of files in files */

const char *
names_next(const char *p, size_t *length)
{
	const char *end;
	int braces = 0;

	p += strspn(p, SEPARATORS);
	for (end = p; *end && (braces > 0 || !strchr(SEPARATORS, *end)); end++)
		braces += (*end == '{') - (*end == '}');
	*length = (size_t)(end - p);
	return p;
}

/* --- names -------------------------------------------------------------------------- */

static int
add(struct names *n, const char *name, int excluded)
{
	size_t room = n->room ? 2 * n->room : 64;
	struct names_entry *more;

	if (n->count == n->room) {
		more = realloc(n->entries, room * sizeof *more);
		if (!more)
			return -1;
		n->entries = more;
		n->room = room;
	}
	n->entries[n->count] = (struct names_entry){strdup(name), excluded, n->count};
	return n->entries[n->count].name ? (n->count++, 0) : -1;
}

struct reading {
	struct names *names;
	const char *asked;
	int excluded, failed;
};

static void
take_key(void *arg, const char *key, const char *value)
{
	struct reading *r = arg;

	(void)value;
	r->failed |= add(r->names, key, r->excluded);
}

/* By name; of one name that which was added first, which alone counts. */
static int
by_name(const void *a, const void *b)
{
	const struct names_entry *x = a, *y = b;
	int order = strcasecmp(x->name, y->name);

	return order ? order : (x->nth > y->nth) - (x->nth < y->nth);
}

static void
keep_first_of_each(struct names *n)
{
	size_t kept = 0;

	if (n->count)
		qsort(n->entries, n->count, sizeof *n->entries, by_name);
	for (size_t i = 0; i < n->count; i++)
		if (kept &&
			strcasecmp(n->entries[kept - 1].name, n->entries[i].name) == 0)
			free(n->entries[i].name);
		else
			n->entries[kept++] = n->entries[i];
	n->count = kept;
}

/* --- tables ------------------------------------------------------------------------- */

/* Lines of "key<tab>value", as postmap prints them. */
static void
take_lines(char *text, names_pair *each, void *arg)
{
	char *line, *tab;

	while (text && (line = strsep(&text, "\n"))) {
		tab = strchr(line, '\t');
		if (!tab)
			continue;
		*tab = '\0';
		each(arg, line, tab + 1);
	}
}

/* The types of tables that are made of others. */
static const char *const made[] = {"unionmap:{", "pipemap:{"};

/* The tables that it is made of, as a new list; NULL where it is made of none. */
static char *
members_of(const char *table)
{
	size_t length = strlen(table), n;

	for (size_t i = 0; i < sizeof made / sizeof *made; i++)
		if (strncmp(table, made[i], strlen(made[i])) == 0 &&
			table[length - 1] == '}') {
			n = strlen(made[i]);
			return strndup(table + n, length - n - 1);
		}
	return NULL;
}

/* A socketmap has no way to list it (dict_socketmap.c of Postfix's), nor has a table that
 * is made of others. */
static int
is_listed(const char *table)
{
	char *members = members_of(table);
	int is_made = members != NULL;

	free(members);
	return !is_made && strncmp(table, "socketmap:", strlen("socketmap:")) != 0;
}

/* Lines of the keys that the members have and ASKED has not; of a pipemap those of the
 * first, whose values the others are asked for. NULL where there are none. */
static char *
keys_of_members(const char *table, const char *asked)
{
	struct names n = {0};
	struct reading r = {.names = &n, .asked = asked};
	char *members = members_of(table), *lines = strdup(asked), *p = lines, *line,
	     *keys = NULL;
	size_t size, own, length;
	FILE *to = members && lines ? open_memstream(&keys, &size) : NULL;

	while (to && (line = strsep(&p, "\n")))
		r.failed |= add(&n, line, 0);
	own = n.count;
	if (to && *table == 'p') {
		const char *first = names_next(members, &length);

		members[(size_t)(first - members) + length] = '\0';
	}
	if (to)
		names_of_maps(members, asked, take_key, &r);
	keep_first_of_each(&n);
	for (size_t i = 0; i < n.count; i++)
		if (n.entries[i].nth >= own)
			fprintf(to, "%s\n", n.entries[i].name);
	names_free(&n);
	free(members);
	free(lines);
	if (to && (fclose(to) || r.failed)) {
		free(keys);
		keys = NULL;
	}
	return keys;
}

/* Whether postmap is elsewhere than the daemons, which find the socket from their queue's
 * directory. */
static int
is_out_of_reach(const char *table)
{
	const char socket[] = "socketmap:unix:";
	size_t n = strlen(socket);

	return strncmp(table, socket, n) == 0 && table[n] != '/';
}

/* One table: -1 if it can neither be listed nor asked. Neither is tried in vain: postmap
 * stays for a second before it ends by an error. */
static int
read_table(const char *table, const char *asked, names_pair *each, void *arg)
{
	const char *const list[] = {"-s", table, NULL};
	const char *const ask[] = {"-q", "-", table, NULL};
	char *output = NULL, *spelled = NULL, *input = NULL;
	struct reason why;
	int result = is_listed(table) ? postmap_run(list, "", &output, &why) : -1;

	if (result && !is_out_of_reach(table)) {
		spelled = spelled_names(table);
		if (!spelled)
			spelled = keys_of_members(table, asked);
		if (asprintf(&input, "%s%s", asked, spelled ? spelled : "") < 0)
			input = NULL;
		if (input)
			result = postmap_run(ask, input, &output, &why);
	}
	if (result == 0)
		take_lines(output, each, arg);
	free(output);
	free(spelled);
	free(input);
	return result;
}

/* What stands behind "proxy:", and behind "debug:" that logs, can be read without. */
static const char *
without_proxy(const char *table)
{
	static const char proxies[][16] = {"debug:", "proxy:", "proxywrite:"};

	for (size_t i = 0; i < sizeof proxies / sizeof *proxies; i++)
		if (strncmp(table, proxies[i], strlen(proxies[i])) == 0)
			return table + strlen(proxies[i]);
	return table;
}

int
names_listed(const char *table, names_pair *each, void *arg)
{
	const char *const list[] = {"-s", without_proxy(table), NULL};
	char *output = NULL;
	struct reason why;
	int result = is_listed(list[1]) ? postmap_run(list, "", &output, &why) : -1;

	if (result == 0)
		take_lines(output, each, arg);
	free(output);
	return result;
}

int
names_of_maps(const char *maps, const char *asked, names_pair *each, void *arg)
{
	int result = 0;
	size_t n;

	for (const char *p = maps; (p = names_next(p, &n), n); p += n) {
		char *table = strndup(p, n);

		if (!table || read_table(without_proxy(table), asked, each, arg))
			result = -1;
		free(table);
	}
	return result;
}

/* --- lists -------------------------------------------------------------------------- */

static int read_list(struct reading *r, const char *list, int excluded, int depth);

static int
read_file(struct reading *r, const char *path, int excluded, int depth)
{
	FILE *from = depth < DEPTH_MAX ? fopen(path, "re") : NULL;
	char *line = NULL;
	size_t size = 0;
	int result = 0;

	if (!from)
		r->names->partial = 1;
	while (from && result == 0 && getline(&line, &size, from) >= 0)
		if (line[0] != '#')
			result = read_list(r, line, excluded, depth + 1);
	free(line);
	if (from)
		fclose(from);
	return result;
}

static int
read_element(struct reading *r, const char *element, int excluded, int depth)
{
	for (; *element == '!'; element++)
		excluded = !excluded;
	if (*element == '/')
		return read_file(r, element, excluded, depth);
	if (*element == '[' || !strchr(element, ':'))
		return add(r->names, element, excluded);
	r->excluded = excluded;
	if (read_table(without_proxy(element), r->asked, take_key, r))
		r->names->partial = 1;
	return r->failed;
}

static int
read_list(struct reading *r, const char *list, int excluded, int depth)
{
	int result = 0;
	size_t n;

	for (const char *p = list; result == 0 && (p = names_next(p, &n), n); p += n) {
		char *element = strndup(p, n);

		result = element ? read_element(r, element, excluded, depth) : -1;
		free(element);
	}
	return result;
}

int
names_read(struct names *n, const char *list, const char *asked)
{
	struct reading r = {.names = n, .asked = asked};
	int result = read_list(&r, list, 0, 0);

	keep_first_of_each(n);
	return result;
}

int
names_of_lines(struct names *n, char *lines)
{
	char *line;
	int result = 0;

	while (result == 0 && (line = strsep(&lines, "\n")))
		if (*line)
			result = add(n, line, 0);
	for (size_t i = 0; i < n->count; i++)
		n->entries[i].nth = i;
	keep_first_of_each(n);
	return result;
}

static int
compare_name(const void *key, const void *entry)
{
	return strcasecmp(key, ((const struct names_entry *)entry)->name);
}

int
names_have(const struct names *n, const char *name)
{
	const struct names_entry *e = n->count ? bsearch(name, n->entries, n->count,
							 sizeof *n->entries, compare_name)
					       : NULL;

	return e && !e->excluded;
}

void
names_free(struct names *n)
{
	for (size_t i = 0; i < n->count; i++)
		free(n->entries[i].name);
	free(n->entries);
	memset(n, 0, sizeof *n);
}
