/* How the ledger is kept. */
#include "keeping.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "server.h"
#include "store/boot_marker.h"

#define BOOT_ID "/proc/sys/kernel/random/boot_id"

/* --- saving ----------------------------------------------------------------------- */

static void
take_down(const struct ledger_numbers *from, struct usage_numbers *to)
{
	*to = (struct usage_numbers){
		.used = from->used,
		.messages = from->messages,
		.stamp = from->stamp,
		.path = from->place.path,
		.owner = from->place.owner,
		.rules = from->rules,
		.directory = from->directory,
		.known = from->known,
		.wrong_names = from->wrong_names,
		.had_mail = from->had_mail,
		.mail_in = from->mail_in,
		.full_for = from->full_for,
		.full_used = from->full_used,
		.full_bytes = from->full_bytes,
		.full_messages = from->full_messages,
		.full_smallest = from->full_smallest,
	};
	if (from->last.why == LEDGER_NEVER)
		return;
	to->counted_why = ledger_why_name(from->last.why);
	to->counted_exact = from->last.exact;
	to->counted_ago_ms = from->last.ago_ms;
	to->counted_was = from->last.was;
	to->counted_found = from->last.found;
}

static int
save_account(const struct server *v, struct usage *u, struct account *a)
{
	struct ledger_numbers now;
	struct usage_numbers kept;

	ledger_numbers(v->ledger, a, &now);
	take_down(&now, &kept);
	return usage_save_account(u, ledger_name(a), &kept);
}

/* While the store is opened it loads the ledger, and there is none to save to. */
int
keeping_save_account(void *server, struct account *a)
{
	struct server *v = server;

	return v->usage == NULL ? 0 : save_account(v, v->usage, a);
}

static int
save_ticket(struct usage *u, const struct account *a, const struct ledger_ticket *t)
{
	const struct usage_ticket kept = {.bytes = t->bytes,
		.path = t->path,
		.directory = t->directory,
		.mail_in = t->mail_in};

	return usage_save_ticket(u, ledger_name(a), t->name, &kept);
}

int
keeping_save_ticket(void *server, struct account *a, const struct ledger_ticket *t)
{
	struct server *v = server;

	return v->usage == NULL ? 0 : save_ticket(v->usage, a, t);
}

void
keeping_remove_ticket(void *server, struct account *a, const char *name)
{
	struct server *v = server;

	if (v->usage != NULL)
		usage_remove_ticket(v->usage, ledger_name(a), name);
}

void
keeping_remove_account(void *server, struct account *a)
{
	struct server *v = server;

	usage_remove_account(v->usage, ledger_name(a));
}

void
keeping_save_place(void *server, uint64_t path, uint64_t mail_in)
{
	struct server *v = server;

	if (v->usage != NULL)
		usage_save_place(v->usage, path, mail_in);
}

static int
save_promise(
	struct usage *u, const struct account *a, const struct ledger_kept_promise *p)
{
	const struct usage_promise kept = {.id = p->promise.id,
		.recipient = p->promise.recipient,
		.client = p->promise.client,
		.bytes = p->bytes,
		.ms = p->promise.ms,
		.until = p->until,
		.ticket = p->ticket};

	return usage_save_promise(u, ledger_name(a), &kept);
}

int
keeping_save_promise(void *server, struct account *a, const struct ledger_kept_promise *p)
{
	struct server *v = server;

	return v->usage == NULL ? 0 : save_promise(v->usage, a, p);
}

void
keeping_remove_promise(void *server, struct account *a, const struct ledger_promise *p)
{
	struct server *v = server;

	if (v->usage != NULL)
		usage_remove_promise(v->usage, ledger_name(a), p->id, p->recipient);
}

/* --- all of it -------------------------------------------------------------------- */

struct writer {
	const struct server *server;
	struct usage *usage;
	struct account *account;
};

static void
write_ticket(void *arg, const struct ledger_ticket *t)
{
	struct writer *w = arg;

	save_ticket(w->usage, w->account, t);
}

static void
write_promise(void *arg, const struct ledger_kept_promise *p)
{
	struct writer *w = arg;

	save_promise(w->usage, w->account, p);
}

static void
write_promises(void *arg, struct account *a)
{
	struct writer *w = arg;

	w->account = a;
	ledger_show_promises(a, write_promise, w);
}

static void
write_account(void *arg, struct account *a)
{
	struct writer *w = arg;

	save_account(w->server, w->usage, a);
	w->account = a;
	ledger_show_tickets(w->server->ledger, a, write_ticket, w);
	write_promises(w, a);
}

static void
write_place(void *usage, uint64_t path, uint64_t mail_in)
{
	usage_save_place(usage, path, mail_in);
}

