/* check: mailboxes that had mail and are missing, as on a file system that is not
 * mounted. */
#include "check.h"
#include "clock.h"
#include "missing.h"

#define SECONDS 5    /* that quotad may take to answer */
#define ALL_MS  5000 /* for what it is asked in all: most of what is missing is new */

/* Whether quotad knows of mail in it. */
static int
had_mail(struct check *c, const struct mailbox *m)
{
	const struct conf *conf = &c->a->conf;
	const uint64_t began = clock_now_ms();
	struct reason why;
	int had;

	if (c->asked_ms >= ALL_MS)
		return 0;
	if (!c->quotad_asked) {
		c->quotad_asked = 1;
		if (quota_connect(
			    &c->quotad, conf->socket, conf->daemon_user, SECONDS, &why))
			c->asked_ms = ALL_MS; /* check_quotad tells why */
	}
	had = c->asked_ms < ALL_MS ? missing_had_mail(&c->quotad, m->key, &why) : 0;
	if (had < 0)
		c->asked_ms = ALL_MS;
	c->asked_ms += clock_now_ms() - began;
	return had > 0;
}

int
check_unmounted(struct check *c, const struct mailbox *m)
{
	if (!missing_on_disk(&c->probe, m->path) || !had_mail(c, m))
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

void
check_unmounted_free(struct check *c)
{
	if (c->quotad_asked)
		quota_close(&c->quotad);
}
