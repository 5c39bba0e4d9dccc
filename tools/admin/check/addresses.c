/*
 * check: keys of the table that no MTA delivers to, and those in the form of an older
 * brimadm, which folded ASCII letters alone: lda finds them as they stand, and in no
 * other case of their letters.
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
