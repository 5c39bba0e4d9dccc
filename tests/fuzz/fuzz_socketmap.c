/*
 * The socketmap protocol and the maps behind it. The first byte of an input says whether
 * its bytes go as they are (a digit does), or the lines behind it, each as a netstring
 * that is well formed; and what the table is like then.
 *
 * Promised are: one answer for each query, in the protocol's form and within Postfix's
 * bound; never "not found" after an error; the same answers in whatever pieces the bytes
 * come; and no address in an alias's answer but those of the table.
 */
#include <event2/buffer.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "mailbox.h"
#include "quotad/protocol/socketmap.h"

#define REPLY_MAX 100000 /* socketmap_table(5) */

const char *const fuzz_seeds[] = {
	"\1mailbox alice@example.org\nmailbox ALICE+x@alias.test\nmailbox "
	"carol@host.test",
	"\1alias sales@example.org\nalias many+ext@alias.test\nalias odd+x@example.org",
	"\1alias \"sales+x, root\"@example.org\nalias staff+x@host.test\nalias "
	"x@all.test",
	"\1domain example.org\ndomain alias.test\ndomain b\xc3\xbc"
	"cher.test\ndomain *",
	"\1relocated gone+x@example.org\ntransport alice@example.org\ntransport *",
	"\3mailbox alice@example.org\nalias sales@example.org\ndomain example.org",
	"\5mailbox alice@example.org\nmailbox x@all.test\ntransport a",
	"\x11mailbox bob@example.org\nalias x@all.test\nrelocated x@example.org\n",
	"\x21mailbox many@toall.test\nalias sales@alias.test\ndomain all.test\n",
	"\xb1mailbox carol@host.test\nalias sales+x@alias.test\ndomain alias.test\n",
	"\1nomap x\n\nmailbox\nmailbox \nmailbox a\xff@example.org",
	"25:mailbox alice@example.org,18:domain example.org,3:abc,0:,",
	"24:alias sales@example.org,,1000000000000000000:x,",
	"\1mailbox "
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	"aaaaaa"
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	"aaaaaa"
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	"aaaaaa"
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	"aaaaaa"
	"@example.org",
	NULL,
};

static const char *const lines[] = {
	"alice@example.org uid=1001 gid=1001 mail=/m/alice/",
	"bob@example.org uid=1002 gid=1002 mail=/m/bob/ state=disabled",
	"gone@example.org uid=14 gid=14 mail=/g/ state=moved moved_to=%C3%BC@new.test",
	"%C3%BC@example.org uid=1005 gid=1005 mail=/m/u/",
	"a%20b@example.org uid=1006 gid=1006 mail=/m/ab/",
	"sales@example.org alias=alice@example.org",
	"many@example.org alias=alice@example.org,bob@example.org,x@elsewhere.test",
	"odd@example.org alias=a%20b@example.org,q%22%5Cd@elsewhere.test",
	"broken@example.org uid=x",
	"carol uid=1007 gid=1007 mail=/home/carol/Maildir/",
	"staff alias=carol,alice@example.org",
	"@example.org",
	"@all.test catchall=alice@example.org",
	"@alias.test alias=@example.org",
	"@toall.test alias=@all.test",
	"@ring.test alias=@ring.test",
	"@xn--bcher-kva.test",
};

#define LINES (sizeof lines / sizeof *lines)

static struct fake {
	struct record records[LINES];
	int no_table, empty;
	unsigned damaged; /* the look-up that fails, from 1 on */
	unsigned lookups, errors;
	int answers;
	char *told; /* all answers */
	size_t told_size;
	char word[16];
} fake;

static char delimiter[] = "+", local_domains[] = "host.test", transport[] = "brim";
static struct conf conf = {.recipient_delimiter = delimiter,
	.local_domains = local_domains,
	.map_transport = transport,
	.min_uid = 100};
static const struct room room = {.conf = &conf};
static struct socketmap service = {.room = &room, .conf = &conf};

/* --- the neighbours --------------------------------------------------------------- */

struct users *
users_reload_table(struct users_reload *t)
{
	(void)t;
	fake.errors += fake.no_table != 0;
	return fake.no_table ? NULL : (struct users *)&fake;
}

