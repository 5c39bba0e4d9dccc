/* A mailbox from its record, its domain's, and the settings. */
#include "mailbox.h"

#include <stdlib.h>
#include <string.h>

#include "amount.h"
#include "privileges.h"
#include "siphash.h"

/* The record that sets the field: the mailbox's, its domain's, or none. */
static const struct record *
setter(const struct record *r, const struct record *domain, const char *name)
{
	if (record_get(r, name))
		return r;
	return domain && record_get(domain, name) ? domain : NULL;
}

static int
fill_limit(const struct record *r, const struct record *domain, const char *name,
	uint64_t fallback, uint64_t *n, struct reason *why)
{
	const struct record *from = setter(r, domain, name);

	*n = fallback;
	if (from && record_number(from, name, 0, n))
		return reason_set(
			why, "the record of %.100s: %s is not a number", from->key, name);
	return 0;
}

static int
fill_limits(struct mailbox *m, const struct record *r, const struct record *domain,
	const struct conf *c, struct reason *why)
{
	const struct record *from = setter(r, domain, "over_quota");

	m->over_quota = c->over_quota;
	if (from && conf_over_quota(record_get(from, "over_quota"), &m->over_quota, NULL))
		return reason_set(why, "the record of %.100s: over_quota makes no sense",
			from->key);
	from = setter(r, domain, "smtp_full");
	m->smtp_full_waits = c->smtp_full_waits;
	if (from &&
		conf_smtp_full(record_get(from, "smtp_full"), &m->smtp_full_waits, NULL))
		return reason_set(
			why, "the record of %.100s: smtp_full makes no sense", from->key);
	return fill_limit(r, domain, "quota", c->quota, &m->quota, why) ||
			       fill_limit(r, domain, "messages", 0, &m->messages, why)
		       ? -1
		       : 0;
}

static int
fill_state(struct mailbox *m, const struct record *r, struct reason *why)
{
	const char *state = record_get(r, "state"), *to = record_get(r, "moved_to");

	m->state = MAILBOX_ENABLED;
	if (state && mailbox_read_state(state, &m->state, why))
		return -1;
	if (m->state != MAILBOX_MOVED || !to)
		return 0;
	m->moved_to = strdup(to);
	return m->moved_to ? 0 : reason_set(why, "no memory");
}

static int
fill_owner(struct mailbox *m, const struct record *r, const struct conf *c,
	struct reason *why)
{
	uint64_t uid, gid;

	if (record_number(r, "uid", 0, &uid) || record_number(r, "gid", 0, &gid))
		return reason_set(
			why, "the record of %.100s: uid or gid is no number", r->key);
	if (uid < c->min_uid || uid >= UINT32_MAX || uid == UID_NOBODY)
		return reason_set(why, "the record of %.100s: uid %llu (min_uid is %llu)",
			r->key, (unsigned long long)uid, (unsigned long long)c->min_uid);
	if (gid == 0 || gid >= UINT32_MAX || gid == UID_NOBODY)
		return reason_set(why, "the record of %.100s: gid %llu", r->key,
			(unsigned long long)gid);
	m->uid = (uid_t)uid;
	m->gid = (gid_t)gid;
	return 0;
}

static int
fill_path(struct mailbox *m, const struct record *r, struct reason *why)
{
	const char *path = record_get(r, "mail");
	struct reason fault;

	if (!path)
		return reason_set(why, "the record of %.100s has no mail=", r->key);
	if (mailbox_check_value(MAILBOX_FIELD_PATH, path, &fault))
		return reason_set(
			why, "the record of %.100s: mail: %.180s", r->key, fault.text);
	m->path = strdup(path);
	return m->path ? 0 : reason_set(why, "no memory");
}

int
mailbox_from_record(struct mailbox *m, const struct record *r,
	const struct record *domain, const struct conf *c, struct reason *why)
{
	size_t length = strlen(r->key);

	memset(m, 0, sizeof *m);
	if (length > ADDRESS_MAX)
		return reason_set(why, "the key %.60s... is too long", r->key);
	memcpy(m->key, r->key, length + 1);
	if (fill_owner(m, r, c, why) == 0 && fill_path(m, r, why) == 0 &&
		fill_limits(m, r, domain, c, why) == 0 && fill_state(m, r, why) == 0)
		return 0;
	mailbox_clear(m);
	return -1;
}

void
mailbox_clear(struct mailbox *m)
{
	free(m->path);
	free(m->moved_to);
	memset(m, 0, sizeof *m);
}

/* "uid path", under a key that every program has: "Brim mailbox, v1". */
uint64_t
mailbox_place(const char *path, uint64_t uid)
{
	static const struct siphash_key key = {0x69616d206d697242, 0x3176202c786f626c};
	char text[AMOUNT_SIZE + 1 + RECORD_LINE_MAX];
	char *end = stpcpy(amount_put(text, uid), " ");
	const size_t length = strnlen(path, RECORD_LINE_MAX);

	memcpy(end, path, length);
	return siphash(&key, text, (size_t)(end - text) + length);
}
