/* The index of logins: keys between the paths and the table's own record. */
#include "login_index.h"

#include <stdlib.h>
#include <string.h>

#include "index_entry.h"
#include "mailbox_record.h"

#define MARK      '='
#define KEY_BYTES (ADDRESS_MAX + 3) /* \001, the mark, the login, NUL */

int
login_index_key(char *key, const char *login)
{
	return login[0] == '@' || address_key(key, login, NULL) ? -1 : 0;
}

int
login_index_is_entry(const void *key, size_t size)
{
	const char *bytes = key;

	return size > 2 && bytes[0] == users_key_first[0] && bytes[1] == MARK;
}

/* Its size. */
static size_t
entry_of(char entry[KEY_BYTES], const char *login)
{
	entry[0] = users_key_first[0];
	entry[1] = MARK;
	return (size_t)(stpcpy(entry + 2, login) - entry);
}

/* The entry that the record has; 0 where it has none. */
static size_t
entry_of_record(char entry[KEY_BYTES], const struct record *r)
{
	const char *login = record_get(r, "login");
	char key[ADDRESS_MAX + 1];

	if (!login || mailbox_kind_of(r) != MAILBOX_KIND_MAILBOX ||
		login_index_key(key, login))
		return 0;
	return entry_of(entry, key);
}

int
login_index_find(struct users *u, const char *login, char *owner, struct reason *why)
{
	char entry[KEY_BYTES];
	size_t size = entry_of(entry, login);
	DBT found, value;
	int hit = users_seek(u, entry, size, &found, &value, why);

	return hit > 0 ? index_entry_owner(u, &value, owner, why) : hit;
}

/* Whether the record is a mailbox's that has this login. */
static int
has_login(const struct record *r, const char *login)
{
	const char *own = record_get(r, "login");
	char key[ADDRESS_MAX + 1];

	return own && mailbox_kind_of(r) == MAILBOX_KIND_MAILBOX &&
	       login_index_key(key, own) == 0 && strcmp(key, login) == 0;
}

/* The entry may be out of date where an older brimadm has changed the table since. */
int
users_login(struct users *u, const char *login, char *key, struct reason *why)
{
	char canonical[ADDRESS_MAX + 1];
	struct record r;
	int hit;

	if (login_index_key(canonical, login))
		return 0;
	hit = login_index_find(u, canonical, key, why);
	if (hit <= 0)
		return hit;
	hit = users_get(u, key, &r, why);
	if (hit > 0)
		hit = has_login(&r, canonical);
	record_clear(&r);
	return hit;
}

int
login_index_put(struct users *u, const struct record *r, struct reason *why)
{
	char entry[KEY_BYTES];
	size_t size = entry_of_record(entry, r);

	return size ? users_db_put(u, entry, size, r->key, why) : 0;
}

int
login_index_remove(struct users *u, const struct record *r, struct reason *why)
{
	char entry[KEY_BYTES];
	size_t size = entry_of_record(entry, r);

	return size ? index_entry_remove_own(u, entry, size, r->key, why) : 0;
}

void
login_index_count(struct totals *t, const struct record *r)
{
	char entry[KEY_BYTES];
	size_t size = entry_of_record(entry, r);

	if (size)
		totals_add(t, entry, size, r->key, strlen(r->key));
}

/* --- made anew -------------------------------------------------------------------- */

/* Whether the table's own record says how many there are: 1, 0, -1. */
static int
is_kept(struct users *u, struct reason *why)
{
	DBT found, value;
	struct record r;
	int hit = users_db_seek(u, users_key_table, 1, &found, &value, why);

	if (hit <= 0 || record_parse(&r, value.data, value.size, 0, NULL))
		return hit < 0 ? -1 : 0;
	hit = record_get(&r, "logins") != NULL;
	record_clear(&r);
	return hit;
}

static int
remove_all(struct users *u, struct reason *why)
{
	const char first[] = {users_key_first[0], MARK};
	char entry[KEY_BYTES];
	DBT found, value;

	while (users_db_seek(u, first, sizeof first, &found, &value, why) >= 0) {
		size_t size = found.size;

		if (!login_index_is_entry(found.data, size) || size > sizeof entry)
			return 0;
		memcpy(entry, found.data, size);
		if (users_db_remove(u, entry, size, why) < 0)
			return -1;
	}
	return -1;
}

/* Records that have a login, as far as the index needs them. */
struct logins {
	struct record *list;
	size_t count, room;
};

static int
collect(void *arg, const struct record *r)
{
	struct logins *l = arg;
	char entry[KEY_BYTES];

	if (!entry_of_record(entry, r))
		return 0;
	if (l->count == l->room) {
		size_t room = l->room ? 2 * l->room : 64;
		struct record *grown = reallocarray(l->list, room, sizeof *grown);

		if (!grown)
			return 1;
		l->list = grown;
		l->room = room;
	}
	l->list[l->count] = (struct record){0};
	return record_copy(&l->list[l->count++], r) ? 1 : 0;
}

int
login_index_renew(struct users *u, struct reason *why)
{
	static const char *const words[] = {"login=", NULL};
	struct logins l = {0};
	int result = is_kept(u, why);

	if (result)
		return result < 0 ? -1 : 0;
	if (remove_all(u, why))
		return -1;
	result = users_each_with(u, "", words, collect, &l, why);
	if (result > 0)
		result = reason_no_memory(why, u->path);
	for (size_t i = 0; i < l.count; i++) {
		if (!result)
			result = login_index_put(u, &l.list[i], why);
		record_clear(&l.list[i]);
	}
	free(l.list);
	return result ? -1 : 0;
}
