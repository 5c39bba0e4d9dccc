/*
 * brimadm explain: the mailbox's files, counted here, beside what quotad holds. The files
 * are shown though quotad is down, and quotad's part though they can't be read.
 */
#include "explain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "folders.h"
#include "probe.h"
#include "quota_client.h"
#include "store_kind.h"
#include "walk.h"

/* --- the files -------------------------------------------------------------------- */

static void
add_up(struct explain *e, const struct count_part *p)
{
	e->bytes = amount_add(e->bytes, p->bytes);
	e->messages += p->messages;
	e->larger += p->larger;
	e->excess = amount_add(e->excess, p->excess);
	e->smaller += p->smaller;
	e->shortfall = amount_add(e->shortfall, p->shortfall);
}

static int
add_directory(struct explain *e, const char *folder, const char *part, int ignored,
	const struct count_part *found)
{
	struct explain_directory *grown, *d;

	if (found->missing)
		return 0;
	grown = reallocarray(e->directories, e->directory_count + 1, sizeof *grown);
	if (!grown)
		return -1;
	e->directories = grown;
	d = &grown[e->directory_count];
	*d = (struct explain_directory){.folder = strdup(folder),
		.part = part,
		.ignored = ignored,
		.changed = -1,
		.found = *found};
	if (!d->folder)
		return -1;
	e->directory_count++;
	if (!ignored)
		add_up(e, found);
	return 0;
}

static int
read_folder(struct explain *e, int mailbox, const struct folder *f, struct reason *why)
{
	struct count_part new, cur;

	if (count_parts(mailbox, f->path, &new, &cur, why))
		return -1;
	if (add_directory(e, f->path, "new", f->ignored, &new) ||
		add_directory(e, f->path, "cur", f->ignored, &cur))
		return reason_set(why, "no memory");
	return 0;
}

/* A file has the name of its ticket until a client takes it out of new. */
static void
find_tickets(struct explain *e, int mailbox)
{
	int new = walk_open_in(mailbox, "new", NULL);
	struct stat st;

	for (size_t i = 0; new >= 0 && i < e->ticket_count; i++) {
		struct explain_ticket *t = &e->tickets[i];

		t->is_there = fstatat(new, t->name, &st, AT_SYMLINK_NOFOLLOW) == 0;
		if (t->is_there) {
			e->there++;
			e->there_bytes = amount_add(e->there_bytes, t->bytes);
		}
	}
	if (new >= 0)
		close(new);
}

static int
read_folders(struct explain *e, const struct conf *c, const struct folders *f,
	struct reason *why)
{
	struct folders after;

	for (size_t i = 0; i < f->count; i++)
		if (read_folder(e, f->dir, &f->list[i], why))
			return -1;
	find_tickets(e, f->dir);
	if (folders_look(&after, e->mailbox.path, c->quota_ignore, why))
		return -1;
	e->moving = after.stamp != f->stamp;
	folders_clear(&after);
	return 0;
}

/* Those that lead to directories hold mail that a server may show, and that does not
 * count. The path of each is kept. */
static int
find_links(struct explain *e, struct folders *f, struct probe *probe)
{
	for (size_t i = 0; i < f->link_count; i++) {
		char *path;
		int leads;

		if (asprintf(&path, "%s%s", e->mailbox.path, f->links[i]) < 0)
			return -1;
		leads = probe_leads_to_directory(probe, path);
		free(path);
		if (!leads)
			continue;
		if (!e->links)
			e->links = calloc(f->link_count, sizeof *e->links);
		if (!e->links || !(path = strdup(f->links[i])))
			return -1;
		e->links[e->link_count++] = path;
	}
	return 0;
}

static int
read_mailbox(
	struct explain *e, const struct conf *c, struct probe *probe, struct reason *why)
{
	const char *path = e->mailbox.path;
	enum store_kind kind;
	struct folders f;
	int result = 0;

	if (store_kind_of(path, &kind, why))
		return -1;
	if (folders_look(&f, path, c->quota_ignore, why))
		return -1;
	e->missing = f.dir < 0;
	if (!e->missing)
		result = read_folders(e, c, &f, why);
	if (result == 0 && find_links(e, &f, probe))
		result = reason_set(why, "no memory");
	folders_clear(&f);
	return result;
}

