/* The table of settings; reading, checking and printing all go through it. */
#include "conf.h"

#include <errno.h>
#include <ini.h>
#include <inttypes.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "amount.h"

#define LINE_MAX_BYTES 190 /* inih cuts a line at 200 without a word */

enum type { TEXT, PATH, SIZE, TIME, COUNT, MODE, OVER_QUOTA, QUOTAD_DOWN, LOG_TARGET };

#define AT(member) offsetof(struct conf, member)

static const struct setting {
	const char *name;
	enum type type;
	size_t offset;
	const char *fallback;
	uint64_t least, most; /* of numbers */
	const char *sentence;
} settings[] = {
	{"users_db", PATH, AT(users_db), "/var/lib/brim/users.db", 0, 0,
		"The user table; its lock is the same name with .lock."},
	{"users_mode", MODE, AT(users_mode), "0644", 0400, 0644,
		"Mode of the user table; lda reads it as the recipient."},
	{"users_group", TEXT, AT(users_group), "", 0, 0,
		"Group of the user table; empty leaves it root's."},
	{"usage_dir", PATH, AT(usage_dir), "/var/lib/brim/usage", 0, 0,
		"The usage store, private to quotad."},
	{"socket", PATH, AT(socket), "/run/brim/quotad.sock", 0, 0,
		"Where quotad listens."},
	{"daemon_user", TEXT, AT(daemon_user), "brim", 0, 0,
		"Whom quotad becomes when it is started as root."},
	{"trusted_users", TEXT, AT(trusted_users), "", 0, 0,
		"Users who may ask about every mailbox, such as the one mail user of a "
		"pipe transport."},
	{"recipient_delimiter", TEXT, AT(recipient_delimiter), "+", 0, 0,
		"Bytes that begin an address's extension; empty for none."},
	{"local_domains", TEXT, AT(local_domains), "", 0, 0,
		"Domains of this host, whose users are bare names in the table; empty "
		"for the host's name."},
	{"over_quota", OVER_QUOTA, AT(over_quota), "3d", 0, 0,
		"A full mailbox: defer, bounce, or a time for which it is deferred "
		"before it bounces."},
	{"quota", SIZE, AT(quota), "0", 0, UINT64_MAX,
		"Limit of a mailbox whose record and domain set none; 0 is no limit."},
	{"quota_ignore", TEXT, AT(quota_ignore), "", 0, 0,
		"Folders that do not count, such as Trash Junk."},
	{"message_size_limit", SIZE, AT(message_size_limit), "0", 0, UINT64_MAX,
		"A message larger than this is refused with 5.2.3; 0 is no limit."},
	{"quotad_down", QUOTAD_DOWN, AT(quotad_down_delivers), "defer", 0, 0,
		"What lda does when quotad can't be asked: defer, or deliver without a "
		"limit."},
	{"deadline", TIME, AT(deadline), "300s", 2, 900,
		"lda gives up and says try again after this time; below the MTA's own "
		"limit."},
	{"quotad_timeout", TIME, AT(quotad_timeout), "10s", 1, 300,
		"How long lda waits for an answer of quotad."},
	{"recheck_above", COUNT, AT(recheck_above), "80", 0, 100,
		"Per cent of the limit above which a mailbox is looked at before a "
		"message is taken."},
	{"recount_every", TIME, AT(recount_every), "7d", 60, 366 * 86400,
		"Every mailbox is counted file by file once in this time."},
	{"max_connections", COUNT, AT(max_connections), "12000", 16, 1000000,
		"Connections that quotad takes in all."},
	{"max_user_connections", COUNT, AT(max_user_connections), "100", 1, 1000000,
		"Connections of one user; trusted users have 16 times as many."},
	{"max_user_tickets", COUNT, AT(max_user_tickets), "200", 1, 1000000,
		"Deliveries under way of one user; trusted users have 16 times as many."},
	{"min_uid", COUNT, AT(min_uid), "100", 1, UINT32_MAX - 1,
		"Records with a lower uid are refused."},
	{"log", LOG_TARGET, AT(log), "syslog", 0, 0,
		"Where quotad logs: syslog or stderr."},
};

#define SETTINGS (sizeof settings / sizeof *settings)

static char **
text_of(const struct conf *c, const struct setting *s)
{
	return (char **)((char *)c + s->offset);
}

static uint64_t *
number_of(const struct conf *c, const struct setting *s)
{
	return (uint64_t *)((char *)c + s->offset);
}

