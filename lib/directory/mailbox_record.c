/* Records of the user table: one table of fields, one of states, and their checks. */
#include "mailbox_record.h"

#include <limits.h>
#include <string.h>

#include "address.h"
#include "amount.h"
#include "conf.h"
#include "privileges.h"
#include "store_kind.h"

#define IN_MAILBOX      (1u << MAILBOX_KIND_MAILBOX)
#define IN_ALIAS        (1u << MAILBOX_KIND_ALIAS)
#define IN_DOMAIN       (1u << MAILBOX_KIND_DOMAIN)
#define IN_ALIAS_DOMAIN (1u << MAILBOX_KIND_ALIAS_DOMAIN)

static const struct mailbox_field fields[] = {
	{"uid", MAILBOX_FIELD_ID, IN_MAILBOX, "Numeric user id that owns the mailbox."},
	{"gid", MAILBOX_FIELD_ID, IN_MAILBOX, "Numeric group id of its files."},
	{"mail", MAILBOX_FIELD_PATH, IN_MAILBOX,
		"Absolute path of the Maildir, with / at its end."},
	{"quota", MAILBOX_FIELD_SIZE, IN_MAILBOX | IN_DOMAIN,
		"Limit of bytes; 0 is no limit."},
	{"messages", MAILBOX_FIELD_COUNT, IN_MAILBOX | IN_DOMAIN,
		"Limit of messages; 0 is no limit."},
	{"over_quota", MAILBOX_FIELD_OVER_QUOTA, IN_MAILBOX | IN_DOMAIN,
		"When full: defer, bounce, or a time such as 3d."},
	{"smtp_full", MAILBOX_FIELD_SMTP_FULL, IN_MAILBOX | IN_DOMAIN,
		"When full, mail at SMTP time: refuse, or wait in the queue."},
	{"send_quota", MAILBOX_FIELD_SIZE, IN_MAILBOX | IN_DOMAIN,
		"With more than this in the mailbox nothing may be sent; 0 is no limit."},
	{"login", MAILBOX_FIELD_ADDRESS, IN_MAILBOX,
		"Name that the mailbox's user logs in with to send; else its address."},
	{"state", MAILBOX_FIELD_STATE, IN_MAILBOX,
		"enabled, disabled, suspended or moved."},
	{"moved_to", MAILBOX_FIELD_WHOLE_ADDRESS, IN_MAILBOX,
		"The new address of a mailbox that has moved."},
	{"alias", MAILBOX_FIELD_ADDRESSES, IN_ALIAS | IN_ALIAS_DOMAIN,
		"Where mail goes: addresses with commas between; of a domain, @another."},
	{"catchall", MAILBOX_FIELD_ADDRESS, IN_DOMAIN,
		"Where mail for unknown addresses of the domain goes."},
};

