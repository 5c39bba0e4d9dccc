/* The lists are taken apart as smtpd does (src/smtpd/smtpd_check.c): blanks and commas
 * between, blanks within braces are the word's own. */
#include "restrictions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "names.h"

#define BLANKS    " ,\t\r\n"
#define DEPTH_MAX 5 /* of classes in classes */

/* --- reading ------------------------------------------------------------------------ */

static int
add(struct restrictions *r, char *word, const char *setting)
{
	size_t room = r->room ? 2 * r->room : 32;
	struct restriction *more;

	if (word && r->count == r->room) {
		more = realloc(r->list, room * sizeof *more);
		if (!more) {
			free(word);
			return -1;
		}
		r->list = more;
		r->room = room;
	}
	if (!word)
		return -1;
	r->list[r->count++] = (struct restriction){word, setting};
	return 0;
}

static int
read_list(struct restrictions *r, const struct postconf *p,
	const struct postconf_service *s, const char *setting, int depth)
{
	const char *classes = postconf_for(p, s, "smtpd_restriction_classes");
	int result = 0;
	size_t n;

	for (const char *at = postconf_for(p, s, setting);
		result == 0 && (at = names_next(at, &n), n); at += n) {
		char *word = strndup(at, n);

		if (word && depth < DEPTH_MAX && restrictions_have(classes, word)) {
			/* a setting's name lives as long as the settings */
			const char *class = postconf_name(p, word);

			free(word);
			if (class)
				result = read_list(r, p, s, class, depth + 1);
		} else {
			result = add(r, word, setting);
		}
	}
	return result;
}

int
restrictions_read(struct restrictions *r, const struct postconf *p,
	const struct postconf_service *s, const char *name)
{
	return read_list(r, p, s, name, 0);
}

void
restrictions_free(struct restrictions *r)
{
	for (size_t i = 0; i < r->count; i++)
		free(r->list[i].word);
	free(r->list);
	memset(r, 0, sizeof *r);
}

int
restrictions_guards(const char *word)
{
	return strcasecmp(word, "reject_unauth_destination") == 0 ||
	       strcasecmp(word, "defer_unauth_destination") == 0;
}

int
restrictions_have(const char *list, const char *word)
{
	size_t n, length = strlen(word);

	for (; (list = names_next(list, &n), n); list += n)
		if (n == length && strncasecmp(list, word, n) == 0)
			return 1;
	return 0;
}

/* --- changing a list ---------------------------------------------------------------- */

static int
is_one_of(const char *word, size_t length, const char *const *words)
{
	for (; *words; words++)
		if (strlen(*words) == length && strncasecmp(*words, word, length) == 0)
			return 1;
	return 0;
}

int
restrictions_pass(const char *word)
{
	static const char *const passing[] = {
		"permit_auth_destination", "permit_mx_backup", NULL};

	return is_one_of(word, strlen(word), passing);
}

/* Whether the word ends every list: what is behind it is never asked. */
static int
ends_all(const char *word)
{
	static const char *const ends[] = {"permit", "reject", "defer", NULL};

	return is_one_of(word, strlen(word), ends);
}

/* Where the words go: before what lets this host's own domains pass, else behind the
 * guard, else before what ends the list, else the end. What stands behind warn_if_reject
 * guards nothing. */
static const char *
find_place(const char *list)
{
	const char *pass = NULL, *at = list;
	int is_warning = 0;
	size_t n;

	for (; (at = names_next(at, &n), n); at += n) {
		char word[64] = "";

		if (n < sizeof word)
			memcpy(word, at, n);
		if (restrictions_guards(word) && !is_warning)
			return pass ? pass : at + n;
		if (!pass && restrictions_pass(word))
			pass = at;
		if (ends_all(word) && !is_warning)
			return pass ? pass : at;
		is_warning = strcasecmp(word, "warn_if_reject") == 0;
	}
	return pass ? pass : list + strlen(list);
}

/* Whether the place is within a parameter, such as $mua_recipient_restrictions, that the
 * list names: what is behind that would not be asked. */
static int
hides_place(const char *list, const char *meant)
{
	return strchr(list, '$') && find_place(list)[0] == '\0' &&
	       find_place(meant)[0] != '\0';
}

char *
restrictions_place(const char *list, const char *meant, const char *argument, int first)
{
	const char *from = !first && hides_place(list, meant) ? meant : list;
	const char *at = first ? from : find_place(from);
	const char *before = at, *behind = at + strspn(at, BLANKS);
	char *text;

	while (before > from && strchr(BLANKS, before[-1]))
		before--;
	return asprintf(&text, "%.*s%s" RESTRICTIONS_POLICY " %s%s%s",
		       (int)(before - from), from, before > from ? ", " : "", argument,
		       *behind ? ", " : "", behind) < 0
		       ? NULL
		       : text;
}

