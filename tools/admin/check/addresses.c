/*
 * check: keys of the table that no MTA delivers to, and those in the form of an older
 * brimadm, which folded ASCII letters alone: lda finds them as they stand, and in no
 * other case of their letters. And names in local_domains that are no domains.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address_name.h"
#include "check.h"

#define NAMED 5 /* of the older ones */

struct keys {
	struct check *check;
	FILE *names;
	size_t older;
};

static int
look(void *arg, const struct record *r)
{
	struct keys *k = arg;
	struct check *c = k->check;
	char key[ADDRESS_MAX + 1], *shown = NULL;
	struct reason why;

	if (address_name(key, r->key, &why)) {
		check_found(c, CHECK_ADDRESS, r->key,
			check_text(c, "%s remove %s", check_brimadm(c),
				check_quote(c, r->key)),
			"%s", why.text);
	} else if (strcmp(key, r->key) != 0 && k->older++ < NAMED) {
		shown = record_escape(r->key);
		fprintf(k->names, "%s%s", k->older > 1 ? ", " : "", shown ? shown : "");
	}
	free(shown);
	return 0;
}

void
check_addresses(struct check *c)
{
	char *names = NULL;
	size_t size;
	struct keys k = {.check = c, .names = open_memstream(&names, &size)};
	const char *brimadm = check_brimadm(c);

	if (!k.names) {
		c->failed = 1;
		return;
	}
	users_each(c->users, "", look, &k, NULL); /* damage is another step's to tell */
	if (fclose(k.names))
		c->failed = 1;
	else if (k.older)
		check_found(c, CHECK_ADDRESS_OLDER, c->a->conf.users_db,
			check_text(c, "%s dump >FILE && %s load --replace FILE", brimadm,
				brimadm),
			"%s%s: %s in the form of an older brimadm", names,
			k.older > NAMED ? ", ..." : "",
			k.older == 1 ? "this is an address" : "these are addresses");
	free(names);
}

/* Whether an address may have the domain: numbers alone are an older form of a literal.
 */
static int
is_domain(const char *name)
{
	char text[ADDRESS_MAX + 1], key[ADDRESS_MAX + 1];
	struct reason why;

	if (name[strspn(name, "0123456789.")] == '\0' && *name)
		return 1;
	return !strpbrk(name, "@\"") &&
	       snprintf(text, sizeof text, "x@%s", name) < (int)sizeof text &&
	       address_name(key, text, &why) == 0;
}

/* The domain that was meant: without quotes, the @ or dot of a pattern, a dot at its end.
 * NULL where that can't be known. */
static const char *
meant(struct check *c, const char *name)
{
	const char *first = name + strspn(name, "@.\"");
	size_t n = strlen(first);

	while (n && strchr(".\"", first[n - 1]))
		n--;
	first = check_text(c, "%.*s", (int)n, first);
	return is_domain(first) ? first : NULL;
}

/* The list with the domains that were meant; NULL where one is not known. */
static const char *
right_list(struct check *c)
{
	const char *list = c->a->conf.local_domains, *right = "", *one;
	char *name, *escaped;

	while (right && (name = conf_list_next(&list))) {
		one = is_domain(name) ? name : meant(c, name);
		escaped = one ? record_escape(one) : NULL;
		right = escaped ? check_text(
					  c, "%s%s%s", right, *right ? " " : "", escaped)
				: NULL;
		free(escaped);
		free(name);
	}
	return right;
}

void
check_local_names(struct check *c)
{
	static const char setting[] = "local_domains";
	const char *list = c->a->conf.local_domains, *right = right_list(c);
	char *name;

	while ((name = conf_list_next(&list))) {
		if (!is_domain(name))
			check_found(c, CHECK_LOCAL_DOMAIN, name,
				right ? check_text(c, "%s%s",
						check_setting(c, setting, right),
						check_reload(c))
				      : "Write the domains themselves there: Brim reads "
					"no "
					"tables, patterns or $names.",
				"%s has it, which is no domain", setting);
		free(name);
	}
}
