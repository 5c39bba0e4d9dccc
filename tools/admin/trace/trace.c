/*
 * brimadm trace: what became of a message, from what the log says of it.
 *
 * A message may have several queue ids: a content filter, an alias and a .forward give it
 * another, and a bounce has one of its own. Each line that names one of those known so
 * far tells the others that it names; the log is read again until no new one comes. So
 * nothing is kept of it but the lines that are shown.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "brimadm.h"
#include "log_line.h"
#include "log_source.h"
#include "log_text.h"

#define IDS_MAX    64
#define ROWS_MAX   20000
#define TEXT_MAX   1000 /* bytes of a line that are shown */
#define READS_MAX  8
#define SEARCH_MAX 16384 /* bytes of a line that are searched for ids */
#define USERS_UID  1000  /* the first that is a person's, and none of a mail server's */
#define NOBODY_UID 65534

struct row {
	char *time, *host, *program, *text;
	char step[32];
};

struct trace {
	const char *message_id; /* without brackets; NULL where an id was given */
	char ids[IDS_MAX][LOG_ID_MAX + 1];
	char is_gone[IDS_MAX]; /* the message of that id was removed */
	size_t count;
	const struct row *again; /* the first row of another message with an id of ours */
	struct row *rows;
	size_t filled;
	int is_journal, is_short; /* of memory */
	int left_out;             /* there were more lines */
};

/* --- lines that are about the message ---------------------------------------------- */

/* The index of the id, or that of none. */
static size_t
find_id(const struct trace *t, const char *id, size_t length)
{
	size_t i = 0;

	while (i < t->count &&
		(strlen(t->ids[i]) != length || memcmp(t->ids[i], id, length) != 0))
		i++;
	return i;
}

static int
is_about(const struct trace *t, const struct log_line *l)
{
	struct log_id ids[LOG_IDS];
	const size_t count = log_text_ids(l, ids);

	for (size_t i = 0; i < count; i++)
		if (find_id(t, ids[i].text, ids[i].length) < t->count)
			return 1;
	return t->message_id && log_text_has_message_id(l, t->message_id);
}

static void
add_ids(struct trace *t, const struct log_line *l)
{
	struct log_id ids[LOG_IDS];
	const size_t count = log_text_ids(l, ids);

	for (size_t i = 0; i < count && t->count < IDS_MAX; i++)
		if (find_id(t, ids[i].text, ids[i].length) == t->count)
			snprintf(t->ids[t->count++], sizeof t->ids[0], "%.*s",
				(int)ids[i].length, ids[i].text);
}

static int
begins_a_message(const char *step)
{
	return strcmp(step, "received") == 0 || strcmp(step, "submitted") == 0;
}

/* Short queue ids are given again as soon as their message is gone. */
static void
look_for_another(struct trace *t, const struct log_line *l, struct row *r)
{
	struct log_id ids[LOG_IDS];
	const size_t id =
		log_text_ids(l, ids) ? find_id(t, ids[0].text, ids[0].length) : t->count;

	if (id == t->count)
		return;
	if (strcmp(r->step, "removed") == 0)
		t->is_gone[id] = 1;
	else if (t->is_gone[id] && !t->again && begins_a_message(r->step))
		t->again = r;
}

/* The text as it is shown: cut, and its odd bytes as %XX. */
static char *
show(const char *text)
{
	size_t length = strlen(text), kept = length < TEXT_MAX ? length : TEXT_MAX;
	char *shown = malloc(3 * kept + sizeof "..."), *to = shown;

	for (size_t i = 0; shown && i < kept; i++)
		to += snprintf(to, 4, text[i] < ' ' || text[i] > '~' ? "%%%02X" : "%c",
			(unsigned char)text[i]);
	if (shown)
		strcpy(to, kept < length ? "..." : "");
	return shown;
}

static void
add_row(struct trace *t, const struct log_line *l)
{
	struct row *r = &t->rows[t->filled];
	char step[32] = "";

	if (t->filled == ROWS_MAX) {
		t->left_out = 1;
		return;
	}
	snprintf(r->step, sizeof r->step, "%s", log_text_step(l, step));
	r->time = show(l->time);
	r->host = show(l->host);
	r->program = show(l->program);
	r->text = show(l->text);
	t->filled++;
	look_for_another(t, l, r);
	t->is_short = t->is_short || !r->time || !r->host || !r->program || !r->text;
}

static void
drop_rows(struct trace *t)
{
	while (t->filled > 0) {
		const struct row *r = &t->rows[--t->filled];

		free(r->time);
		free(r->host);
		free(r->program);
		free(r->text);
	}
}