static const struct state {
	const char *name;
	enum mailbox_state state;
} states[] = {
	{"enabled", MAILBOX_ENABLED},
	{"disabled", MAILBOX_DISABLED},
	{"suspended", MAILBOX_SUSPENDED},
	{"moved", MAILBOX_MOVED},
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

const struct mailbox_field *
mailbox_field(const char *name)
{
	for (size_t i = 0; i < COUNT(fields); i++)
		if (strcmp(fields[i].name, name) == 0)
			return &fields[i];
	return NULL;
}

const struct mailbox_field *
mailbox_field_at(size_t i)
{
	return i < COUNT(fields) ? &fields[i] : NULL;
}

enum mailbox_kind
mailbox_kind_of(const struct record *r)
{
	int alias = record_get(r, "alias") != NULL;

	if (r->key[0] == '@')
		return alias ? MAILBOX_KIND_ALIAS_DOMAIN : MAILBOX_KIND_DOMAIN;
	return alias ? MAILBOX_KIND_ALIAS : MAILBOX_KIND_MAILBOX;
}

/* --- values --------------------------------------------------------------------- */

static int
check_id(const char *value, struct reason *why)
{
	uint64_t id;

	if (amount_count(value, &id, why))
		return -1;
	if (id == 0)
		return reason_set(why, "0 is root's, who gets no mail from Brim");
	if (id == UID_NOBODY || id >= UINT32_MAX)
		return reason_set(why, "%.20s is nobody's", value);
	return 0;
}

static int
check_path(const char *value, struct reason *why)
{
	enum store_kind kind;

	if (value[0] != '/')
		return reason_set(why, "\"%.100s\" is not an absolute path", value);
	if (strlen(value) >= PATH_MAX - NAME_MAX)
		return reason_set(why, "the path is too long");
	if (strstr(value, "//") || strstr(value, "/../") || strstr(value, "/./"))
		return reason_set(
			why, "\"%.100s\" has an empty, . or .. part in it", value);
	return store_kind_of(value, &kind, why);
}

static int
check_count(const char *value, struct reason *why)
{
	uint64_t n;

	return amount_count(value, &n, why);
}

static int
check_over_quota(const char *value, struct reason *why)
{
	uint64_t seconds;

	return conf_over_quota(value, &seconds, why);
}

static int
check_smtp_full(const char *value, struct reason *why)
{
	uint64_t waits;

	return conf_smtp_full(value, &waits, why);
}

int
mailbox_read_state(const char *value, enum mailbox_state *state, struct reason *why)
{
	for (size_t i = 0; i < COUNT(states); i++)
		if (strcmp(states[i].name, value) == 0) {
			*state = states[i].state;
			return 0;
		}
	return reason_set(why,
		"\"%.40s\" is not a state: enabled, disabled, suspended or moved", value);
}

static int
check_state(const char *value, struct reason *why)
{
	enum mailbox_state state;

	return mailbox_read_state(value, &state, why);
}

static int
check_address(const char *value, struct reason *why)
{
	if (strchr(value, ','))
		return reason_set(why, "\"%.100s\" is more than one address", value);
	if (value[0] == '@')
		return reason_set(why, "the address has nothing before its @");
	return address_check(value, why);
}

/* A sender who reads it can write to nothing less. */
static int
check_whole_address(const char *value, struct reason *why)
{
	if (check_address(value, why))
		return -1;
	if (address_domain_key(value))
		return 0;
	return reason_set(why, "\"%.100s\" is not whole, as name@example.org", value);
}

static int
check_addresses(const char *value, struct reason *why)
{
	char one[ADDRESS_MAX + 2];

	for (const char *p = value;; p++) {
		size_t length = strcspn(p, ",");

		memcpy(one, p, length < sizeof one ? length : sizeof one - 1);
		one[length < sizeof one ? length : sizeof one - 1] = '\0';
		if (check_address(one, why))
			return -1;
		p += length;
		if (*p == '\0')
			return 0;
	}
}

static int
check_domain(const char *value, struct reason *why)
{
	if (value[0] != '@' || strchr(value, ','))
		return reason_set(why,
			"\"%.100s\" is no domain, which is written as @example.org",
			value);
	return address_check(value, why);
}

static int (*const checks[])(const char *value, struct reason *why) = {
	[MAILBOX_FIELD_ID] = check_id,
	[MAILBOX_FIELD_PATH] = check_path,
	[MAILBOX_FIELD_SIZE] = check_count,
	[MAILBOX_FIELD_COUNT] = check_count,
	[MAILBOX_FIELD_OVER_QUOTA] = check_over_quota,
	[MAILBOX_FIELD_SMTP_FULL] = check_smtp_full,
	[MAILBOX_FIELD_STATE] = check_state,
	[MAILBOX_FIELD_ADDRESS] = check_address,
	[MAILBOX_FIELD_WHOLE_ADDRESS] = check_whole_address,
	[MAILBOX_FIELD_ADDRESSES] = check_addresses,
	[MAILBOX_FIELD_DOMAIN] = check_domain,
};

int
mailbox_check_value(enum mailbox_field_type type, const char *value, struct reason *why)
{
	return checks[type](value, why);
}

/* --- records -------------------------------------------------------------------- */

static int
check_field(const struct record *r, const struct record_field *f, struct reason *why)
{
	static const char *const kinds[] = {[MAILBOX_KIND_MAILBOX] = "a mailbox",
		[MAILBOX_KIND_ALIAS] = "an alias",
		[MAILBOX_KIND_DOMAIN] = "a domain",
		[MAILBOX_KIND_ALIAS_DOMAIN] = "an alias domain"};
	const struct mailbox_field *known = mailbox_field(f->name);
	enum mailbox_kind kind = mailbox_kind_of(r);
	enum mailbox_field_type type;
	struct reason fault;

	if (!known)
		return 0;
	type = kind == MAILBOX_KIND_ALIAS_DOMAIN ? MAILBOX_FIELD_DOMAIN : known->type;
	if (!(known->kinds & 1u << kind))
		return reason_set(
			why, "%.100s: %s has no field %s", r->key, kinds[kind], f->name);
	if (mailbox_check_value(type, f->value, &fault))
		return reason_set(why, "%.100s: %s: %.180s", r->key, f->name, fault.text);
	return 0;
}

int
mailbox_check_record(const struct record *r, struct reason *why)
{
	static const char *const required[] = {"uid", "gid", "mail"};
	const char *state = record_get(r, "state"), *to = record_get(r, "moved_to");

	for (size_t i = 0; i < r->count; i++)
		if (check_field(r, &r->fields[i], why))
			return -1;
	if (mailbox_kind_of(r) != MAILBOX_KIND_MAILBOX)
		return 0;
	for (size_t i = 0; i < COUNT(required); i++)
		if (!record_get(r, required[i]))
			return reason_set(why, "%.100s: a mailbox needs %s=...", r->key,
				required[i]);
	if (to && strcmp(to, r->key) == 0)
		return reason_set(why, "%.100s: moved_to is the old address", r->key);
	if (state && strcmp(state, "moved") == 0 && !to)
		return reason_set(why, "%.100s: state=moved needs moved_to=...", r->key);
	return 0;
}