static void
save_all(void *server, struct usage *u)
{
	struct server *v = server;
	struct writer w = {.server = v, .usage = u};

	ledger_each(v->ledger, write_account, &w);
	ledger_each_place(v->ledger, write_place, u);
}

/* --- loading ---------------------------------------------------------------------- */

static int
load_account(void *server, const char *mailbox, const struct usage_numbers *kept)
{
	struct server *v = server;
	struct account *a = ledger_account(v->ledger, mailbox);
	struct ledger_numbers n = {
		.used = kept->used,
		.messages = kept->messages,
		.stamp = kept->stamp,
		.place = {.path = kept->path, .owner = kept->owner},
		.rules = kept->rules,
		.directory = kept->directory,
		.known = kept->known,
		.wrong_names = kept->wrong_names,
		.had_mail = kept->had_mail,
		.mail_in = kept->mail_in,
		.full_for = kept->full_for,
		.full_used = kept->full_used,
		.full_bytes = kept->full_bytes,
		.full_messages = kept->full_messages,
		.full_smallest = kept->full_smallest,
		.last = {.exact = kept->counted_exact,
			.ago_ms = kept->counted_ago_ms,
			.was = kept->counted_was,
			.found = kept->counted_found},
	};

	if (a == NULL)
		return -1;
	if (kept->counted_why != NULL)
		n.last.why = ledger_why_parse(kept->counted_why);
	ledger_load(v->ledger, a, &n);
	return 0;
}

static int
load_ticket(void *server, const char *mailbox, const char *name,
	const struct usage_ticket *kept)
{
	struct server *v = server;
	struct account *a = ledger_account(v->ledger, mailbox);
	const struct ledger_ticket t = {
		.name = name,
		.bytes = kept->bytes,
		.state = kept->ended ? LEDGER_ENDED : LEDGER_UNSURE,
		.path = kept->path,
		.directory = kept->directory,
		.mail_in = kept->mail_in,
	};

	return a == NULL ? -1 : ledger_load_ticket(v->ledger, a, &t);
}

static int
load_promise(void *server, const char *mailbox, const struct usage_promise *kept)
{
	struct server *v = server;
	struct account *a = ledger_account(v->ledger, mailbox);
	const struct ledger_kept_promise p = {
		.promise = {.id = kept->id,
			.recipient = kept->recipient,
			.client = kept->client,
			.ms = kept->ms},
		.bytes = kept->bytes,
		.until = kept->until,
		.ticket = kept->ticket,
	};

	return a == NULL ? -1 : ledger_load_promise(v->ledger, a, &p);
}

static int
load_place(void *server, uint64_t path, uint64_t mail_in)
{
	struct server *v = server;

	return ledger_load_place(v->ledger, path, mail_in);
}

static const struct usage_calls calls = {
	.load_account = load_account,
	.load_place = load_place,
	.load_promise = load_promise,
	.load_ticket = load_ticket,
	.save_all = save_all,
};

/* Without the boot's id no number of an earlier start is used, and every ticket may be
 * one that is alive. */
static void
read_boot(char boot[64])
{
	FILE *file = fopen(BOOT_ID, "re");

	if (file == NULL || fgets(boot, 64, file) == NULL)
		boot[0] = '\0';
	boot[strcspn(boot, "\n")] = '\0';
	if (file != NULL)
		fclose(file);
	if (boot[0] != '\0')
		return;
	strcpy(boot, BOOT_UNKNOWN);
	log_warning(
		"%s can't be read: mailboxes are counted anew after each start", BOOT_ID);
}

void
keeping_note_deadline(struct server *v)
{
	uint64_t seconds = usage_note_deadline(v->usage, v->conf.deadline);

	ledger_expect_ldas(v->ledger, seconds * 1000);
}

int
keeping_open(struct server *v, const char *run_dir, struct reason *why)
{
	enum usage_start start = USAGE_UNSURE;
	char boot[64];

	read_boot(boot);
	v->usage = usage_open(v->conf.usage_dir, run_dir, boot, &calls, v, &start, why);
	if (v->usage == NULL)
		return -1;
	/* Those of another boot have begun anew, and not once more with the next start.
	 */
	ledger_each(v->ledger, write_promises,
		&(struct writer){.server = v, .usage = v->usage});
	keeping_note_deadline(v);
	if (start == USAGE_UNSURE) {
		ledger_hold(v->ledger);
		log_warning("tickets of an earlier quotad may be lost: no room is "
			    "promised for %" PRIu64 " s",
			ledger_held_ms(v->ledger) / 1000);
	}
	return 0;
}
