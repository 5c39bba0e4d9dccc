/*
 * What main.cf, master.cf and brim.conf must say for a transport that delivers by Brim,
 * each setting with its reason. What Postfix has already decides some of it: a limit that
 * is long enough, or domains that are named, stay. etc/, the README and lda(8) show the
 * same lines, and a test compares them.
 */
#ifndef BRIMADM_POSTFIX_PLAN_H
#define BRIMADM_POSTFIX_PLAN_H

#include "conf.h"
#include "postconf.h"

struct transport {
	const char *name;    /* "mailbox_command", "pipe", "virtual" */
	unsigned bit;        /* in the table of settings */
	const char *program; /* the path of lda or lda-virtual */
	const char *service; /* in master.cf; NULL without one */
	const char *user;    /* of the service; NULL: the first of trusted_users */
};

/* Bits of the transports: accounts of this host, as themselves; all mailboxes as one
 * user; mailboxes of many uids. */
#define PLAN_LOCAL   1u
#define PLAN_PIPE    2u
#define PLAN_VIRTUAL 4u
#define PLAN_ALL     (PLAN_LOCAL | PLAN_PIPE | PLAN_VIRTUAL)

/* What Postfix asks at SMTP time, besides. */
#define PLAN_POLICY 1u
#define PLAN_MAPS   2u

struct plan {
	const struct transport *transport; /* NULL: the parts alone */
	unsigned transports;               /* for which the parts are */
	unsigned parts;
	const struct conf *conf;
	struct postconf now; /* empty without Postfix */
	char *user;          /* of the service; freed by the owner of the plan */
};

/* The transport of that name, or NULL. */
const struct transport *plan_transport(const char *name);

/* The transports by which Postfix delivers now; 0: by none. */
unsigned plan_find_transports(const struct plan *p);

/* As whom the service runs: 0, or -1 without memory. */
int plan_find_user(struct plan *p);

/* What must be done before the settings can work: 0, or -1 with the reason. */
int plan_check_ready(const struct plan *p, struct reason *why);

/* Calls EACH for every setting of main.cf, and those of services in master.cf, which have
 * a "/" in their names, until it returns other than 0; returns that. */
typedef int plan_setting(
	void *arg, const char *name, const char *value, const char *reason);
int plan_each(const struct plan *p, plan_setting *each, void *arg);

/* The same for the settings of brim.conf that Postfix's decide (brim_side.h). */
int plan_each_of_brim(const struct plan *p, plan_setting *each, void *arg);

/* The line of master.cf, with BREAK between flags, user and command; only for a transport
 * with a service. The caller frees it; NULL without memory. */
char *plan_service(const struct plan *p, const char *break_);

#endif
