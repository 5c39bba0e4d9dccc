/*
 * brim.conf's part in the command postfix: what the plan says of it is staged, shown as a
 * difference of settings, and taken back by commands where it was edited since.
 */
#ifndef BRIMADM_POSTFIX_BRIM_CONF_H
#define BRIMADM_POSTFIX_BRIM_CONF_H

#include "files.h"
#include "plan.h"

/* Stages CONF, the path of brim.conf, as the plan has it, if that is a change; what is
 * staged is read as a program would read it. 0, or -1 with the reason. */
int brim_conf_stage(const struct plan *p, struct postfix_files *f, const char *conf,
	struct reason *why);

/* How many settings differ, and how many of them take a restart of quotad. */
struct brim_conf_changes {
	size_t count, restarts;
};

/* Prints the settings that differ between NAMEold and NAMEnew of brim.conf (NULL: what is
 * staged), and counts them; none where brim.conf has no part in it. 0, or -1 with the
 * reason. */
int brim_conf_show(const struct postfix_files *f, const char *old, const char *new,
	struct brim_conf_changes *changes, struct reason *why);

/* Prints the commands that take back what was applied, and nothing else. */
int brim_conf_print_commands(const struct postfix_files *f, struct reason *why);

#endif