static int
is_text(const struct setting *s)
{
	return s->type == TEXT || s->type == PATH || s->type == LOG_TARGET;
}

static int
set_text(struct conf *c, const struct setting *s, const char *value, struct reason *why)
{
	char *copy;

	if (s->type == PATH && (value[0] != '/' || strstr(value, "/../")))
		return reason_set(
			why, "%s: \"%.80s\" is not an absolute path", s->name, value);
	if (s->type == LOG_TARGET && strcmp(value, "syslog") && strcmp(value, "stderr"))
		return reason_set(why, "%s: \"%.40s\" is neither syslog nor stderr",
			s->name, value);
	copy = strdup(value);
	if (!copy)
		return reason_set(why, "no memory");
	free(*text_of(c, s));
	*text_of(c, s) = copy;
	return 0;
}

int
conf_over_quota(const char *text, uint64_t *seconds, struct reason *why)
{
	if (strcmp(text, "defer") == 0)
		*seconds = CONF_DEFER;
	else if (strcmp(text, "bounce") == 0)
		*seconds = 0;
	else if (amount_time(text, seconds, NULL))
		return reason_set(
			why, "\"%.40s\" is not defer, bounce or a time such as 3d", text);
	return 0;
}

static int
read_mode(const char *value, uint64_t *mode, struct reason *why)
{
	char *end;

	*mode = strtoul(value, &end, 8);
	if (strlen(value) > 4 || value[strspn(value, "01234567")] || end == value)
		return reason_set(
			why, "\"%.40s\" is not an octal mode such as 0644", value);
	return 0;
}

static int
read_quotad_down(const char *value, uint64_t *delivers, struct reason *why)
{
	*delivers = strcmp(value, "deliver") == 0;
	if (!*delivers && strcmp(value, "defer"))
		return reason_set(why, "\"%.40s\" is neither defer nor deliver", value);
	return 0;
}

static int
read_number(const struct setting *s, const char *value, uint64_t *n, struct reason *why)
{
	switch (s->type) {
	case SIZE:
		return amount_size(value, n, why);
	case TIME:
		return amount_time(value, n, why);
	case MODE:
		return read_mode(value, n, why);
	case OVER_QUOTA:
		return conf_over_quota(value, n, why);
	case QUOTAD_DOWN:
		return read_quotad_down(value, n, why);
	default:
		return amount_count(value, n, why);
	}
}

static const char *
show_number(const struct setting *s, uint64_t n, char buf[AMOUNT_SIZE])
{
	switch (s->type) {
	case SIZE:
		return n ? amount_exact(n, buf) : "0";
	case TIME:
		return amount_show_time(n, buf);
	case OVER_QUOTA:
		return n == CONF_DEFER ? "defer"
		       : n == 0        ? "bounce"
				       : amount_show_time(n, buf);
	case QUOTAD_DOWN:
		return n ? "deliver" : "defer";
	default:
		snprintf(
			buf, AMOUNT_SIZE, s->type == MODE ? "%04" PRIo64 : "%" PRIu64, n);
		return buf;
	}
}

static int
set_number(struct conf *c, const struct setting *s, const char *value, struct reason *why)
{
	struct reason fault;
	char least[AMOUNT_SIZE], most[AMOUNT_SIZE];
	uint64_t n;

	if (read_number(s, value, &n, &fault))
		return reason_set(why, "%s: %s", s->name, fault.text);
	if (s->most && (n < s->least || n > s->most))
		return reason_set(why, "%s: %.40s is not between %s and %s", s->name,
			value, show_number(s, s->least, least),
			show_number(s, s->most, most));
	*number_of(c, s) = n;
	return 0;
}

static int
set_value(struct conf *c, const struct setting *s, const char *value, struct reason *why)
{
	return is_text(s) ? set_text(c, s, value, why) : set_number(c, s, value, why);
}

int
conf_set(struct conf *c, const char *name, const char *value, struct reason *why)
{
	for (size_t i = 0; i < SETTINGS; i++)
		if (strcmp(settings[i].name, name) == 0)
			return set_value(c, &settings[i], value, why);
	return reason_set(why, "there is no setting \"%.60s\"", name);
}

/* What is known while a file is read: inih asks for lines and hands out names and values.
 */
struct reading {
	FILE *from;
	const char *file;
	struct conf *conf;
	struct reason *why;
	int line, failed;
};