int
users_reload_is_newest(const struct users_reload *t)
{
	(void)t;
	return 1;
}

int
users_reload_is_checking(struct users_reload *t)
{
	(void)t;
	return 0;
}

uint64_t
users_reload_number(const struct users_reload *t)
{
	(void)t;
	return 1;
}

void
request_set_state(struct request *r, void *state)
{
	(void)r;
	(void)state;
}

void *
request_state(const struct request *r)
{
	(void)r;
	return NULL;
}

static int
look_up(struct reason *why)
{
	if (++fake.lookups != fake.damaged)
		return 0;
	fake.errors++;
	return reason_set(why, "users.db: damaged");
}

int
users_get(struct users *u, const char *key, struct record *r, struct reason *why)
{
	(void)u;
	memset(r, 0, sizeof *r);
	if (look_up(why) == -1)
		return -1;
	for (size_t i = 0; i < LINES && !fake.empty; i++)
		if (strcmp(fake.records[i].key, key) == 0)
			return record_copy(r, &fake.records[i]) == 0 ? 1 : -1;
	return 0;
}

int
users_has_records(struct users *u, struct reason *why)
{
	(void)u;
	fake.errors += fake.empty != 0;
	return look_up(why) == -1 ? -1 : !fake.empty;
}

int
users_has_older_keys(struct users *u, struct reason *why)
{
	(void)u;
	return look_up(why);
}

int
users_has_bare_names(struct users *u, struct reason *why)
{
	(void)u;
	return look_up(why) == -1 ? -1 : !fake.empty;
}

int
users_has_local_part(struct users *u, const char *local, struct reason *why)
{
	(void)u;
	(void)local;
	return look_up(why);
}

void
request_fault(struct request *r)
{
	(void)r;
}

/* --- promises --------------------------------------------------------------------- */

/* One address of an alias's answer, up to a comma outside of quotes: the next, or NULL.
 * Its domain is one of the table's targets, or the host's own. */
static const char *
check_target(const char *target, const char *answer)
{
	static const char *const domains[] = {"example.org", "elsewhere.test"};
	const char *c = target, *at = NULL;
	char domain[ADDRESS_MAX + 1] = "";
	int quoted = 0, known;

	for (; *c != '\0' && (quoted || *c != ','); c++) {
		if (quoted && *c == '\\' && c[1] != '\0')
			c++;
		else if (*c == '"')
			quoted = !quoted;
		else if (*c == '@' && !quoted)
			at = c;
	}
	if (at != NULL)
		snprintf(domain, sizeof domain, "%.*s", (int)(c - at - 1), at + 1);
	known = domain[0] == '\0' || mailbox_domain_is_local(&conf, domain);
	for (size_t i = 0; i < sizeof domains / sizeof *domains; i++)
		known |= strcmp(domains[i], domain) == 0;
	fuzz_promise(!quoted && known && c != target, "targets are the table's", answer);
	return *c == ',' ? c + 1 : NULL;
}

static void
check_value(const char *map, const char *value, const char *answer)
{
	const char *target = value;

	fuzz_promise(value[0] != '\0', "a value is never empty", answer);
	for (const char *c = value; *c != '\0'; c++)
		fuzz_promise((unsigned char)*c >= ' ' && *c != 0x7f,
			"a value has no control bytes", answer);
	while (strcmp(map, "alias") == 0 && target != NULL)
		target = check_target(target, answer);
}

/* The payload is in *TEXT, with a comma behind it. */
static void
check_payload(char *text, size_t size, const char *answer)
{
	fuzz_promise(strlen(text) == size + 1 && text[size] == ',', "it is a netstring",
		answer);
	text[size] = '\0';
	if (strncmp(text, "OK ", 3) == 0)
		check_value(fake.word, text + 3, answer);
	else if (strncmp(text, "TEMP ", 5) == 0)
		check_value("", text + 5, answer);
	else
		fuzz_promise(strcmp(text, "NOTFOUND ") == 0 && fake.errors == 0,
			"not found is said without an error alone", answer);
}

