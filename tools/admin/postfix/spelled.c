/* Patterns, read as far as they are plain text and alternatives. */
#include "spelled.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES 256
#define STEPS_MAX  256 /* in one pattern */
#define PATTERN    1024

struct spelling {
	FILE *to;
	int left; /* steps that may still be taken: branches multiply */
};

/* The parenthesis that closes the one before P; NULL without one. */
static const char *
find_end(const char *p)
{
	for (int depth = 1; *p; p++) {
		if (*p == '\\' && p[1])
			p++;
		else if (*p == '(')
			depth++;
		else if (*p == ')' && --depth == 0)
			return p;
	}
	return NULL;
}

/* Where the alternative that begins at P ends: at a '|' of its own, or at END. */
static const char *
alternative_end(const char *p, const char *end)
{
	for (int depth = 0; p < end; p++) {
		if (*p == '\\')
			p++;
		else if (*p == '|' && depth == 0)
			return p;
		else
			depth += (*p == '(') - (*p == ')');
	}
	return end;
}

static void spell(struct spelling *s, const char *done, const char *pattern);

/* "(a|b)rest": a with the rest, b with the rest. "(...)?" and "(...)*" are left out. */
static void
spell_group(struct spelling *s, const char *done, const char *group)
{
	const char *end = find_end(group), *p = group, *to;
	char one[PATTERN];

	if (!end)
		return;
	if (strncmp(p, "?:", 2) == 0)
		p += 2;
	if (end[1] && strchr("?*", end[1])) {
		spell(s, done, end + 2);
		return;
	}
	for (; p <= end; p = to + 1) {
		to = alternative_end(p, end);
		if (snprintf(one, sizeof one, "%.*s%s", (int)(to - p), p, end + 1) <
			(int)sizeof one)
			spell(s, done, one);
	}
}

/* Goes on with PATTERN behind what is spelled already. */
static void
spell(struct spelling *s, const char *done, const char *pattern)
{
	char name[NAME_BYTES];
	size_t n = strlen(done);

	if (s->left-- <= 0)
		return;
	memcpy(name, done, n + 1);
	for (const char *p = pattern; *p; p++) {
		if (*p == '(') {
			name[n] = '\0';
			spell_group(s, name, p + 1);
			return;
		}
		if (*p == '^' || *p == '$')
			continue;
		if (*p == '[' && p[1] && p[2] == ']')
			p++, name[n++] = *p++;
		else if (*p == '\\' && ispunct((unsigned char)p[1]))
			name[n++] = *++p;
		else if (strchr("\\[]{}*+?|)", *p))
			return;
		else
			name[n++] = *p;
		if (n + 1 >= sizeof name)
			return;
		if (p[1] == '?')
			p++;
	}
	name[n] = '\0';
	if (n)
		fprintf(s->to, "%s\n", name);
}

/* Each "/pattern/" of a line, or of a table that is written out in braces. */
static void
spell_line(FILE *to, const char *line)
{
	const char *begin = strchr(line, '/'), *end;
	struct spelling s = {to, STEPS_MAX};
	char pattern[PATTERN];

	if (!begin)
		return;
	for (end = begin + 1; *end && *end != '/'; end++)
		end += *end == '\\' && end[1];
	if (*end && (size_t)(end - begin) < sizeof pattern) {
		snprintf(pattern, sizeof pattern, "%.*s", (int)(end - begin - 1),
			begin + 1);
		spell(&s, "", pattern);
	}
}

static void
spell_file(FILE *to, const char *path)
{
	FILE *from = fopen(path, "re");
	char *line = NULL;
	size_t size = 0;

	while (from && getline(&line, &size, from) >= 0)
		if (line[0] != '#')
			spell_line(to, line);
	free(line);
	if (from)
		fclose(from);
}

char *
spelled_names(const char *table)
{
	static const char *const types[] = {"regexp:", "pcre:"};
	const char *path = NULL;
	char *names = NULL;
	size_t size;
	FILE *to;

	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (strncmp(table, types[i], strlen(types[i])) == 0)
			path = table + strlen(types[i]);
	to = path ? open_memstream(&names, &size) : NULL;
	if (!to)
		return NULL;
	if (*path == '/')
		spell_file(to, path);
	else
		while ((path = strchr(path + 1, '{')))
			spell_line(to, path);
	if (fclose(to)) {
		free(names);
		return NULL;
	}
	return names;
}