/* As fgets, for inih: counts the lines, takes blanks off their front (inih would take an
 * indented line for more of the last value) and refuses those that inih would cut. */
static char *
next_line(char *to, int size, void *arg)
{
	struct reading *r = arg;
	size_t blanks;

	if (r->failed || !fgets(to, size, r->from))
		return NULL;
	r->line++;
	if (strlen(to) > LINE_MAX_BYTES) {
		r->failed = reason_set(r->why, "%s line %d: longer than %d bytes",
			r->file, r->line, LINE_MAX_BYTES);
		return NULL;
	}
	blanks = strspn(to, " \t");
	memmove(to, to + blanks, strlen(to + blanks) + 1);
	if (to[0] == '[') {
		r->failed = reason_set(
			r->why, "%s line %d: sections are not used", r->file, r->line);
		return NULL;
	}
	return to;
}

static int
take_setting(void *arg, const char *section, const char *name, const char *value)
{
	struct reading *r = arg;
	struct reason fault;

	(void)section; /* next_line refuses them */
	if (r->failed)
		return 0;
	if (conf_set(r->conf, name, value, &fault))
		r->failed = reason_set(
			r->why, "%s line %d: %s", r->file, r->line, fault.text);
	return !r->failed;
}

static int
read_file(struct conf *c, FILE *from, const char *file, struct reason *why)
{
	struct reading r = {.from = from, .file = file, .conf = c, .why = why};
	int bad_line = ini_parse_stream(next_line, &r, take_setting, &r);

	if (r.failed)
		return -1;
	if (ferror(from))
		return reason_errno(why, "%s can't be read", file);
	if (bad_line)
		return reason_set(
			why, "%s line %d: not \"name = value\"", file, bad_line);
	return 0;
}

static int
set_defaults(struct conf *c, struct reason *why)
{
	memset(c, 0, sizeof *c);
	for (size_t i = 0; i < SETTINGS; i++)
		if (set_value(c, &settings[i], settings[i].fallback, why))
			return -1;
	return 0;
}

int
conf_load(struct conf *c, const char *file, struct reason *why)
{
	const char *path = file ? file : CONF_FILE;
	FILE *from = NULL;
	int result = set_defaults(c, why);

	if (result == 0) {
		from = fopen(path, "re");
		if (from)
			result = read_file(c, from, path, why);
		else if (file || errno != ENOENT)
			result = reason_errno(why, "%s can't be opened", path);
	}
	if (from)
		fclose(from);
	if (result)
		conf_free(c);
	return result;
}

void
conf_free(struct conf *c)
{
	for (size_t i = 0; i < SETTINGS; i++)
		if (is_text(&settings[i]))
			free(*text_of(c, &settings[i]));
	memset(c, 0, sizeof *c);
}

/* A number that is the default's is shown as the default is written: 300s, not 5m. */
static const char *
show_value(const struct conf *c, const struct setting *s, char buf[AMOUNT_SIZE])
{
	uint64_t fallback;

	if (is_text(s))
		return *text_of(c, s);
	if (read_number(s, s->fallback, &fallback, NULL) == 0 &&
		fallback == *number_of(c, s))
		return s->fallback;
	return show_number(s, *number_of(c, s), buf);
}

void
conf_each(const struct conf *c,
	void (*row)(void *arg, const char *name, const char *value, const char *fallback,
		const char *sentence),
	void *arg)
{
	for (const struct setting *s = settings; s < settings + SETTINGS; s++) {
		char buf[AMOUNT_SIZE];

		row(arg, s->name, show_value(c, s, buf), s->fallback, s->sentence);
	}
}

static void
print_row(void *arg, const char *name, const char *value, const char *fallback,
	const char *sentence)
{
	FILE *to = arg;

	fprintf(to, "# %s\n", sentence);
	fprintf(to, "%s%s =%s%s\n\n", strcmp(value, fallback) == 0 ? "#" : "", name,
		value[0] ? " " : "", value);
}

int
conf_print(const struct conf *c, FILE *to)
{
	conf_each(c, print_row, to);
	return fflush(to) || ferror(to) ? -1 : 0;
}

int
conf_list_has(const char *list, const char *word)
{
	size_t length = strlen(word), n;

	for (const char *p = list; *p; p += n) {
		p += strspn(p, " ,\t");
		n = strcspn(p, " ,\t");
		if (n && n == length && strncasecmp(p, word, n) == 0)
			return 1;
	}
	return 0;
}