/* --- reading ----------------------------------------------------------------------- */

/* Whether it may be about the message, which is found out faster than whether it is. */
static int
may_be_about(const struct trace *t, const char *text, size_t length)
{
	static const char bytes[] = "\"MESSAGE\":["; /* of no text, in a journal */

	if (t->is_journal && memmem(text, length, bytes, sizeof bytes - 1))
		return 1;
	if (t->message_id && memmem(text, length, t->message_id, strlen(t->message_id)))
		return 1;
	for (size_t i = 0; i < t->count; i++)
		if (memmem(text, length, t->ids[i], strlen(t->ids[i])))
			return 1;
	return 0;
}

/* A message that is no text is a list of its bytes. */
static char *
message_text(const json_t *message)
{
	size_t count = json_array_size(message);
	char *text;

	if (json_is_string(message))
		return strdup(json_string_value(message));
	text = malloc(count + 1);
	for (size_t i = 0; text && i < count; i++) {
		const char byte = (char)json_integer_value(json_array_get(message, i));

		text[i] = byte ? byte : ' ';
	}
	if (text)
		text[count] = '\0';
	return text;
}

static void
take_line(struct trace *t, const struct log_line *l)
{
	if (!is_about(t, l))
		return;
	add_ids(t, l);
	add_row(t, l);
}

static const char *
member(const json_t *entry, const char *name)
{
	const char *value = json_string_value(json_object_get(entry, name));

	return value ? value : "";
}

/* Who logs in syslog's way may give any name for the program. The journal knows whose
 * process it was, so that a user's is told. */
static char *
journal_program(const json_t *entry)
{
	const char *name = member(entry, "SYSLOG_IDENTIFIER");
	uint64_t uid = 0;
	char *program;

	if (amount_count(member(entry, "_UID"), &uid, NULL) || uid < USERS_UID ||
		uid == NOBODY_UID)
		return strdup(name);
	return asprintf(&program, "%s, uid %" PRIu64, name, uid) < 0 ? NULL : program;
}

/* A line of journalctl -o json. */
static void
take_json(struct trace *t, const char *line, size_t length)
{
	json_t *entry = json_loadb(line, length, 0, NULL);
	char *program = journal_program(entry),
	     *text = message_text(json_object_get(entry, "MESSAGE")), when[32] = "";
	struct log_line l = {when, member(entry, "_HOSTNAME"), program ? program : "",
		text ? text : ""};
	uint64_t us = 0;
	time_t seconds;
	struct tm tm;

	if (amount_count(member(entry, "__REALTIME_TIMESTAMP"), &us, NULL) == 0) {
		seconds = (time_t)(us / 1000000);
		if (localtime_r(&seconds, &tm))
			strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S%z", &tm);
	}
	if (text) {
		text[strnlen(text, SEARCH_MAX)] = '\0';
		l.text = log_line_skip_time(text);
	}
	t->is_short = t->is_short || !program;
	take_line(t, &l);
	free(program);
	free(text);
	json_decref(entry);
}

static int
take_lines(void *arg, char *lines, size_t length)
{
	struct trace *t = arg;
	char *stop;

	if (!may_be_about(t, lines, length))
		return 0;
	for (; length > 0; length -= (size_t)(stop + 1 - lines), lines = stop + 1) {
		struct log_line l = {"", "", "", ""};

		stop = memchr(lines, '\n', length);
		if (!stop)
			break;
		if (!may_be_about(t, lines, (size_t)(stop - lines)))
			continue;
		*stop = '\0';
		if (t->is_journal) {
			take_json(t, lines, (size_t)(stop - lines));
		} else {
			lines[strnlen(lines, SEARCH_MAX)] = '\0';
			log_line_read(&l, lines);
			take_line(t, &l);
		}
		if (t->is_short)
			return -1;
	}
	return 0;
}

/* Where the log is, of the usual places; syslog has what mail.log has, too. */
static const char *
find_log(void)
{
	static const char *const places[] = {"/var/log/mail.log", "/var/log/maillog",
		"/var/log/syslog", "/var/log/messages"};

	for (size_t i = 0; i < sizeof places / sizeof *places; i++)
		if (access(places[i], F_OK) == 0)
			return places[i];
	return NULL;
}

/* Reads it all, again until no further id comes. As the source: 1, 0 without one, -1. */
static int
read_all(struct trace *t, const char *file, struct reason *why)
{
	const struct log_reader to = {take_lines, t};
	int result = 0;
	size_t known;

	for (int i = 0; i < READS_MAX; i++) {
		known = t->count;
		drop_rows(t);
		t->left_out = 0;
		t->again = NULL;
		memset(t->is_gone, 0, sizeof t->is_gone);
		if (t->is_journal)
			result = log_source_journal(&to, why);
		else
			result = log_source_file(file, &to, why) ? -1 : 1;
		if (result <= 0 || t->count == known)
			break;
	}
	return result;
}

