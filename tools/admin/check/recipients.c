/*
 * check: the tables by which Postfix knows recipients against the user table. An address
 * that Brim alone has is refused before lda is asked, and one that Postfix alone has is
 * accepted and bounces. What can't be listed is asked for Brim's addresses alone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "amount.h"
#include "check.h"
#include "postfix/brim_side.h"
#include "postfix/names.h"

/* Tables that make another address of one, or take it elsewhere. */
static const char *const before[] = {"virtual_alias_maps", "canonical_maps",
	"recipient_canonical_maps", "transport_maps"};

struct recipients {
	struct check *c;
	const char *setting, *maps; /* NULL: any */
	check_recipients_in *in;
	const void *arg;
	FILE *to;                     /* lines of names */
	struct names listed, handled; /* by the maps; by what goes before them */
	size_t count;                 /* at fault */
	char *first;
};

/* Whether mail for the address is taken by these maps and comes to lda. In another form
 * than Postfix's it may be the same as another. */
static int
is_ours(const struct recipients *r, const char *address)
{
	const char *at = strrchr(address, '@'), *list;

	for (const char *p = address; *p; p++)
		if ((unsigned char)*p >= 0x80 || *p == ' ' || *p == '"')
			return 0;
	if (!at || at == address || !brim_side_is_domain(at + 1))
		return 0;
	list = r->in(r->arg, at + 1);
	return list && (!r->setting || strcmp(list, r->setting) == 0);
}

static int
has(const struct names *n, const char *address)
{
	return names_have(n, address) || names_have(n, strrchr(address, '@'));
}

static void
count(struct recipients *r, const char *address)
{
	if (r->count++ == 0)
		r->first = strdup(address);
}

/* --- reading ------------------------------------------------------------------------ */

/* The address that the record takes mail for; of a domain with a catch-all one that is
 * sure to be nobody's. NULL of any other domain. */
static const char *
address_of(struct recipients *r, const struct record *record)
{
	if (record->key[0] != '@')
		return record->key;
	return record_get(record, "catchall")
		       ? check_text(r->c, "brim-check-nobody%s", record->key)
		       : NULL;
}

static int
print_address(void *arg, const struct record *record)
{
	struct recipients *r = arg;
	const char *address = address_of(r, record);

	if (address && is_ours(r, address))
		fprintf(r->to, "%s\n%s\n", address, strrchr(address, '@'));
	return 0;
}

static void
print_key(void *arg, const char *key, const char *value)
{
	(void)value;
	fprintf(arg, "%s\n", key);
}

/* 0, or -1 where a map can't be read. */
static int
read_maps(struct names *n, const char *maps, const char *asked)
{
	char *lines = NULL;
	size_t size;
	FILE *to = open_memstream(&lines, &size);
	int result = to ? names_of_maps(maps, asked, print_key, to) : -1;

	if (to && (fclose(to) || names_of_lines(n, lines)))
		result = -1;
	free(lines);
	return result;
}

/* Brim's addresses that these maps are asked for, one a line; NULL without memory. */
static char *
addresses(struct recipients *r)
{
	char *lines = NULL;
	size_t size;

	r->to = open_memstream(&lines, &size);
	if (!r->to)
		return NULL;
	users_each(r->c->users, "", print_address, r, NULL);
	if (fclose(r->to) == 0)
		return lines;
	free(lines);
	return NULL;
}

/* --- findings ----------------------------------------------------------------------- */

/* An address of the table that neither has; with an extension Postfix looks further. */
static int
look_at_record(void *arg, const struct record *record)
{
	struct recipients *r = arg;
	const char *delimiters = check_postfix_value(r->c, "recipient_delimiter"),
		   *state = record_get(record, "state"), *address = address_of(r, record);

	if (!address || !is_ours(r, address) ||
		strcspn(record->key, delimiters) < strcspn(record->key, "@") ||
		(state && strcmp(state, "enabled") != 0))
		return 0;
	if (!has(&r->listed, address) && !has(&r->handled, address))
		count(r, record->key);
	return 0;
}

