/* The entries of the usage store: written, and read again. */
#include "usage_record.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "amount.h"
#include "boot_marker.h"
#include "record.h"

#define ID_BYTES   "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-"
#define A_DAY      86400
#define VALUE_SIZE USAGE_RECORD_VALUE_SIZE

static uint64_t
calendar_ms(void)
{
	struct timespec now = {0};

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* --- writing ---------------------------------------------------------------------- */

size_t
usage_record_key(char key[USAGE_RECORD_KEY_SIZE], const char *mailbox, const char *file)
{
	size_t n = strlen(mailbox), m = file ? strlen(file) : 0;

	if (n > ADDRESS_MAX || m > NAME_MAX)
		return 0;
	key[0] = file ? 't' : 'a';
	memcpy(key + 1, mailbox, n + 1);
	if (!file)
		return 1 + n;
	memcpy(key + 1 + n + 1, file, m + 1);
	return 1 + n + 1 + m;
}

size_t
usage_record_promise_key(char key[USAGE_RECORD_KEY_SIZE], const char *mailbox,
	const char *id, uint64_t recipient)
{
	char name[NAME_MAX + 1];
	int n = snprintf(name, sizeof name, ":%s:%016" PRIx64, id, recipient);

	return n < 0 || n > NAME_MAX ? 0 : usage_record_key(key, mailbox, name);
}

size_t
usage_record_place_key(char key[USAGE_RECORD_KEY_SIZE], uint64_t path)
{
	return (size_t)snprintf(key, USAGE_RECORD_KEY_SIZE, "p%016" PRIx64, path);
}

/* Appends a field to a record's text, unless it is zero. Returns the new length. */
static size_t
add_number(char *text, size_t at, const char *name, uint64_t n)
{
	if (!n)
		return at;
	return at + (size_t)snprintf(text + at, VALUE_SIZE - at, "%s%s=%" PRIu64,
			    at ? " " : "", name, n);
}

/* All fields at their longest, this one too, fit into a value. */
static size_t
add_text(char *text, size_t at, const char *name, const char *value)
{
	return at + (size_t)snprintf(text + at, VALUE_SIZE - at, "%s%s=%.200s",
			    at ? " " : "", name, value);
}

size_t
usage_record_account(
	char value[VALUE_SIZE], const char *boot, const struct usage_numbers *n)
{
	size_t at = 0;

	at = add_number(value, at, "used", n->used);
	at = add_number(value, at, "messages", n->messages);
	at = add_number(value, at, "stamp", n->stamp);
	at = add_number(value, at, "path", n->path);
	at = add_number(value, at, "owner", n->owner);
	at = add_number(value, at, "rules", n->rules);
	at = add_number(value, at, "wrong_names", (uint64_t)n->wrong_names);
	at = add_number(value, at, "had_mail", (uint64_t)n->had_mail);
	at = add_number(value, at, "mail_in", n->mail_in);
	at = add_number(value, at, "directory", n->directory);
	if (n->known)
		at = add_text(value, at, "boot", boot);
	if (n->counted_why) {
		at = add_number(value, at, "counted",
			amount_subtract(calendar_ms(), n->counted_ago_ms));
		at = add_number(value, at, "counted_was", n->counted_was);
		at = add_number(value, at, "counted_found", n->counted_found);
		at = add_number(value, at, "inexact", !n->counted_exact);
		at = add_text(value, at, "counted_why", n->counted_why);
	}
	if (!n->full_for)
		return at;
	at = add_number(value, at, "full_for", n->full_for);
	at = add_number(value, at, "full_used", n->full_used);
	at = add_number(value, at, "full_bytes", n->full_bytes);
	at = add_number(value, at, "full_messages", n->full_messages);
	at = add_number(value, at, "full_smallest", n->full_smallest);
	return add_number(value, at, "saved", (uint64_t)time(NULL));
}

size_t
usage_record_ticket(
	char value[VALUE_SIZE], const char *boot, const struct usage_ticket *t)
{
	int n = snprintf(value, VALUE_SIZE, "bytes=%" PRIu64 " boot=%s", t->bytes, boot);
	size_t at = add_number(value, (size_t)n, "path", t->path);

	at = add_number(value, at, "directory", t->directory);
	return add_number(value, at, "mail_in", t->mail_in);
}

size_t
usage_record_promise(
	char value[VALUE_SIZE], const char *boot, const struct usage_promise *p)
{
	const struct usage_ticket t = {.bytes = p->bytes};
	size_t at = usage_record_ticket(value, boot, &t);

	at = add_number(value, at, "client", p->client);
	at = add_number(value, at, "ms", p->ms);
	at = add_number(value, at, "ticket", p->ticket);
	return add_number(value, at, "until", p->until);
}

size_t
usage_record_place(char value[VALUE_SIZE], uint64_t mail_in)
{
	return add_number(value, 0, "mail_in", mail_in);
}

/* --- reading ---------------------------------------------------------------------- */

/* Time that passed while no daemon ran counts for "full since", but a day at most. */
static uint64_t
full_for_now(const struct record *r, uint64_t full_for)
{
	uint64_t saved, now = (uint64_t)time(NULL), gap;

	if (!full_for || record_number(r, "saved", now, &saved) || saved > now)
		return full_for;
	gap = now - saved;
	return full_for + (gap < A_DAY ? gap : A_DAY);
}

/* The clock may have been set back since: then the count is as good as just now. */
static int
read_last_count(const struct record *r, struct usage_numbers *n)
{
	uint64_t at, now = calendar_ms();

	if (record_number(r, "counted", now, &at) ||
		record_number(r, "counted_was", 0, &n->counted_was) ||
		record_number(r, "counted_found", 0, &n->counted_found))
		return -1;
	n->counted_why = record_get(r, "counted_why");
	if (n->counted_why == NULL)
		return 0;
	n->counted_exact = record_get(r, "inexact") == NULL;
	n->counted_ago_ms = now > at ? now - at : 0;
	return 0;
}

static int
read_numbers(const struct record *r, struct usage_numbers *n)
{
	const struct {
		const char *name;
		uint64_t *number;
	} fields[] = {
		{"used", &n->used},
		{"messages", &n->messages},
		{"stamp", &n->stamp},
		{"path", &n->path},
		{"owner", &n->owner},
		{"rules", &n->rules},
		{"directory", &n->directory},
		{"mail_in", &n->mail_in},
		{"full_for", &n->full_for},
		{"full_used", &n->full_used},
		{"full_bytes", &n->full_bytes},
		{"full_messages", &n->full_messages},
		{"full_smallest", &n->full_smallest},
	};

	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
		if (record_number(r, fields[i].name, 0, fields[i].number))
			return -1;
	n->full_for = full_for_now(r, n->full_for);
	return read_last_count(r, n);
}

static int
is_of_boot(const struct record *r, const char *boot)
{
	const char *its = record_get(r, "boot");

	return its && strcmp(its, boot) == 0;
}

static int
load_account(
	const struct usage_reader *reader, const char *mailbox, const struct record *r)
{
	struct usage_numbers n = {0};

	if (read_numbers(r, &n))
		return -1;
	n.wrong_names = record_get(r, "wrong_names") != NULL;
	n.had_mail = record_get(r, "had_mail") != NULL;
	n.known = is_of_boot(r, reader->boot) && !reader->unsure &&
		  strcmp(reader->boot, BOOT_UNKNOWN) != 0;
	if (!n.known)
		n.directory = 0;
	return reader->calls->load_account(reader->arg, mailbox, &n);
}

static int
load_ticket(const struct usage_reader *reader, const char *mailbox, const char *file,
	const struct record *r)
{
	const char *its = record_get(r, "boot");
	struct usage_ticket t = {.ended = !its || boot_is_other(its, reader->boot)};

	if (!file[0] || !record_get(r, "bytes") ||
		record_number(r, "bytes", 0, &t.bytes) ||
		record_number(r, "path", 0, &t.path) ||
		record_number(r, "directory", 0, &t.directory) ||
		record_number(r, "mail_in", 0, &t.mail_in))
		return -1;
	if (t.ended)
		t.directory = 0;
	return reader->calls->load_ticket(reader->arg, mailbox, file, &t);
}

/* The clock of another boot says nothing: there it begins anew. */
static int
load_promise(const struct usage_reader *reader, const char *mailbox, char *name,
	const struct record *r)
{
	size_t length = strspn(name + 1, ID_BYTES);
	struct usage_promise p = {.id = name + 1};
	char *hash = name + 1 + length, *end;

	if (length == 0 || *hash != ':' || strlen(hash + 1) != 16 ||
		!record_get(r, "bytes") || record_number(r, "bytes", 0, &p.bytes) ||
		record_number(r, "client", 0, &p.client) ||
		record_number(r, "ms", 0, &p.ms) ||
		record_number(r, "ticket", 0, &p.ticket) ||
		record_number(r, "until", 0, &p.until))
		return -1;
	*hash = '\0';
	p.recipient = strtoull(hash + 1, &end, 16);
	if (*end)
		return -1;
	if (!is_of_boot(r, reader->boot) || strcmp(reader->boot, BOOT_UNKNOWN) == 0)
		p.until = UINT64_MAX;
	return reader->calls->load_promise(reader->arg, mailbox, &p);
}

static int
load_place(const struct usage_reader *reader, const char *hash, const struct record *r)
{
	uint64_t path, mail_in;
	char *end;

	path = strtoull(hash, &end, 16);
	if (*end || end - hash != 16 || record_number(r, "mail_in", 0, &mail_in) ||
		mail_in == 0)
		return -1;
	return reader->calls->load_place(reader->arg, path, mail_in);
}

int
usage_record_load(const struct usage_reader *reader, const char *key, size_t key_size,
	const char *value, size_t value_size)
{
	char text[USAGE_RECORD_KEY_SIZE + 1];
	char *mailbox = text + 1;
	struct record r;
	size_t length;
	int result = -1;

	if (key_size < 2 || key_size >= sizeof text ||
		record_parse(&r, value, value_size, 0, NULL))
		return -1;
	memcpy(text, key, key_size);
	text[key_size] = '\0';
	length = strlen(mailbox);
	if (length > 0 && text[0] == 'a' && 1 + length == key_size)
		result = load_account(reader, mailbox, &r);
	else if (text[0] == 'p' && 1 + length == key_size)
		result = load_place(reader, mailbox, &r);
	else if (length > 0 && text[0] == 't' && 1 + length < key_size &&
		 mailbox[length + 1] == ':')
		result = load_promise(reader, mailbox, mailbox + length + 1, &r);
	else if (length > 0 && text[0] == 't' && 1 + length < key_size)
		result = load_ticket(reader, mailbox, mailbox + length + 1, &r);
	record_clear(&r);
	return result;
}