/* The reason of what failed alone counts: that a folder is missing is none. */
static void
read_files(struct explain *e, const struct conf *c)
{
	struct probe probe = {0};
	struct reason why;

	if (!probe_answers(&probe, e->mailbox.path))
		reason_set(&e->unread, "%s: its file system does not answer",
			e->mailbox.path);
	else if (read_mailbox(e, c, &probe, &why))
		e->unread = why;
	probe_end(&probe);
}

/* --- the ledger ------------------------------------------------------------------- */

static int
take_text(const struct record *r, const char *name, char **text)
{
	const char *value = record_get(r, name);

	*text = value ? strdup(value) : NULL;
	return *text ? 0 : -1;
}

static int
take_ledger(struct explain_ledger *l, const struct record *r)
{
	const char *over_quota = record_get(r, "over_quota");
	const struct {
		const char *name;
		uint64_t *number;
	} fields[] = {
		{"known", &l->known},
		{"used", &l->used},
		{"messages", &l->messages},
		{"reserved", &l->reserved},
		{"tickets", &l->tickets},
		{"promised", &l->promised},
		{"promises", &l->promises},
		{"limit", &l->limit},
		{"message_limit", &l->message_limit},
		{"full_for", &l->full_for},
		{"full_smallest", &l->full_smallest},
		{"counting", &l->counting},
		{"had_mail", &l->had_mail},
		{"held_ms", &l->held_ms},
		{"counted_ago_ms", &l->counted_ago_ms},
		{"counted_exact", &l->counted_exact},
		{"counted_was", &l->counted_was},
		{"counted_found", &l->counted_found},
	};

	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		if (record_number(r, fields[i].name, 0, fields[i].number))
			return -1;
	l->over_quota = CONF_DEFER;
	if (!over_quota || (strcmp(over_quota, "defer") != 0 &&
				   amount_count(over_quota, &l->over_quota, NULL)))
		return -1;
	return l->counted_why ? -1 : take_text(r, "counted_why", &l->counted_why);
}

static int
take_ticket(struct explain *e, const struct record *r)
{
	struct explain_ticket *grown, t = {0};
	uint64_t earlier;

	if (record_number(r, "bytes", 0, &t.bytes) ||
		record_number(r, "age", 0, &t.age) ||
		record_number(r, "earlier", 0, &earlier))
		return -1;
	t.earlier = earlier != 0;
	grown = reallocarray(e->tickets, e->ticket_count + 1, sizeof *grown);
	if (!grown)
		return -1;
	e->tickets = grown;
	if (take_text(r, "name", &t.name) || take_text(r, "state", &t.state)) {
		free(t.name);
		return -1;
	}
	grown[e->ticket_count++] = t;
	return 0;
}

static int
take_line(struct explain *e, const struct record *r)
{
	if (record_get(r, "mailbox"))
		return take_ledger(&e->ledger, r);
	if (record_get(r, "ticket"))
		return take_ticket(e, r);
	return record_number(r, "tickets_left_out", 0, &e->tickets_left_out);
}

static int
take_end(struct explain_ledger *l, const struct record *r)
{
	if (!l->counted_why || take_text(r, "next", &l->next) ||
		take_text(r, "code", &l->code) || take_text(r, "text", &l->text))
		return -1;
	return record_number(r, "used", 0, &l->used_then);
}

/* One answer: 1 where more follow, 0 at the end, -1. */
static int
take_answer(struct explain *e, const struct quota_answer *a)
{
	struct reason *why = &e->ledger.why_not;

	if (a->kind == QUOTA_MORE && take_line(e, &a->fields) == 0)
		return 1;
	if (a->kind == QUOTA_OK && take_end(&e->ledger, &a->fields) == 0)
		return 0;
	if (quota_is_too_old(a))
		return reason_set(why, "quotad is of an older version, which can't tell: "
				       "start it again");
	if (a->kind == QUOTA_ERR)
		return reason_set(why, "quotad: %s", a->outcome.text);
	return reason_set(why, "quotad's answer makes no sense");
}

