/* What somebody has written, as a key of a table that may have older ones. */
#include "names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address_name.h"

/* 1 if the table has the key, 0, -1. */
static int
has(const struct names_table *t, const char *key, struct reason *why)
{
	struct record r;
	int found = t->get(t->table, key, &r, why);

	record_clear(&r);
	return found;
}

enum change_result
names_find(const struct names_table *t, char *key, const char *text, struct reason *why)
{
	char older[ADDRESS_MAX + 1];
	struct reason fault;
	int bad = address_name(key, text, why), found;

	if (address_key_older(older, text, &fault) || (!bad && strcmp(older, key) == 0))
		return bad ? CHANGE_REFUSED : CHANGE_OK;
	found = has(t, older, &fault);
	if (found < 0) {
		*why = fault;
		return CHANGE_FAILED;
	}
	if (found)
		strcpy(key, older);
	return bad && !found ? CHANGE_REFUSED : CHANGE_OK;
}

int
names_has(const struct names_table *t, const char *key, struct reason *why)
{
	char name[ADDRESS_MAX + 1];
	int found = has(t, key, why);

	if (found || address_name(name, key, NULL) || strcmp(name, key) == 0)
		return found;
	return has(t, name, why);
}

enum change_result
names_check_domain(const struct names_table *t, const char *domain, struct reason *why)
{
	char *written = address_written(domain);
	int found = written ? has(t, written, why) : 0;

	if (found > 0)
		reason_set(why,
			"the table has the domain %.100s in the form of an older "
			"brimadm: brimadm dump >FILE && brimadm load --replace FILE "
			"makes it new",
			domain + 1);
	free(written);
	return found < 0 ? CHANGE_FAILED : found ? CHANGE_REFUSED : CHANGE_OK;
}

static int
get_user(void *table, const char *key, struct record *r, struct reason *why)
{
	return users_get(table, key, r, why);
}

enum change_result
users_name(struct users *u, char *key, const char *text, struct reason *why)
{
	return names_find(
		&(struct names_table){.get = get_user, .table = u}, key, text, why);
}
