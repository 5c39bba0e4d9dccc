/* Answers: each step knows which line may come next. */
#include "answer.h"

#include <stdlib.h>
#include <string.h>

#include "process.h"
#include "record.h"

static int
take_number(const struct record *r, const char *name, uint64_t most, uint64_t *n)
{
	return record_get(r, name) && record_number(r, name, 0, n) == 0 && *n <= most
		       ? 0
		       : -1;
}

/* FAILED may stand in the place of any answer. */
static enum answer_step
take_failure(struct answer *a, const struct record *line)
{
	const char *text = record_get(line, "text");

	if (strcmp(line->key, "FAILED") != 0 || !text)
		return ANSWER_NONSENSE;
	reason_set(&a->why, "%s", text);
	answer_fail(a);
	return ANSWER_COMPLETE;
}

/* Instead of the first line. */
static enum answer_step
read_refusal(struct answer *a, const char *line, size_t length)
{
	struct record record;
	enum answer_step step;

	if (strcmp(line, SCANNER_OWNER) == 0)
		return ANSWER_NOT_MINE;
	if (record_parse(&record, line, length, 1, NULL))
		return ANSWER_NONSENSE;
	step = take_failure(a, &record);
	record_clear(&record);
	return step;
}

/* --- counts ----------------------------------------------------------------------- */

/* More names than were asked for, or one that can't be kept, end the count. */
static enum answer_step
read_seen(struct answer *a, const char *line, size_t length)
{
	char *name;

	if (strcmp(line, "END") == 0)
		return ANSWER_COMPLETE;
	if (line[0] != '+' || length < 2 || a->found.seen_count == a->asked)
		return ANSWER_NONSENSE;
	if (!a->seen)
		a->seen = calloc(a->asked, sizeof *a->seen);
	name = a->seen ? strdup(line + 1) : NULL;
	if (!name || record_unescape(name)) {
		free(name);
		return ANSWER_NONSENSE;
	}
	a->seen[a->found.seen_count++] = name;
	a->found.seen = (const char *const *)a->seen;
	return ANSWER_MORE;
}

/* What a count has found of names it may leave out: then it found none. */
static int
take_numbers(struct scanner_result *f, const struct record *line)
{
	uint64_t exact;

	if (take_number(line, "exact", 1, &exact) ||
		take_number(line, "bytes", UINT64_MAX, &f->bytes) ||
		take_number(line, "messages", UINT64_MAX, &f->messages) ||
		take_number(line, "stamp", UINT64_MAX, &f->stamp) ||
		record_number(line, "directory", 0, &f->directory) ||
		record_number(line, "missing", 0, &f->missing) ||
		record_number(line, "ignored", 0, &f->ignored) ||
		record_number(line, "sure_bytes", 0, &f->sure_bytes) ||
		record_number(line, "sure_messages", 0, &f->sure_messages) ||
		record_number(line, "by_name", 0, &f->by_name) ||
		record_number(line, "wrong", 0, &f->wrong))
		return -1;
	f->exact = (int)exact;
	return 0;
}

static enum answer_step
read_counted(struct answer *a, const char *line, size_t length)
{
	struct record record;
	enum answer_step step;

	if (record_parse(&record, line, length, 1, NULL))
		return ANSWER_NONSENSE;
	if (strcmp(record.key, "COUNTED") != 0)
		step = take_failure(a, &record);
	else
		step = take_numbers(&a->found, &record) ? ANSWER_NONSENSE : ANSWER_MORE;
	record_clear(&record);
	a->next = read_seen;
	return step;
}

/* The directories have been read: now it is told which names to look for. */
static enum answer_step
read_scanned(struct answer *a, const char *line, size_t length)
{
	long sent;

	if (strcmp(line, "SCANNED") != 0)
		return read_refusal(a, line, length);
	sent = a->send_names(a->arg);
	if (sent < 0)
		return ANSWER_NONSENSE;
	a->asked = (size_t)sent;
	a->next = read_counted;
	return ANSWER_MORE;
}

/* --- probes and pings ------------------------------------------------------------- */

static enum answer_step
read_probed(struct answer *a, const char *line, size_t length)
{
	struct record record;
	enum answer_step step = ANSWER_NONSENSE;

	if (strncmp(line, "PROBED ", 7) != 0)
		return read_refusal(a, line, length);
	if (record_parse(&record, line, length, 1, NULL))
		return ANSWER_NONSENSE;
	if (take_number(&record, "stamp", UINT64_MAX, &a->found.stamp) == 0)
		step = ANSWER_COMPLETE;
	record_clear(&record);
	return step;
}

static enum answer_step
read_pong(struct answer *a, const char *line, size_t length)
{
	return strcmp(line, "PONG") == 0 ? ANSWER_COMPLETE
					 : read_refusal(a, line, length);
}

/* --- an answer as a whole --------------------------------------------------------- */

void
answer_begin(
	struct answer *a, enum answer_kind kind, long (*send_names)(void *arg), void *arg)
{
	static enum answer_step (*const first[])(
		struct answer *, const char *, size_t) = {
		[ANSWER_COUNT] = read_scanned,
		[ANSWER_PROBE] = read_probed,
		[ANSWER_PING] = read_pong,
	};

	answer_clear(a);
	a->next = first[kind];
	a->send_names = send_names;
	a->arg = arg;
}

enum answer_step
answer_line(struct answer *a, const char *line, size_t length)
{
	if (length > RECORD_LINE_MAX || strlen(line) != length)
		return ANSWER_NONSENSE;
	return a->next(a, line, length);
}

void
answer_fail(struct answer *a)
{
	answer_clear(a);
	a->found.failed = 1;
	a->found.text = a->why.text;
}

void
answer_clear(struct answer *a)
{
	for (size_t i = 0; i < a->found.seen_count; i++)
		free(a->seen[i]);
	free(a->seen);
	a->seen = NULL;
	a->asked = 0;
	memset(&a->found, 0, sizeof a->found);
}
