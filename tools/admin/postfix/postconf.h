/*
 * Postfix's settings, as its own postconf(1) tells them: main.cf with defaults and $names
 * expanded, and the services of master.cf. MAIL_CONFIG in the environment names another
 * folder than /etc/postfix, as it does for Postfix's own commands.
 *
 * postconf and postmap are looked for in /usr/sbin, /usr/bin, /sbin and /bin alone, and
 * run without a shell; what they say on standard error becomes the reason where they
 * fail. Nothing here tells a running Postfix about a change.
 */
#ifndef BRIM_POSTCONF_H
#define BRIM_POSTCONF_H

#include <stddef.h>
#include <stdint.h>

#include "reason.h"

struct postconf_setting {
	const char *name, *value;
};

/* A line of master.cf, its columns as postconf -M shows them. */
struct postconf_service {
	const char *name, *type; /* "brim", "unix" */
	const char *private, *unprivileged, *chroot, *wakeup, *processes;
	const char *command;   /* "pipe" */
	const char *arguments; /* "flags=DRX user=vmail argv=..."; "" without any */
};

struct postconf {
	const char *folder; /* where main.cf and master.cf are */
	struct postconf_setting *settings;
	size_t setting_count;
	struct postconf_service *services;
	size_t service_count;
	struct postconf_setting *overrides; /* "brim/unix/NAME": -o NAME= in master.cf */
	size_t override_count;
	char *texts[3]; /* what the rest points into */
};

/* Reads it all: 1; 0 with the reason where Postfix is not installed or has no main.cf;
 * -1 with the reason. postconf_free frees it in any case. */
int postconf_read(struct postconf *p, struct reason *why);

/* Reads what main.cf and master.cf in FOLDER say themselves, as it is written there: no
 * defaults, no $name expanded. 0, or -1 with the reason. */
int postconf_read_folder(struct postconf *p, const char *folder, struct reason *why);

void postconf_free(struct postconf *p);

/* The setting's value, a default's too, with $names expanded; NULL where Postfix has no
 * setting of that name and main.cf sets none. */
const char *postconf_get(const struct postconf *p, const char *name);

/* The setting's name, which lives as long as the settings; NULL where there is none of
 * that name. */
const char *postconf_name(const struct postconf *p, const char *name);

/* What the service sets itself with -o, $names expanded; NULL where it does not. */
const char *postconf_override(
	const struct postconf *p, const struct postconf_service *s, const char *name);

/* The setting as it holds for the service: its own, else main.cf's. Never NULL. */
const char *postconf_for(
	const struct postconf *p, const struct postconf_service *s, const char *name);

/* The service of that name, of any type where TYPE is NULL; NULL without one. */
const struct postconf_service *postconf_service(
	const struct postconf *p, const char *name, const char *type);

/* The argument "NAME=..." of a service, its name in any case of letters, up to the next
 * blank, as a new string; argv= to the end. NULL without one, or without memory. */
char *postconf_argument(const struct postconf_service *s, const char *name);

/* A time of Postfix's in seconds; UNIT ('s', 'h'...) is that of a bare number, which is
 * the setting's own. 0, or -1 where it is none. */
int postconf_time(const char *text, char unit, uint64_t *seconds);

/* The value of the setting, or of a service's own ("submission/inet/NAME"), as it is
 * written: no $name expanded. A new string; NULL with the reason. */
char *postconf_read_raw(const char *name, struct reason *why);

/* Runs postconf with the arguments, of which the last is NULL. OUTPUT (may be NULL) gets
 * its standard output, which the caller frees. 0, or -1 with the reason. */
int postconf_run(const char *const *arguments, char **output, struct reason *why);

/* Runs postmap, with INPUT as its standard input: where it says nothing and fails,
 * nothing was found, and OUTPUT is empty. It is ended after 10 seconds. 0, or -1 with the
 * reason. */
int postmap_run(const char *const *arguments, const char *input, char **output,
	struct reason *why);

#endif
