/*
 * The sockets of quotad that Postfix asks at SMTP time (policy_listen, map_listen), and
 * how Postfix names them. Its daemons stand in queue_directory, and some are locked in
 * there (chroot): to them a path is relative to it, an absolute one as well.
 */
#ifndef BRIMADM_POSTFIX_SOCKETS_H
#define BRIMADM_POSTFIX_SOCKETS_H

#include "conf.h"
#include "postconf.h"

enum sockets_kind { SOCKETS_POLICY, SOCKETS_MAP };

/* The setting of brim.conf: "policy_listen", and its value. */
const char *sockets_setting(enum sockets_kind kind);
const char *sockets_listed(const struct conf *conf, enum sockets_kind kind);

/* Whether the service runs in the chroot. */
int sockets_chroot(const struct postconf *p, const struct postconf_service *s);

/* Whether any service of one of the programs, "smtpd cleanup", does. */
int sockets_any_chroot(const struct postconf *p, const char *programs);

/* Where what Postfix names leads, as a new string without doubled slashes. */
char *sockets_path(const struct postconf *p, const char *name, int chroot);

/* Whether the list of sockets has the path. */
int sockets_have(const char *list, const char *path);

/* Whether a path that Postfix names is meant to be Brim's: a socket of the list has its
 * last part, or "brim" is in it. */
int sockets_is_brims(const char *list, const char *name);

/* Whether a map of Postfix's, "socketmap:unix:PATH:NAME", is one of Brim's. */
int sockets_is_brims_map(const struct conf *conf, const char *map);

/* How Postfix names a socket of the list that it can reach, the first in queue_directory
 * or, without CHROOT, any; or "private/brim-policy" ("-map"), which the list is to have,
 * too: *LIST is then a new one with it, else NULL. New strings; NULL without memory. */
char *sockets_name(const struct postconf *p, const struct conf *conf,
	enum sockets_kind kind, int chroot, char **list);

#endif
