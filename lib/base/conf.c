/* The table of settings; reading, checking and printing all go through it. */
#include "conf.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "amount.h"
#include "conf_list.h"
#include "conf_read.h"

enum type {
	TEXT,
	DELIMITERS,
	LIST,
	PATHS,
	NETWORKS,
	PATH,
	SIZE,
	TIME,
	COUNT,
	MODE,
	OVER_QUOTA,
	CHOICE
};
enum takes_change { RELOAD, RESTART }; /* what quotad needs for it */

#define AT(member) offsetof(struct conf, member)
#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static const struct setting {
	const char *name;
	enum type type;
	enum takes_change takes_change;
	size_t offset;
	const char *fallback;
	uint64_t least, most;       /* of numbers */
	const char *const *choices; /* of CHOICE: the value is the number of the word */
	const char *sentence;
} settings[] = {
	{"users_db", PATH, RESTART, AT(users_db), "/var/lib/brim/users.db", 0, 0, NULL,
		"The user table; its lock is the same name with .lock."},
	{"users_mode", MODE, RELOAD, AT(users_mode), "0644", 0400, 0644, NULL,
		"Mode of the user table; lda reads it as the recipient."},
	{"users_group", TEXT, RELOAD, AT(users_group), "", 0, 0, NULL,
		"Group of the user table; empty leaves it root's."},
	{"usage_dir", PATH, RESTART, AT(usage_dir), "/var/lib/brim/usage", 0, 0, NULL,
		"The usage store, private to quotad."},
	{"socket", PATH, RESTART, AT(socket), "/run/brim/quotad.sock", 0, 0, NULL,
		"Where quotad listens."},
	{"daemon_user", TEXT, RESTART, AT(daemon_user), "brim", 0, 0, NULL,
		"Whom quotad becomes when it is started as root."},
	{"trusted_users", LIST, RELOAD, AT(trusted_users), "", 0, 0, NULL,
		"Users who may ask about every mailbox, such as the one mail user of a "
		"pipe transport."},
	{"policy_listen", PATHS, RESTART, AT(policy_listen), "", 0, 0, NULL,
		"Where Postfix asks the policy service: paths of sockets, such as "
		"/var/spool/postfix/private/brim-policy."},
	{"policy_group", TEXT, RESTART, AT(policy_group), "postfix", 0, 0, NULL,
		"Group of the policy sockets; who may open one may ask about every "
		"mailbox."},
	{"policy_mode", MODE, RESTART, AT(policy_mode), "0660", 0600, 0666, NULL,
		"Mode of the policy sockets."},
	{"policy_error", CHOICE, RELOAD, AT(policy_error_passes), "defer", 0, 0,
		WORDS("defer", "pass"),
		"What the policy service answers to an error of ours: defer (451), or "
		"pass "
		"and leave it to the delivery."},
	{"policy_unknown", CHOICE, RELOAD, AT(policy_unknown_passes), "refuse", 0, 0,
		WORDS("refuse", "pass"),
		"What the policy service answers to an unknown user: refuse (550), or "
		"pass where Postfix has tables of its own that may know it."},
	{"policy_users", LIST, RELOAD, AT(policy_users), "postfix", 0, 0, NULL,
		"Users whose yes to a whole message keeps its room: Postfix's own."},
	{"promise_time", TIME, RELOAD, AT(promise_time), "10m", 0, 86400, NULL,
		"How long room is kept for a message that was accepted at SMTP time; 0 "
		"keeps none."},
	{"promise_trusted", NETWORKS, RELOAD, AT(promise_trusted), "", 0, 0, NULL,
		"Networks whose messages have room kept without a bound for each "
		"client, such as 192.0.2.0/24 [2001:db8::]/64."},
	{"map_listen", PATHS, RESTART, AT(map_listen), "", 0, 0, NULL,
		"Where Postfix and sendmail look up mailboxes, aliases and domains: "
		"paths "
		"of sockets, such as /var/spool/postfix/private/brim-map."},
	{"map_group", TEXT, RESTART, AT(map_group), "postfix", 0, 0, NULL,
		"Group of the map sockets; who may open one may look up every mailbox."},
	{"map_mode", MODE, RESTART, AT(map_mode), "0660", 0600, 0666, NULL,
		"Mode of the map sockets."},
	{"recipient_delimiter", DELIMITERS, RELOAD, AT(recipient_delimiter), "+", 0, 0,
		NULL, "Bytes that begin an address's extension; empty for none."},
	{"local_domains", LIST, RELOAD, AT(local_domains), "", 0, 0, NULL,
		"Domains of this host, whose users are bare names in the table, besides "
		"localhost, its own names and literals of its addresses."},
	{"map_transport", TEXT, RELOAD, AT(map_transport), "brim", 0, 0, NULL,
		"What the map transport answers for virtual mailboxes: a service of "
		"master.cf."},
	{"over_quota", OVER_QUOTA, RELOAD, AT(over_quota), "3d", 0, 0, NULL,
		"A full mailbox: defer, bounce, or a time for which it is deferred "
		"before it bounces."},
	{"smtp_full", CHOICE, RELOAD, AT(smtp_full_waits), "refuse", 0, 0,
		WORDS("refuse", "wait"),
		"Mail for a full mailbox at SMTP time: refuse, or wait in the mail "
		"server's queue up to wait_max."},
	{"wait_max", SIZE, RELOAD, AT(wait_max), "10M", 0, UINT64_MAX, NULL,
		"With smtp_full = wait: more than this does not wait for a mailbox."},
	{"release_socket", PATH, RELOAD, AT(release_socket), "/run/brim/release.sock", 0,
		0, NULL,
		"Where brim-release listens, which has Postfix deliver mail that waits "
		"once there is room."},
	{"quota", SIZE, RELOAD, AT(quota), "0", 0, UINT64_MAX, NULL,
		"Limit of a mailbox whose record and domain set none; 0 is no limit."},
	{"quota_ignore", LIST, RELOAD, AT(quota_ignore), "", 0, 0, NULL,
		"Folders that do not count, such as Trash Junk; a blank in a name is "
		"written %20."},
	{"message_size_limit", SIZE, RELOAD, AT(message_size_limit), "0", 0, UINT64_MAX,
		NULL, "A message larger than this is refused with 5.2.3; 0 is no limit."},
	{"send_quota", SIZE, RELOAD, AT(send_quota), "0", 0, UINT64_MAX, NULL,
		"Whoever has more than this in a mailbox may not send until mail is "
		"deleted; 0 is no limit."},
	{"blocked_senders", PATH, RELOAD, AT(blocked_senders), "", 0, 0, NULL,
		"File of addresses, @domains and .domains whose mail is refused at SMTP "
		"time; empty for none."},
	{"quotad_down", CHOICE, RELOAD, AT(quotad_down_delivers), "defer", 0, 0,
		WORDS("defer", "deliver"),
		"What lda does when quotad can't be asked: defer, or deliver without a "
		"limit."},
	{"deadline", TIME, RELOAD, AT(deadline), "300s", 2, 900, NULL,
		"lda gives up and says try again after this time; below the MTA's own "
		"limit."},
	{"quotad_timeout", TIME, RELOAD, AT(quotad_timeout), "10s", 1, 300, NULL,
		"How long lda waits for an answer of quotad."},
	{"recheck_above", COUNT, RELOAD, AT(recheck_above), "80", 0, 100, NULL,
		"Per cent of the limit above which a mailbox is looked at before a "
		"message is taken."},
	{"recount_every", TIME, RELOAD, AT(recount_every), "7d", 60, 366 * 86400, NULL,
		"Every mailbox is counted file by file once in this time."},
	{"max_connections", COUNT, RELOAD, AT(max_connections), "12000", 16, 1000000,
		NULL, "Connections that quotad takes in all."},
	{"max_user_connections", COUNT, RELOAD, AT(max_user_connections), "100", 1,
		1000000, NULL,
		"Connections of one user; trusted users have 16 times as many."},
	{"max_user_tickets", COUNT, RELOAD, AT(max_user_tickets), "200", 1, 1000000, NULL,
		"Deliveries under way of one user; trusted users have 16 times as many."},
	{"min_uid", COUNT, RELOAD, AT(min_uid), "100", 1, UINT32_MAX - 1, NULL,
		"Records with a lower uid are refused."},
	{"scan_as", CHOICE, RESTART, AT(scan_as), "auto", 0, 0,
		WORDS("auto", "scanner", "owner"),
		"Who reads a mailbox to count it: scanner, owner, or auto (owner on NFS "
		"and FUSE)."},
	{"log", CHOICE, RESTART, AT(log), "syslog", 0, 0, WORDS("syslog", "stderr"),
		"Where quotad logs: syslog or stderr."},
};

