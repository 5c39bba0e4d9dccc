/* Whose path and whose login is whose within one change. */
#include "change_paths.h"

#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "mailbox_record.h"

/* Whose the login is: in the index, or as the address of a mailbox. 1, 0, -1. */
static int
find_login(struct users_edit *e, const char *login, char *key, struct reason *why)
{
	struct record r;
	int found = users_edit_login_owner(e, login, key, why);

	if (found || address_key(key, login, NULL))
		return found;
	found = users_edit_get(e, key, &r, why);
	if (found > 0)
		found = mailbox_kind_of(&r) == MAILBOX_KIND_MAILBOX;
	record_clear(&r);
	return found;
}

/* A login leads to one mailbox: to whose record has it, or whose address it is. */
static enum change_result
check_login(struct users_edit *e, const struct record *r, struct reason *why)
{
	const char *login = record_get(r, "login");
	char owner[ADDRESS_MAX + 1];
	int taken = login ? find_login(e, login, owner, why) : 0;

	if (taken > 0 && strcmp(owner, r->key) != 0) {
		reason_set(why, "%.80s: login=%.80s is the login of %.80s", r->key, login,
			owner);
		return CHANGE_REFUSED;
	}
	if (taken >= 0)
		taken = users_edit_login_owner(e, r->key, owner, why);
	if (taken < 0)
		return CHANGE_FAILED;
	if (!taken || strcmp(owner, r->key) == 0)
		return CHANGE_OK;
	reason_set(why, "%.80s: %.80s has this as its login", r->key, owner);
	return CHANGE_REFUSED;
}

static enum change_result
check_place(struct users_edit *e, const struct record *r, struct reason *why)
{
	const char *path = record_get(r, "mail");
	char owner[ADDRESS_MAX + 1];
	int taken = users_edit_path_owner(e, path, owner, why);

	if (taken < 0)
		return CHANGE_FAILED;
	if (!taken || strcmp(owner, r->key) == 0)
		return check_login(e, r, why);
	reason_set(why, "%.80s: mail=%.80s is, holds or lies in the mailbox of %.80s",
		r->key, path, owner);
	return CHANGE_REFUSED;
}

static int
is_same(const struct record *a, const struct record *b, const char *field)
{
	const char *left = record_get(a, field), *right = record_get(b, field);

	return left == right || (left && right && strcmp(left, right) == 0);
}

/* Whether nothing has to be compared: with none waiting, its own are in the indexes. */
static int
keeps_all(const struct change_paths *p, const struct record *old, const struct record *r)
{
	return !record_get(r, "mail") ||
	       (!p->count && is_same(old, r, "mail") && is_same(old, r, "login"));
}

static enum change_result
put_to_wait(struct change_paths *p, struct users_edit *e, const struct record *r,
	struct reason *why)
{
	struct waiting_path *grown = p->waiting;

	/* room for a power of two at a time */
	if ((p->count & (p->count - 1)) == 0)
		grown = reallocarray(
			p->waiting, p->count ? 2 * p->count : 1, sizeof *grown);
	if (grown) {
		p->waiting = grown;
		grown[p->count] = (struct waiting_path){strdup(r->key), p->line};
	}
	if (grown && grown[p->count].key) {
		p->count++;
		return users_edit_put_unindexed(e, r, why) ? CHANGE_FAILED : CHANGE_OK;
	}
	reason_set(why, "no memory");
	return CHANGE_FAILED;
}

/* The old record is out while paths are compared, so that its own is not in the way. */
enum change_result
change_paths_put(struct change_paths *p, struct users_edit *e, const struct record *old,
	const struct record *r, struct reason *why)
{
	enum change_result result = CHANGE_OK;
	struct reason fault;

	if (!keeps_all(p, old, r)) {
		if (old->key && users_edit_remove(e, r->key, why) < 0)
			return CHANGE_FAILED;
		result = check_place(e, r, why);
	}
	if (result == CHANGE_REFUSED && p->may_wait)
		return put_to_wait(p, e, r, why);
	if (result == CHANGE_OK && users_edit_put(e, r, why))
		return CHANGE_FAILED;
	if (result && old->key && users_edit_put(e, old, &fault)) {
		*why = fault;
		return CHANGE_FAILED;
	}
	return result;
}

/* The record may have another path by now, or be gone. */
static enum change_result
settle(struct users_edit *e, const char *key, struct reason *why)
{
	struct record r;
	int found = users_edit_get(e, key, &r, why);
	enum change_result result = found < 0 ? CHANGE_FAILED : CHANGE_OK;

	if (found > 0 && record_get(&r, "mail"))
		result = check_place(e, &r, why);
	/* put anew, with its path, which may be in the index already */
	if (found > 0 && !result && users_edit_put(e, &r, why))
		result = CHANGE_FAILED;
	record_clear(&r);
	return result;
}

enum change_result
change_paths_settle(struct change_paths *p, struct users_edit *e, unsigned long *line,
	struct reason *why)
{
	for (size_t i = 0; i < p->count; i++) {
		enum change_result result = settle(e, p->waiting[i].key, why);

		if (result) {
			if (line)
				*line = p->waiting[i].line;
			return result;
		}
	}
	change_paths_clear(p);
	return CHANGE_OK;
}

void
change_paths_clear(struct change_paths *p)
{
	for (size_t i = 0; i < p->count; i++)
		free(p->waiting[i].key);
	free(p->waiting);
	p->waiting = NULL;
	p->count = 0;
}