static void
check_unlisted(struct recipients *r)
{
	struct check *c = r->c;

	if (strcmp(check_postfix_value(c, "smtpd_reject_unlisted_recipient"), "no") == 0)
		return;
	users_each(c->users, "", look_at_record, r, NULL);
	if (r->count)
		check_found(c, CHECK_RECIPIENT_UNLISTED, r->setting,
			check_text(c,
				"Add them there, or let Postfix ask Brim as well: %s "
				"postfix --apply maps .",
				check_brimadm(c)),
			"%s not in it: %s",
			AMOUNT_OF(r->count, "address of the user table is",
				"addresses of the user table are"),
			r->first ? r->first : "one");
}

/* Counts an address that comes to lda and that nobody has. */
static void
look_at_address(struct recipients *r, const char *address)
{
	struct mailbox m;
	struct outcome o;

	if (!is_ours(r, address) || has(&r->handled, address))
		return;
	if (mailbox_find(&m, r->c->users, &r->c->a->conf, address, &o) == 0)
		mailbox_clear(&m);
	else if (o.verdict == VERDICT_NO_SUCH_USER)
		count(r, address);
}

static void
check_nobody(struct recipients *r)
{
	struct check *c = r->c;

	for (size_t i = 0; i < r->listed.count; i++)
		look_at_address(r, r->listed.entries[i].name);
	if (r->count)
		check_found(c, CHECK_RECIPIENT_NOBODY, r->setting,
			check_text(c,
				"Give them records (%s add %s ...), or take them out "
				"there.",
				check_brimadm(c), r->first ? r->first : "ADDRESS"),
			"%s in it and not in the user table: %s",
			AMOUNT_OF(r->count, "address is", "addresses are"),
			r->first ? r->first : "one");
}

static void
reset(struct recipients *r)
{
	free(r->first);
	r->first = NULL;
	r->count = 0;
}

/* "bob@example.org, ann@example.org" */
static void
take_targets(void *arg, const char *key, const char *value)
{
	struct recipients *r = arg;
	char *targets = strdup(value), *p = targets, *target;

	(void)key;
	while (p && (target = strsep(&p, ", \t")))
		look_at_address(r, target);
	free(targets);
}

/* Where Postfix finds further recipients. canonical_maps has addresses for senders, too,
 * which may be nobody's on purpose. */
static const char *const sources[] = {"virtual_alias_maps", "alias_maps",
	"recipient_canonical_maps", "recipient_bcc_maps", "sender_bcc_maps"};

static void
tell_targets(struct recipients *r, const char *setting)
{
	struct check *c = r->c;

	if (r->count)
		check_found(c, CHECK_RECIPIENT_NOBODY, setting,
			check_text(c,
				"Give it a record (%s add %s ...), or another "
				"target there.",
				check_brimadm(c), r->first ? r->first : "ADDRESS"),
			"%s not in the user table: %s",
			AMOUNT_OF(r->count, "target is", "targets are"),
			r->first ? r->first : "one");
	reset(r);
}

void
check_targets(struct check *c, check_recipients_in *in, const void *arg)
{
	struct recipients r = {.c = c, .in = in, .arg = arg};
	char *asked = addresses(&r);

	for (size_t i = 0; asked && i < sizeof before / sizeof *before; i++)
		read_maps(&r.handled, check_postfix_value(c, before[i]), asked);
	for (size_t i = 0; asked && i < sizeof sources / sizeof *sources; i++) {
		names_of_maps(
			check_postfix_value(c, sources[i]), asked, take_targets, &r);
		tell_targets(&r, sources[i]);
	}
	if (asked)
		take_targets(&r, NULL, check_postfix_value(c, "always_bcc"));
	tell_targets(&r, "always_bcc");
	names_free(&r.handled);
	free(asked);
}

void
check_recipients(
	struct check *c, const char *setting, check_recipients_in *in, const void *arg)
{
	struct recipients r = {.c = c, .setting = setting, .in = in, .arg = arg};
	char *asked;
	int partial;

	r.maps = check_postfix_value(c, setting);
	if (!*r.maps) /* all recipients are taken */
		return;
	asked = addresses(&r);
	if (!asked)
		return;
	partial = read_maps(&r.listed, r.maps, asked);
	for (size_t i = 0; i < sizeof before / sizeof *before; i++)
		partial |=
			read_maps(&r.handled, check_postfix_value(c, before[i]), asked);
	if (!partial) {
		check_unlisted(&r);
		reset(&r);
		check_nobody(&r);
		reset(&r);
	}
	names_free(&r.listed);
	names_free(&r.handled);
	free(asked);
}
