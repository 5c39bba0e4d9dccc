/*
 * A line of apply as a JSON object: {"set": ADDRESS, "quota": "2G"}. It becomes the words
 * of the command that the same line in text would be cut into; names are read by the rule
 * that list --json writes them by, and its numbers are bytes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "brimadm.h"

#define WORDS_MAX 64 /* the command, its address, and each field once */

/* The command's name is the member whose value is the address. */
static const struct verb {
	const char *name;
	const char *target; /* the member with the second address; NULL: none */
	int has_fields;
} verbs[] = {
	{"add", NULL, 1},
	{"set", NULL, 1},
	{"remove", NULL, 0},
	{"alias", "target", 0},
	{"enable", NULL, 0},
	{"disable", NULL, 0},
	{"suspend", NULL, 0},
	{"move", "to", 0},
};

struct words {
	char *list[WORDS_MAX];
	int count;
};

static int
no_memory(struct brimadm *a)
{
	return brimadm_refuse(a, TOOL_CANT, "no memory");
}

static const struct verb *
find_verb(const char *name)
{
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

/* The one command of the object, wherever it stands; alias is a field's name, too. */
static const struct verb *
choose_verb(struct brimadm *a, json_t *line)
{
	const struct verb *alias = NULL, *found = NULL, *v;
	const char *name;
	json_t *value;

	json_object_foreach(line, name, value)
	{
		v = find_verb(name);
		if (!v)
			continue;
		if (strcmp(name, "alias") == 0) {
			alias = v;
		} else if (found) {
			brimadm_refuse(a, TOOL_USAGE, "two commands in one line: %s, %s",
				found->name, name);
			return NULL;
		} else {
			found = v;
		}
	}
	if (!found && !alias)
		brimadm_refuse(a, TOOL_USAGE,
			"no command is in it: write {\"set\": ADDRESS, ...}");
	return found ? found : alias;
}

/* --- words ------------------------------------------------------------------------ */

/* Takes WORD over. */
static int
add_word(struct brimadm *a, struct words *w, char *word)
{
	if (!word)
		return no_memory(a);
	if (w->count == WORDS_MAX) {
		free(word);
		return brimadm_refuse(
			a, TOOL_USAGE, "more members than there are fields");
	}
	w->list[w->count++] = word;
	return TOOL_OK;
}

/* The member's text, read back from the form that names have in JSON: "NAME=" or nothing
 * in front. */
static int
add_text(struct brimadm *a, struct words *w, const char *before, const char *name,
	json_t *value)
{
	char *text, *word;

	if (!json_is_string(value))
		return brimadm_refuse(a, TOOL_USAGE, "\"%.40s\" must be text", name);
	text = strdup(json_string_value(value));
	if (!text)
		return no_memory(a);
	if (record_unescape(text)) {
		free(text);
		return brimadm_refuse(a, TOOL_USAGE,
			"\"%.40s\" has a bad %%XX: write a %% as %%25", name);
	}
	if (asprintf(&word, "%s%s%s", before, *before ? "=" : "", text) < 0)
		word = NULL;
	free(text);
	return add_word(a, w, word);
}

/* A number of bytes has no unit in JSON. */
static int
add_number(
	struct brimadm *a, struct words *w, const struct mailbox_field *f, json_int_t n)
{
	char *word;

	if (n < 0)
		return brimadm_refuse(a, TOOL_USAGE, "\"%s\" is below 0", f->name);
	if (asprintf(&word, "%s=%lld%s", f->name, (long long)n,
		    f->type == MAILBOX_FIELD_SIZE ? "B" : "") < 0)
		word = NULL;
	return add_word(a, w, word);
}

static int
add_field(struct brimadm *a, struct words *w, const char *name, json_t *value)
{
	const struct mailbox_field *f = mailbox_field(name);
	char *word;

	if (!f)
		return brimadm_refuse(
			a, TOOL_USAGE, "%s has no field \"%.40s\"", w->list[0], name);
	if (json_is_integer(value))
		return add_number(a, w, f, json_integer_value(value));
	if (!json_is_null(value) && !json_is_string(value))
		return brimadm_refuse(a, TOOL_USAGE,
			"\"%s\" must be text, a whole number, or null to take it out",
			name);
	if (json_is_string(value))
		return add_text(a, w, name, name, value);
	if (asprintf(&word, "%s=", name) < 0)
		word = NULL;
	return add_word(a, w, word);
}

/* The command, the address, then what else the command takes. */
static int
make_words(struct brimadm *a, const struct verb *v, json_t *line, struct words *w)
{
	int status = add_word(a, w, strdup(v->name));
	const char *name;
	json_t *value;

	if (!status)
		status = add_text(a, w, "", v->name, json_object_get(line, v->name));
	json_object_foreach(line, name, value)
	{
		if (status || strcmp(name, v->name) == 0)
			continue;
		if (v->target && strcmp(name, v->target) == 0)
			status = add_text(a, w, "", name, value);
		else if (v->has_fields)
			status = add_field(a, w, name, value);
		else
			status = brimadm_refuse(
				a, TOOL_USAGE, "%s takes no \"%.40s\"", v->name, name);
	}
	if (!status && v->target && !json_object_get(line, v->target))
		status = brimadm_refuse(
			a, TOOL_USAGE, "%s needs \"%s\"", v->name, v->target);
	return status;
}

int
brimadm_apply_json(struct brimadm *a, const char *text, size_t length)
{
	json_error_t error;
	json_t *line = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
	const struct verb *v;
	struct words w = {.count = 0};
	int status = TOOL_USAGE;

	if (!line && json_error_code(&error) == json_error_numeric_overflow)
		return brimadm_refuse(a, TOOL_USAGE,
			"a JSON number above 9223372036854775807 must be text: "
			"\"16383P\", or \"18446744073709551615B\"");
	if (!line)
		return brimadm_refuse(a, TOOL_USAGE,
			"not a JSON object in one line (as of jq -c): %.200s",
			error.text);
	v = choose_verb(a, line);
	if (v)
		status = make_words(a, v, line, &w);
	json_decref(line);
	if (!status)
		status = brimadm_apply_words(a, w.count, w.list);
	while (w.count)
		free(w.list[--w.count]);
	return status;
}