/* The journal first, unless a file was named; a file where that has nothing of it. */
static int
search(struct trace *t, const char *file, struct reason *why)
{
	int result = 0;

	if (!file) {
		t->is_journal = 1;
		result = read_all(t, NULL, why);
		t->is_journal = 0;
		if (result < 0 || t->filled > 0)
			return result;
		file = find_log();
	}
	if (file)
		result = read_all(t, file, why);
	else if (result == 0)
		return reason_set(why, "there is neither a journal nor a log file in "
				       "/var/log; brimadm trace --log FILE");
	return result;
}

/* --- the table --------------------------------------------------------------------- */

static int
wider(int width, const char *text)
{
	return (int)strlen(text) > width ? (int)strlen(text) : width;
}

/* The hosts are shown where there are several. */
static int
has_hosts(const struct trace *t)
{
	for (size_t i = 1; i < t->filled; i++)
		if (strcmp(t->rows[i].host, t->rows[0].host) != 0)
			return 1;
	return 0;
}

static void
print_rows(const struct trace *t)
{
	const char *const heads[] = {
		"TIME", has_hosts(t) ? "HOST" : "", "STEP", "PROGRAM", "WHAT IT LOGGED"};
	const char *cells[5] = {0};
	int widths[4] = {0};

	for (size_t pass = 0; pass < 2; pass++)
		for (size_t i = 0; i <= t->filled; i++) {
			const struct row *r = i ? &t->rows[i - 1] : NULL;

			for (size_t c = 0; c < 5; c++)
				cells[c] = heads[c];
			if (r) {
				cells[0] = r->time;
				cells[1] = heads[1][0] ? r->host : "";
				cells[2] = r->step;
				cells[3] = r->program;
				cells[4] = r->text;
			}
			for (size_t c = 0; c < 4; c++) {
				widths[c] = wider(widths[c], cells[c]);
				if (pass && widths[c])
					printf("%-*s  ", widths[c], cells[c]);
			}
			if (pass)
				puts(cells[4]);
		}
}

/* Whether WHAT is a queue id or a Message-ID; it has then what to look for. */
static int
take_argument(struct trace *t, char *what)
{
	size_t length = strlen(what);
	const int has_brackets = length > 2 && what[0] == '<' && what[length - 1] == '>';

	if (has_brackets) {
		what[length - 1] = '\0';
		what++;
		length -= 2;
	}
	if (has_brackets || strchr(what, '@')) {
		t->message_id = what;
		return length > 2;
	}
	if (!log_text_is_id(what, length))
		return 0;
	if (length == 16 && strspn(what, "0123456789abcdef") == length)
		length = 8; /* OpenSMTPD's, of one recipient */
	snprintf(t->ids[t->count++], sizeof t->ids[0], "%.*s", (int)length, what);
	return 1;
}

int
brimadm_trace(struct brimadm *a, int argc, char **argv)
{
	struct trace *t = calloc(1, sizeof *t);
	char *asked = strdup(argv[0]); /* as it was given */
	int result = -1, status = TOOL_CANT;

	(void)argc;
	if (t)
		t->rows = calloc(ROWS_MAX, sizeof *t->rows);
	if (!t || !t->rows || !asked)
		reason_set(&a->why, REASON_NO_MEMORY);
	else if (!take_argument(t, argv[0]))
		status = brimadm_refuse(a, TOOL_USAGE,
			"\"%.80s\" is neither a queue id nor a Message-ID", asked);
	else
		result = search(t, a->option[OPTION_LOG], &a->why);
	if (t && t->is_short)
		reason_set(&a->why, REASON_NO_MEMORY);
	else if (t && t->filled > 0)
		print_rows(t);
	if (t && t->again && t->filled > 0)
		tool_warn("from %s on a queue id of the message is another message's",
			t->again->time);
	if (t && t->left_out)
		tool_warn("there are more than %d lines: the first are shown", ROWS_MAX);
	if (result < 0)
		status = tool_fail(status, "%s", a->why.text);
	else
		status = t->filled > 0 ? TOOL_OK
				       : tool_fail(TOOL_NO,
						 "the log has nothing of %.80s", asked);
	if (t && t->rows)
		drop_rows(t);
	if (t)
		free(t->rows);
	free(t);
	free(asked);
	return status;
}
