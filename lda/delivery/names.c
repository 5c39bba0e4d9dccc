/* What an MTA's environment stands for, and what it cut off. */
#include "names.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Postfix's default; a narrower one only means that an alias is told by
 * ORIGINAL_RECIPIENT.
 */
static const char uncensored[] = "1234567890!@%-_=+:,./"
				 "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/* Exim censors nothing. */
int
names_may_hide(const struct envelope *e)
{
	return e->mta > MTA_OPTION && e->mta != MTA_EXIM && strpbrk(e->address, "_:");
}

/* Byte by byte; ANY: a '_' stands for whatever it may be. */
static int
fits(const char *told, const char *exact, size_t length, int any)
{
	if (strlen(told) != length)
		return 0;
	for (; length; told++, exact++, length--) {
		if (tolower((unsigned char)*told) == tolower((unsigned char)*exact))
			continue;
		if (*told == ':' && *exact == '/')
			continue;
		if (*told != '_' || (!any && strchr(uncensored, *exact)))
			return 0;
	}
	return 1;
}

int
names_is_hidden(const struct envelope *e, const char *exact)
{
	return e->mta != MTA_EXIM && exact[0] &&
	       fits(e->address, exact, strlen(exact), 0);
}

int
names_is_mtas(const struct envelope *e, const char *top)
{
	if (e->mta == MTA_EXIM || !top[0])
		return 0;
	return names_is_hidden(e, top) ||
	       (e->original && fits(e->original, top, strlen(top), 1));
}

/* --- the list --------------------------------------------------------------------- */

struct list {
	char **names;
	size_t count;
	const struct envelope *e;
	int failed;
};

/* Takes over the name, unless there is one or it is there already. */
static void
add(struct list *l, char *name)
{
	int known = !name || !name[0] || l->count == RECIPIENT_NAMES ||
		    strcmp(name, l->e->recipient) == 0;

	for (size_t i = 0; i < l->count && !known; i++)
		known = strcmp(name, l->names[i]) == 0;
	if (known)
		free(name);
	else
		l->names[l->count++] = name;
}

static char *
join(struct list *l, const char *first, const char *second)
{
	char *name = NULL;

	if (first && second && asprintf(&name, "%s%s", first, second) < 0) {
		l->failed = 1;
		return NULL;
	}
	return name;
}

/* The address less its extension; NULL where it does not end in that one. Exim tells it
 * with its delimiter, the others without. */
static char *
cut(struct list *l, const char *address)
{
	const char *extension = l->e->extension, *at = address_domain_key(address);
	const size_t local = at ? (size_t)(at - address) : strlen(address);
	const size_t tail = extension ? strlen(extension) : 0;
	const size_t lost = tail + (l->e->mta != MTA_EXIM);
	char *name = NULL;

	if (!tail || local <= lost || !fits(extension, address + local - tail, tail, 1))
		return NULL;
	if (asprintf(&name, "%.*s%s", (int)(local - lost), address, at ? at : "") < 0) {
		l->failed = 1;
		return NULL;
	}
	return name;
}

int
names_list(char *names[RECIPIENT_NAMES], const struct envelope *e, const char *top)
{
	struct list l = {.names = names, .e = e};
	const char *exact = names_is_hidden(e, top) ? top : e->address;
	char *shorter = cut(&l, exact);

	add(&l, join(&l, e->address, ""));
	add(&l, join(&l, exact, ""));
	add(&l, join(&l, shorter, ""));
	add(&l, join(&l, e->prefix, exact));
	add(&l, join(&l, e->prefix, shorter));
	add(&l, join(&l, e->account, ""));
	add(&l, join(&l, names_is_mtas(e, top) ? top : e->original, ""));
	free(shorter);
	return l.failed ? -1 : 0;
}
