/* check: mailboxes that had mail and are missing, as on a file system that is not
 * mounted; and those on one that is not mounted for quotad. */
#include <stdlib.h>

#include "check.h"
#include "clock.h"
#include "missing.h"
#include "walk.h"

#define SECONDS 5    /* that quotad may take to answer */
#define ALL_MS  5000 /* for what it is asked in all: most of what is missing is new */

/* What quotad knows of it: 0, or -1 where it is not to be asked any more. */
static int
ask(struct check *c, const struct mailbox *m, struct missing_known *k)
{
	const struct conf *conf = &c->a->conf;
	const uint64_t began = clock_now_ms();
	struct reason why;
	int result = -1;

	if (c->asked_ms >= ALL_MS)
		return -1;
	if (!c->quotad_asked) {
		c->quotad_asked = 1;
		if (quota_connect(
			    &c->quotad, conf->socket, conf->daemon_user, SECONDS, &why))
			c->asked_ms = ALL_MS; /* check_quotad tells why */
	}
	if (c->asked_ms < ALL_MS)
		result = missing_ask(&c->quotad, m->key, k, &why);
	c->asked_ms = result ? ALL_MS : c->asked_ms + clock_now_ms() - began;
	return result;
}

int
check_unmounted(struct check *c, const struct mailbox *m)
{
	struct missing_known k;

	if (!missing_on_disk(&c->probe, m->path) || ask(c, m, &k) || !k.had_mail)
		return 0;
	check_found(c, CHECK_MAILBOX_UNMOUNTED, m->key,
		check_text(c,
			"Mount its file system. Only if its mail was moved away on "
			"purpose: %s recount --empty %s",
			check_brimadm(c), check_quote(c, m->key)),
		"%s had mail when quotad looked at it last, and is missing now, or its "
		"new/",
		m->path);
	return 1;
}

/* Has it counted now: 0, 1 with the reason where that can't be, -1 without an answer. */
static int
count(struct check *c, const struct mailbox *m, struct reason *why)
{
	const uint64_t began = clock_now_ms();
	char *word = record_escape(m->key);
	struct quota_answer answer;
	int result = word ? quota_send(&c->quotad, why, "RECOUNT %s", word) : -1;

	free(word);
	if (result == 0)
		result = quota_receive(&c->quotad, &answer, why);
	c->asked_ms = result ? ALL_MS : c->asked_ms + clock_now_ms() - began;
	if (result)
		return -1;
	result = answer.kind != QUOTA_OK;
	if (result)
		reason_set(why, "%s", answer.outcome.text);
	quota_answer_clear(&answer);
	return result;
}

static int
is_elsewhere(const struct missing_known *k, const struct stat *st)
{
	return k->tells_directory &&
	       (k->is_missing || (k->is_known && k->directory != walk_identity(st)));
}

static int
was_compared(const struct check *c, dev_t device)
{
	for (size_t i = 0; i < c->compared_count; i++)
		if (c->compared[i] == device)
			return 1;
	return c->compared_count == CHECK_COMPARED;
}

static void
tell_elsewhere(struct check *c, const struct mailbox *m, const struct missing_known *k)
{
	check_found(c, CHECK_MAILBOX_ELSEWHERE, m->key,
		check_text(c,
			"Mount its file system where quotad sees it (in its container, "
			"or the mount namespace of its unit); where it was mounted after "
			"quotad had begun: %s",
			check_restart(c)),
		"where %s is quotad sees %s", m->path,
		k->is_missing || !k->directory ? "nothing" : "another directory");
}

/* What was never counted, or may have been put in the place of another since, is counted
 * first. */
void
check_elsewhere(struct check *c, const struct mailbox *m, const struct stat *st)
{
	struct missing_known k;
	struct reason why;
	int counted;

	if (was_compared(c, st->st_dev) || ask(c, m, &k) || !k.tells_directory)
		return;
	c->compared[c->compared_count++] = st->st_dev;
	if (k.is_known && !is_elsewhere(&k, st))
		return;
	counted = count(c, m, &why);
	if (counted < 0 || ask(c, m, &k))
		return;
	if (is_elsewhere(&k, st))
		tell_elsewhere(c, m, &k);
	else if (counted && c->a->conf.scan_as != CONF_SCAN_AS_SCANNER)
		check_found(c, CHECK_MAILBOX_COUNT, m->key,
			"See what keeps quotad from it: its unit (ProtectHome=, "
			"InaccessiblePaths=), its container, SELinux or AppArmor.",
			"quotad can't count it: %s", why.text);
}

void
check_unmounted_end(struct check *c)
{
	if (c->quotad_asked)
		quota_close(&c->quotad);
}
