/*
 * import-postfix: what the text files of Postfix's virtual maps hold (virtual(5),
 * postmap(1)). A file may be named with the setting that it serves, which says what its
 * lines are; else the right-hand sides tell: a path is a mailbox, anything beside a bare
 * domain's name makes it a domain, all else is an alias. Patterns and look-ups in other
 * programs can't be carried over.
 */
#include "import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLANKS " \t\r\n\v\f"

enum content { ANYTHING, MAILBOXES, ALIASES, DOMAINS };

/* A line with those that continue it. */
struct logical {
	char *text;
	size_t length;
	unsigned long number; /* of its first line; 0: there is none */
};

/* --- one line --- */

static int
import_path(struct import *i, const char *address, const char *path)
{
	if (path[strcspn(path, BLANKS)])
		return brimadm_refuse(i->a, TOOL_USAGE,
			"%.80s: \"%.80s\" is more than one path", address, path);
	if (path[0] && path[strlen(path) - 1] != '/')
		return brimadm_refuse(i->a, TOOL_USAGE,
			"%.80s: %.80s is an mbox file (no / at its end): only Maildirs "
			"are delivered to",
			address, path);
	return import_mailbox(i, address, path, NULL, NULL);
}

/* What the line makes of a file whose lines may be anything. */
static enum content
guess(const char *key, const char *value)
{
	if (!strchr(key, '@') && strchr(key, '.') && !strpbrk(value, "@/,"))
		return DOMAINS;
	return strchr(value, '/') ? MAILBOXES : ALIASES;
}

static int
check_key(struct import *i, const char *key, const char *value, enum content content)
{
	const char *fault = NULL;

	if (key[0] == '/' || strcmp(key, "if") == 0 || strcmp(key, "endif") == 0)
		fault = "a pattern can't be carried over";
	else if (key[0] == '"' || strchr(key, '"'))
		fault = "a quoted address can't be carried over";
	else if (key[strlen(key) - 1] == ':')
		fault = "a line of aliases(5), not of a virtual map";
	else if (value[0] == '|' || value[0] == ':')
		fault = "a command or a list can't be carried over";
	else if (value[0] == '\0' && content != DOMAINS)
		fault = "there is no right-hand side";
	return fault ? brimadm_refuse(i->a, TOOL_USAGE, "%.80s: %s", key, fault)
		     : TOOL_OK;
}

static int
import_line(struct import *i, char *text, enum content content)
{
	char *key = text, *value = text + strcspn(text, BLANKS), *end;
	int status;

	if (*value)
		*value++ = '\0';
	value += strspn(value, BLANKS);
	for (end = value + strlen(value); end > value && strchr(BLANKS, end[-1]);)
		*--end = '\0';
	status = check_key(i, key, value, content);
	if (status)
		return status;
	switch (content == ANYTHING ? guess(key, value) : content) {
	case DOMAINS:
		return import_domain(i, key);
	case MAILBOXES:
		return import_path(i, key, value);
	default:
		return import_alias(i, key, value);
	}
}

/* --- a file --- */

static int
append(struct import *i, struct logical *l, const struct input *in)
{
	char *grown = realloc(l->text, l->length + in->length + 1);

	if (!grown)
		return brimadm_refuse(i->a, TOOL_CANT, "no memory");
	l->text = grown;
	memcpy(grown + l->length, in->line, in->length + 1);
	l->length += in->length;
	if (l->number == 0)
		l->number = in->number;
	return TOOL_OK;
}

static int
finish_line(struct import *i, struct input *in, struct logical *l, enum content content)
{
	int status = TOOL_OK;

	if (l->number && strlen(l->text) != l->length)
		status = brimadm_refuse(i->a, TOOL_USAGE, "a NUL byte");
	else if (l->number)
		status = import_line(i, l->text, content);
	status = import_judge(i, in, l->number, status);
	l->length = 0;
	l->number = 0;
	return status;
}

/* As postmap(1) reads: a blank in front continues the line; empty lines and comments are
 * no lines at all. */
static int
import_lines(struct import *i, struct input *in, enum content content)
{
	struct logical l = {0};
	int more = 0, status = TOOL_OK;

	while (!status && (more = input_next(i->a, in)) > 0) {
		size_t blank = strspn(in->line, BLANKS);

		if (in->line[blank] == '#' || blank == in->length)
			continue;
		if (blank == 0)
			status = finish_line(i, in, &l, content);
		if (!status && blank && l.number == 0)
			status = import_judge(i, in, in->number,
				brimadm_refuse(i->a, TOOL_USAGE,
					"it continues a line, and there is none"));
		else if (!status)
			status = append(i, &l, in);
	}
	if (!status)
		status = more < 0 ? TOOL_CANT : finish_line(i, in, &l, content);
	free(l.text);
	return status;
}

/* Takes the setting, or the type of the map, off the argument. */
static int
name_file(struct import *i, char **file, enum content *content)
{
	static const struct {
		const char *begin;
		enum content content;
	} known[] = {
		{"virtual_mailbox_maps=", MAILBOXES},
		{"virtual_mailbox_domains=", DOMAINS},
		{"virtual_alias_maps=", ALIASES},
		{"virtual_alias_domains=", DOMAINS},
	};
	static const char *const types[] = {
		"hash:", "btree:", "lmdb:", "cdb:", "dbm:", "texthash:"};
	size_t n;

	*content = ANYTHING;
	for (size_t k = 0; k < sizeof known / sizeof *known; k++)
		if (strncmp(*file, known[k].begin, strlen(known[k].begin)) == 0) {
			*content = known[k].content;
			*file += strlen(known[k].begin);
		}
	for (size_t t = 0; t < sizeof types / sizeof *types; t++)
		if (strncmp(*file, types[t], strlen(types[t])) == 0) {
			*file += strlen(types[t]);
			return TOOL_OK;
		}
	n = strspn(*file, "abcdefghijklmnopqrstuvwxyz");
	if (n && (*file)[n] == ':')
		return brimadm_refuse(i->a, TOOL_USAGE,
			"%.100s: only maps made of text files can be imported", *file);
	return TOOL_OK;
}

static int
import_file(struct import *i, char *file)
{
	struct input in;
	enum content content;
	int status = name_file(i, &file, &content);

	if (status)
		return status;
	status = input_open(i->a, &in, 1, &file);
	if (!status)
		status = import_lines(i, &in, content);
	input_close(&in);
	return status;
}

/* "static:5000" is how virtual_uid_maps has it. */
static void
skip_static(const char **id)
{
	if (*id && strncmp(*id, "static:", 7) == 0)
		*id += 7;
}

int
brimadm_import_postfix(struct brimadm *a, int argc, char **argv)
{
	struct import i = {.a = a};
	int status, files = import_words(&i, argc, argv);

	if (files < 0)
		return tool_fail(TOOL_USAGE, "%s", a->why.text);
	skip_static(&i.uid);
	skip_static(&i.gid);
	status = import_begin(a, &i);
	for (int n = 0; n < files && !status; n++)
		status = import_file(&i, argv[n]);
	return import_end(&i, status);
}