static int
ask(struct explain *e, struct quota_client *q)
{
	struct reason *why = &e->ledger.why_not;
	char *key = record_escape(e->mailbox.key);
	struct quota_answer a;
	int more = 1;

	if (!key)
		return reason_set(why, "no memory");
	if (quota_send(q, why, "EXPLAIN %s", key))
		more = -1;
	free(key);
	while (more == 1) {
		if (quota_receive(q, &a, why))
			return -1;
		more = take_answer(e, &a);
		quota_answer_clear(&a);
	}
	return more;
}

/* As brimq, a person waits for the count of a large mailbox. */
static void
ask_quotad(struct explain *e, const struct conf *c)
{
	struct quota_client q = {.fd = -1};

	if (quota_connect(&q, c->socket, c->daemon_user, 7 * c->quotad_timeout,
		    &e->ledger.why_not) == 0)
		e->ledger.asked = ask(e, &q) == 0;
	quota_close(&q);
}

/* --- both ------------------------------------------------------------------------- */

/* What lda would be told, which looks at the mailbox before it asks. */
static void
expect_missing(struct explain *e)
{
	struct explain_ledger *l = &e->ledger;
	char **const texts[] = {&l->next, &l->code, &l->text};
	const char *const those[] = {verdict_name(VERDICT_TROUBLE),
		verdict_code(VERDICT_TROUBLE), VERDICT_MISSING_TEXT};

	if (!e->missing || !l->asked || !l->had_mail)
		return;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		char *text = strdup(those[i]);

		if (!text)
			return;
		free(*texts[i]);
		*texts[i] = text;
	}
}

/* What has changed since the count, which was made so long before ASKED_MS, by the clock
 * that ctimes are of. */
static void
compare_times(struct explain *e, int64_t asked_ms)
{
	int64_t counted = asked_ms - (int64_t)e->ledger.counted_ago_ms;

	if (!e->ledger.asked || strcmp(e->ledger.counted_why, "never") == 0)
		return;
	for (size_t i = 0; i < e->directory_count; i++) {
		const struct timespec *t = &e->directories[i].found.changed;

		e->directories[i].changed =
			(int64_t)t->tv_sec * 1000 + t->tv_nsec / 1000000 > counted;
	}
}

static int64_t
clock_ms(void)
{
	struct timespec now = {0};

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void
clear(struct explain *e)
{
	struct explain_ledger *l = &e->ledger;
	char *const texts[] = {l->counted_why, l->next, l->code, l->text};

	for (size_t i = 0; i < e->directory_count; i++)
		free(e->directories[i].folder);
	free(e->directories);
	for (size_t i = 0; i < e->link_count; i++)
		free(e->links[i]);
	free(e->links);
	for (size_t i = 0; i < e->ticket_count; i++) {
		free(e->tickets[i].name);
		free(e->tickets[i].state);
	}
	free(e->tickets);
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		free(texts[i]);
	mailbox_clear(&e->mailbox);
}

/* 0 with the mailbox, or the status, printed. */
static int
find_mailbox(struct brimadm *a, const char *address, struct mailbox *m)
{
	struct users *u = users_open(a->conf.users_db, &a->why);
	struct outcome o;
	int status = TOOL_OK;

	if (!u)
		return tool_fail(TOOL_CANT, "%s", a->why.text);
	if (mailbox_find(m, u, &a->conf, address, &o))
		status =
			tool_fail(o.verdict == VERDICT_NO_SUCH_USER ? TOOL_NO : TOOL_CANT,
				"%s: %s", address, o.text);
	users_close(&u);
	return status;
}

int
brimadm_explain(struct brimadm *a, int argc, char **argv)
{
	struct explain e = {0};
	int64_t asked_ms;
	int status = find_mailbox(a, argv[0], &e.mailbox);

	(void)argc;
	if (status)
		return status;
	asked_ms = clock_ms();
	ask_quotad(&e, &a->conf);
	read_files(&e, &a->conf);
	compare_times(&e, asked_ms);
	expect_missing(&e);
	if (a->option[OPTION_JSON])
		explain_show_json(&e);
	else
		explain_show(&e);
	if (e.unread.text[0])
		status = tool_fail(TOOL_CANT, "%s", e.unread.text);
	if (!e.ledger.asked)
		status = tool_fail(TOOL_CANT, "%s", e.ledger.why_not.text);
	clear(&e);
	return status;
}