#define SETTINGS (sizeof settings / sizeof *settings)

static const struct setting *
find_setting(const char *name, size_t length)
{
	for (size_t i = 0; i < SETTINGS; i++)
		if (strncmp(settings[i].name, name, length) == 0 &&
			settings[i].name[length] == '\0')
			return &settings[i];
	return NULL;
}

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
is_list(const struct setting *s)
{
	return s->type == LIST || s->type == PATHS || s->type == NETWORKS;
}

static int
is_text(const struct setting *s)
{
	return s->type == TEXT || s->type == DELIMITERS || s->type == PATH || is_list(s);
}

/* A byte that names are made of would cut them, and mail for one would be another's: so
 * would a word such as "none". */
static int
check_delimiters(const char *value, struct reason *why)
{
	const size_t length = strlen(value);

	if (length > 2 && (value[0] == '"' || value[0] == '\'') &&
		value[length - 1] == value[0])
		return reason_set(why,
			"recipient_delimiter: %.40s: write it without quotation marks",
			value);
	for (const char *p = value; *p; p++)
		if (isalnum((unsigned char)*p) || isblank((unsigned char)*p) ||
			*p == '@' || (unsigned char)*p >= 0x80)
			return reason_set(why,
				"recipient_delimiter: \"%.40s\" has letters, digits, "
				"blanks or an @ in it, which are parts of names: write "
				"the delimiters alone, such as +, or nothing for none",
				value);
	return 0;
}

