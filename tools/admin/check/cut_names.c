/*
 * check: mailboxes with a byte of Postfix's recipient_delimiter in their names. local(8),
 * and pipe(8) for ${user}, take what is behind it for an extension, and look for the rest
 * alone (split_addr(3) of Postfix).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "check.h"
#include "postfix/brim_side.h"
#include "postfix/names.h"

struct cutting {
	struct check *c;
	const char *delimiters;
	int whole; /* addresses, else accounts */
	FILE *to;  /* lines of names that are cut */
};

static int
begins(const char *name, size_t length, const char *with)
{
	return length >= strlen(with) && strncasecmp(name, with, strlen(with)) == 0;
}

static int
ends(const char *name, size_t length, const char *with)
{
	return length > strlen(with) &&
	       begins(name + length - strlen(with), strlen(with), with);
}

/* Whether Postfix takes a part of the local part off, which has that length. */
static int
is_cut(const struct cutting *k, const char *local, size_t length)
{
	const size_t user = strcspn(local, k->delimiters);

	if (user == 0 || user >= length)
		return 0;
	return !strchr(k->delimiters, '-') ||
	       !(begins(local, length, "owner-") || ends(local, length, "-request") ||
		       strncasecmp(local, "double-bounce", length) == 0);
}

static int
print_cut(void *arg, const struct record *r)
{
	struct cutting *k = arg;
	const char *at = address_domain_key(r->key), *state = record_get(r, "state");
	const size_t length = at ? (size_t)(at - r->key) : strlen(r->key);

	if (length && k->whole == (at != NULL) &&
		mailbox_kind_of(r) == MAILBOX_KIND_MAILBOX &&
		(!state || strcmp(state, "enabled") == 0) && is_cut(k, r->key, length))
		fprintf(k->to, "%s\n", r->key);
	return 0;
}

static void
print_key(void *arg, const char *key, const char *value)
{
	(void)value;
	fprintf(arg, "%s\n", key);
}

/* The names that are cut, a line each; NULL without memory. The caller frees them. */
static char *
cut_names(struct cutting *k)
{
	char *lines = NULL;
	size_t size;

	k->to = open_memstream(&lines, &size);
	if (!k->to)
		return NULL;
	users_each(k->c->users, "", print_cut, k, NULL);
	if (fclose(k->to) == 0)
		return lines;
	free(lines);
	return NULL;
}

/* Those of these accounts that have an alias, which comes before. */
static struct names
aliased_names(struct check *c, const char *cut)
{
	struct names n = {0};
	char *lines = NULL;
	size_t size;
	FILE *to = open_memstream(&lines, &size);

	if (!to)
		return n;
	names_of_maps(check_postfix_value(c, "alias_maps"), cut, print_key, to);
	if (fclose(to) == 0)
		names_of_lines(&n, lines);
	free(lines);
	return n;
}

static void
tell(struct cutting *k, const struct names *cut, const struct names *aliased,
	const struct postconf_service *s)
{
	const char *first = NULL;
	size_t count = 0;

	for (size_t i = 0; i < cut->count; i++) {
		if (names_have(aliased, cut->entries[i].name))
			continue;
		first = first ? first : cut->entries[i].name;
		count++;
	}
	if (first)
		check_found(k->c, CHECK_NAME_CUT, s->name,
			k->whole
				? "Give lda -d ${recipient} in its argv."
				: "Take that byte out of recipient_delimiter, of Postfix "
				  "and in brim.conf, or rename the accounts.",
			"recipient_delimiter is %s, and %s: %s", k->delimiters,
			AMOUNT_OF(count, "mailbox has one of it in its name",
				"mailboxes have one of it in their names"),
			first);
}

static void
check_service(struct check *c, const struct postconf_service *s, int whole)
{
	struct cutting k = {
		.c = c,
		.delimiters = postconf_for(&c->postfix, s, "recipient_delimiter"),
		.whole = whole,
	};
	struct names cut = {0}, aliased = {0};
	char *lines;

	if (brim_side_cuts_names(k.delimiters)) /* that is another finding */
		return;
	lines = cut_names(&k);
	if (lines && *lines) {
		if (!whole)
			aliased = aliased_names(c, lines);
		names_of_lines(&cut, lines);
		tell(&k, &cut, &aliased, s);
	}
	free(lines);
	names_free(&cut);
	names_free(&aliased);
}

/* Whether it gives lda the local part without its extension. */
static int
gives_user(const struct postconf_service *s)
{
	return strstr(s->arguments, "${user}") || strstr(s->arguments, "$(user)") ||
	       strstr(s->arguments, "$user");
}

void
check_cut_names(struct check *c)
{
	for (size_t i = 0; c->users && i < c->postfix.service_count; i++) {
		const struct postconf_service *s = &c->postfix.services[i];

		if (strcmp(s->command, "local") == 0 && c->command)
			check_service(c, s, 0);
		else if (strcmp(s->command, "pipe") == 0 && check_pipe_lda(c, s) &&
			 gives_user(s))
			check_service(c, s, 1);
	}
}