char *
restrictions_replace(const char *list, const char *old, const char *new, int last)
{
	const char *found = NULL, *before = NULL, *behind, *at = list, *previous = list;
	size_t n, length = strlen(old);
	char *text;

	for (; (at = names_next(at, &n), n) && (last || !found); at += n) {
		if (n == length && strncmp(at, old, n) == 0) {
			found = at;
			before = previous;
		}
		previous = at;
	}
	if (!found)
		return strdup(list);
	behind = found + length;
	if (!new) {
		found = before;
		behind += strspn(behind, BLANKS);
		while (!*behind && found > list && strchr(BLANKS, found[-1]))
			found--;
	}
	return asprintf(&text, "%.*s%s%s", (int)(found - list), list, new ? new : "",
		       behind) < 0
		       ? NULL
		       : text;
}

char *
restrictions_compact(const char *list)
{
	char *text = malloc(strlen(list) + 1), *to = text;
	int depth = 0;

	for (; text && *list; list++) {
		depth += (*list == '{') - (*list == '}');
		if (!strchr(BLANKS, *list)) {
			if (*list == '}' && to > text && to[-1] == ',')
				to--;
			*to++ = *list;
		} else if (depth > 1 && *list != ',') {
			free(text);
			return NULL;
		} else if (to > text && to[-1] != ',' && to[-1] != '{') {
			*to++ = ',';
		}
	}
	while (text && to > text && to[-1] == ',')
		to--;
	if (text)
		*to = '\0';
	return text;
}

/* --- the argument ------------------------------------------------------------------- */

/* What is within the braces, without blanks at its ends; the text itself without braces.
 */
static char *
unbraced(const char *text, size_t length)
{
	if (length >= 2 && text[0] == '{' && text[length - 1] == '}') {
		text++;
		length -= 2;
	}
	while (length && strchr(BLANKS, *text)) {
		text++;
		length--;
	}
	while (length && strchr(BLANKS, text[length - 1]))
		length--;
	return strndup(text, length);
}

char *
policy_endpoint(const char *argument)
{
	char *inner = unbraced(argument, strlen(argument)), *endpoint;
	const char *at;
	size_t n;

	if (!inner)
		return NULL;
	at = names_next(inner, &n);
	endpoint = strndup(at, n);
	free(inner);
	return endpoint;
}

/* Whether the attribute, "NAME = VALUE" or "{ NAME = VALUE }", has that name; its value
 * then. */
static char *
value_of(const char *attribute, size_t length, const char *name)
{
	char *inner = unbraced(attribute, length), *value = NULL;
	size_t n = strlen(name);

	if (inner && strncmp(inner, name, n) == 0) {
		const char *equals = inner + n + strspn(inner + n, BLANKS);

		if (*equals == '=')
			value = unbraced(equals + 1, strlen(equals + 1));
	}
	free(inner);
	return value;
}

char *
policy_attribute(const char *argument, const char *name)
{
	char *inner = unbraced(argument, strlen(argument)), *value = NULL;
	const char *at = inner;
	size_t n;

	if (inner && argument[0] == '{')
		for (at = names_next(at, &n), at += n; (at = names_next(at, &n), n);
			at += n) {
			char *found = value_of(at, n, name);

			if (found) { /* the last one counts */
				free(value);
				value = found;
			}
		}
	free(inner);
	return value;
}

static int
is_of_safety(const char *attribute, size_t length)
{
	static const char *const names[] = {"default_action", "timeout", "try_limit"};
	int found = 0;

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		char *value = value_of(attribute, length, names[i]);

		found |= value != NULL;
		free(value);
	}
	return found;
}

static void
print_argument(FILE *to, const char *inner, const char *endpoint, int safe)
{
	const char *at;
	size_t n;

	at = names_next(inner, &n);
	if (endpoint)
		fprintf(to, "{ %s", endpoint);
	else
		fprintf(to, "{ %.*s", (int)n, at);
	for (at += n; (at = names_next(at, &n), n); at += n)
		if (!safe || !is_of_safety(at, n))
			fprintf(to, ", %.*s", (int)n, at);
	if (safe)
		fputs(", default_action=" RESTRICTIONS_ACTION
		      ", timeout=" RESTRICTIONS_TIMEOUT ", try_limit=" RESTRICTIONS_TRIES,
			to);
	fputs(" }", to);
}

char *
policy_argument(const char *argument, const char *endpoint, int safe)
{
	char *inner = unbraced(argument, strlen(argument)), *text = NULL;
	size_t size;
	FILE *to;

	if (!inner)
		return NULL;
	if (argument[0] != '{' && !safe) {
		free(inner);
		return strdup(endpoint ? endpoint : argument);
	}
	to = open_memstream(&text, &size);
	if (to) {
		print_argument(to, inner, endpoint, safe);
		if (fclose(to)) {
			free(text);
			text = NULL;
		}
	}
	free(inner);
	return text;
}