void
request_answer(struct request *r, const char *format, ...)
{
	char *answer, *text, *end;
	size_t size;
	int length;
	va_list args;

	(void)r;
	va_start(args, format);
	length = vasprintf(&answer, format, args);
	va_end(args);
	if (length < 0)
		abort();
	fake.answers++;
	fake.told = realloc(fake.told, fake.told_size + (size_t)length + 1);
	memcpy(fake.told + fake.told_size, answer, (size_t)length + 1);
	fake.told_size += (size_t)length;
	text = strdup(answer);
	size = strtoul(text, &end, 10);
	fuzz_promise(end != text && *end == ':' && size <= REPLY_MAX,
		"an answer begins with its length", answer);
	check_payload(end + 1, size, answer);
	free(text);
	free(answer);
}

/* --- one input -------------------------------------------------------------------- */

static void
perform(char *message, size_t length)
{
	size_t word = message != NULL ? strcspn(message, " ") : 0;

	snprintf(fake.word, sizeof fake.word, "%.*s", (int)(word < 15 ? word : 15),
		message != NULL ? message : "");
	fake.errors = message == NULL || strlen(message) != length;
	fake.lookups = 0;
	fake.answers = 0;
	socketmap_protocol.perform(&service, NULL, message, length);
	fuzz_promise(fake.answers == 1, "a query has one answer", "");
}

/* All that the bytes hold: how the reading of them ended. The connection reads no empty
 * buffer. */
static enum protocol_read
perform_all(struct evbuffer *bytes)
{
	enum protocol_read read = PROTOCOL_INCOMPLETE;
	char *message = NULL;
	size_t length = 0;

	while (evbuffer_get_length(bytes) > 0 &&
		(read = socketmap_protocol.read(bytes, &message, &length)) ==
			PROTOCOL_MESSAGE) {
		fuzz_promise(message[length] == '\0', "a NUL ends a message", "");
		perform(message, length);
		free(message);
	}
	if (read == PROTOCOL_NONSENSE)
		perform(NULL, 0);
	return read;
}

/* The answers to what is sent so many bytes at a time. */
static char *
answers(const char *data, size_t size, size_t at_once)
{
	struct evbuffer *bytes = evbuffer_new();
	enum protocol_read read = PROTOCOL_INCOMPLETE;

	fake.told = calloc(1, 1);
	fake.told_size = 0;
	for (size_t i = 0; i < size && read != PROTOCOL_NONSENSE; i += at_once) {
		evbuffer_add(bytes, data + i, size - i < at_once ? size - i : at_once);
		read = perform_all(bytes);
	}
	evbuffer_free(bytes);
	return fake.told;
}

/* Each line as a netstring; the caller frees it. */
static char *
frame(const char *data, size_t size, size_t *framed)
{
	char *text = malloc(4 * size + 1), *to = text;

	while (size > 0) {
		const char *end = memchr(data, '\n', size);
		size_t length = end != NULL ? (size_t)(end - data) : size;

		to += sprintf(to, "%zu:", length);
		to = mempcpy(to, data, length);
		*to++ = ',';
		data += length + (end != NULL);
		size -= length + (end != NULL);
	}
	*framed = (size_t)(to - text);
	return text;
}

static void
read_table(void)
{
	for (size_t i = 0; i < LINES; i++)
		if (record_parse(&fake.records[i], lines[i], strlen(lines[i]), 1, NULL))
			abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t how = size > 0 ? data[0] : 0;
	const char *bytes = (const char *)data;
	char *framed = NULL, *whole, *pieces;

	if (fake.records[0].key == NULL)
		read_table();
	if (how < '0' || how >= 0x80) {
		fake.no_table = (how & 14) == 2;
		fake.empty = (how & 14) == 4;
		fake.damaged = how >> 4 & 7;
		bytes = framed = frame(bytes + 1, size > 0 ? size - 1 : 0, &size);
	} else {
		fake.no_table = fake.empty = 0;
		fake.damaged = 0;
	}
	whole = answers(bytes, size, size + 1);
	if (framed != NULL && size % 4 != 0) { /* one in four is enough of it */
		free(whole);
		free(framed);
		return 0;
	}
	pieces = answers(bytes, size, 1 + how % 7);
	fuzz_promise(
		strcmp(whole, pieces) == 0, "pieces are answered as the whole", pieces);
	free(whole);
	free(pieces);
	free(framed);
	return 0;
}