static int
set_text(struct conf *c, const struct setting *s, const char *value, struct reason *why)
{
	struct reason fault;
	char *copy;

	if (s->type == PATH && (*value || *s->fallback) && !conf_is_path(value))
		return reason_set(
			why, "%s: \"%.80s\" is not an absolute path", s->name, value);
	if (s->type == DELIMITERS && check_delimiters(value, why))
		return -1;
	if (is_list(s) && conf_list_check(value,
				  s->type == PATHS      ? CONF_LIST_PATHS
				  : s->type == NETWORKS ? CONF_LIST_NETWORKS
							: CONF_LIST_NAMES,
				  &fault))
		return reason_set(why, "%s: %s", s->name, fault.text);
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
read_choice(const struct setting *s, const char *value, uint64_t *n, struct reason *why)
{
	struct reason all = {""};

	for (size_t i = 0; s->choices[i]; i++) {
		if (strcmp(value, s->choices[i]) == 0) {
			*n = i;
			return 0;
		}
		snprintf(all.text + strlen(all.text), sizeof all.text - strlen(all.text),
			"%s%s", i ? (s->choices[i + 1] ? ", " : " or ") : "",
			s->choices[i]);
	}
	return reason_set(why, "\"%.40s\" is not %s", value, all.text);
}

int
conf_smtp_full(const char *text, uint64_t *waits, struct reason *why)
{
	return read_choice(find_setting("smtp_full", 9), text, waits, why);
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
	case CHOICE:
		return read_choice(s, value, n, why);
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
	case CHOICE:
		return s->choices[n];
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

static int
no_setting(const char *name, struct reason *why)
{
	return reason_set(why, "there is no setting \"%.60s\"", name);
}

int
conf_set(struct conf *c, const char *name, const char *value, struct reason *why)
{
	const struct setting *s = find_setting(name, strlen(name));

	return s ? set_value(c, s, value, why) : no_setting(name, why);
}

/* --- from a file ------------------------------------------------------------------ */

struct loading {
	struct conf *conf;
	unsigned line_of[SETTINGS]; /* 0: not set yet */
};

static int
is_name(const char *text, size_t length)
{
	return find_setting(text, length) != NULL;
}

static int
take_setting(
	void *arg, unsigned line, const char *name, const char *value, struct reason *why)
{
	struct loading *l = arg;
	const struct setting *s = find_setting(name, strlen(name));
	unsigned *set_in;

	if (!s)
		return no_setting(name, why);
	set_in = &l->line_of[s - settings];
	if (*set_in)
		return reason_set(why, "%s is set already in line %u: take that one out",
			name, *set_in);
	*set_in = line;
	return set_value(l->conf, s, value, why);
}

static int
read_file(struct conf *c, const char *path, struct reason *why)
{
	struct loading l = {.conf = c};
	const struct conf_reader reader = {is_name, take_setting, &l};
	size_t size;
	char *text = conf_read_file(path, &size, why);
	int result;

	if (!text)
		return -1;
	result = conf_read_text(path, text, size, &reader, why);
	free(text);
	errno = 0;
	return result;
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

/* Whether a name is there that leads nowhere: a link to settings that are lost. */
static int
is_dangling(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISLNK(st.st_mode) && stat(path, &st) == -1;
}

/* Without the file all is as by default; with one that was there, and can't be had now,
 * nothing is. */
static int
read_default_file(struct conf *c, struct reason *why)
{
	if (read_file(c, CONF_FILE, why) == 0)
		return 0;
	return errno == ENOENT && !is_dangling(CONF_FILE) && !is_dangling(CONF_DIRECTORY)
		       ? 0
		       : -1;
}

int
conf_load(struct conf *c, const char *file, struct reason *why)
{
	int result = set_defaults(c, why);

	if (result == 0)
		result = file ? read_file(c, file, why) : read_default_file(c, why);
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
	uint64_t fallback = 0;

	if (is_text(s))
		return *text_of(c, s);
	if (read_number(s, s->fallback, &fallback, NULL) == 0 &&
		fallback == *number_of(c, s))
		return s->fallback;
	return show_number(s, *number_of(c, s), buf);
}

void
conf_each(const struct conf *c, void (*take)(void *arg, const struct conf_row *row),
	void *arg)
{
	for (const struct setting *s = settings; s < settings + SETTINGS; s++) {
		char buf[AMOUNT_SIZE];
		const struct conf_row row = {.name = s->name,
			.value = show_value(c, s, buf),
			.fallback = s->fallback,
			.sentence = s->sentence,
			.takes_restart = s->takes_change == RESTART};

		take(arg, &row);
	}
}

static int
is_same(const struct conf *a, const struct conf *b, const struct setting *s)
{
	return is_text(s) ? strcmp(*text_of(a, s), *text_of(b, s)) == 0
			  : *number_of(a, s) == *number_of(b, s);
}

static void
exchange(struct conf *a, struct conf *b, const struct setting *s)
{
	if (is_text(s)) {
		char *text = *text_of(a, s);

		*text_of(a, s) = *text_of(b, s);
		*text_of(b, s) = text;
	} else {
		uint64_t n = *number_of(a, s);

		*number_of(a, s) = *number_of(b, s);
		*number_of(b, s) = n;
	}
}

void
conf_keep(struct conf *new, struct conf *in_force,
	void (*kept)(void *arg, const char *name), void *arg)
{
	for (const struct setting *s = settings; s < settings + SETTINGS; s++)
		if (s->takes_change == RESTART && !is_same(new, in_force, s)) {
			exchange(new, in_force, s);
			kept(arg, s->name);
		}
}

static void
print_row(void *arg, const struct conf_row *row)
{
	FILE *to = arg;

	fprintf(to, "# %s%s\n", row->sentence,
		row->takes_restart ? " A change takes a restart of quotad." : "");
	fprintf(to, "%s%s =%s%s\n\n", strcmp(row->value, row->fallback) == 0 ? "#" : "",
		row->name, strchr(";", row->value[0]) ? "" : " ", row->value);
}

int
conf_print(const struct conf *c, FILE *to)
{
	conf_each(c, print_row, to);
	return fflush(to) || ferror(to) ? -1 : 0;
}
