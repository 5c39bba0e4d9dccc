/*
 * brimadm: users, aliases, domains and quotas.
 *
 * A command that changes the table does so through change.h; whatever it refuses, the
 * table stays as it was. Its functions return an enum tool_status, and where that is
 * not TOOL_OK the reason says what, where, and what to do.
 */
#ifndef BRIMADM_H
#define BRIMADM_H

#include "amount.h"
#include "change.h"
#include "cli/tool.h"
#include "conf.h"
#include "mailbox.h"
#include "mailbox_record.h"
#include "reason.h"
#include "record.h"
#include "users.h"

/* Options of commands; brimadm.c has the table. */
enum brimadm_option {
	OPTION_JSON,
	OPTION_REPLACE,
	OPTION_DRY_RUN,
	OPTION_FORCE,
	OPTION_INTERVAL,
	OPTION_MIN_UID,
	OPTION_TRANSPORT,
	OPTION_APPLY,
	OPTION_UNDO,
	OPTION_SIZE,
	OPTION_SENDER,
	OPTION_STAGE,
	OPTION_LOGIN,
	OPTION_SALVAGE,
	OPTION_EMPTY,
	OPTION_PROBE,
	OPTION_LOG,
	OPTIONS
};

struct brimadm {
	struct conf conf;
	const char *conf_file;         /* -c, or NULL */
	const char *option[OPTIONS];   /* its argument, or ""; NULL if not given */
	const struct command *command; /* that runs */
	struct change *change;         /* of a command that changes the table */
	int shows_progress; /* the change takes so long that a terminal is told */
	struct reason why;
};

enum command_flags {
	COMMAND_CHANGES = 1, /* may stand in apply */
	COMMAND_ROOT = 2,    /* needs root */
	COMMAND_NO_CONF = 4  /* reads brim.conf by itself, if at all */
};

struct command {
	const char *name, *arguments, *sentence;
	int least, most; /* arguments; most -1: any number */
	unsigned flags;
	unsigned options; /* bits 1 << enum brimadm_option */
	int (*run)(struct brimadm *a, int argc, char **argv);
};

/* --- brimadm.c --- */

/* The command of that name, with so many arguments; NULL with the reason. */
const struct command *brimadm_command(struct brimadm *a, const char *name, int argc);

/* Runs it: a status. */
int brimadm_run(struct brimadm *a, const struct command *c, int argc, char **argv);

/* --- help.c --- */

/* All of the commands, the fields and the options. */
void brimadm_print_usage(
	const struct command *commands, const struct tool_option *options, FILE *to);

/* One command, with its fields, its options and an example; TOOL_OK. */
int brimadm_print_help(
	const struct command *c, const struct tool_option *options, FILE *to);

/* --- change/edit.c: one change of the table --- */

/* Begins it, with enum change_flags. */
int brimadm_begin(struct brimadm *a, unsigned flags);

/* Ends it: with STATUS not TOOL_OK, and with --dry-run, nothing is changed; --dry-run
 * shows the difference. Returns the status, printed. */
int brimadm_end(struct brimadm *a, int status);

/* The same without a message, and without --dry-run. */
int brimadm_end_silently(struct brimadm *a, int status);

/* As change_put; a status. */
int brimadm_put(struct brimadm *a, struct record *r);

/* What a command makes of it. */
int brimadm_status(enum change_result result);

/* What repairs a damaged table, to be put behind the reason; "" for another reason. */
const char *brimadm_repair(const struct reason *why);

/* Refuses to remove more than a tenth of the records, unless --force is given. */
int brimadm_check_removed(struct brimadm *a, const struct change_counts *counts);

/* Sets the reason; returns the status. */
int brimadm_refuse(struct brimadm *a, enum tool_status status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* --- change/dry_run.c --- */

/* Prints what the change does, and throws it away. */
int brimadm_show_difference(struct brimadm *a);

/* --- wait.c --- */

/* Waits until quotad, if one runs, has taken the new table or one that a further change
 * made of it; says so if it does not. */
void brimadm_wait(const struct brimadm *a, const struct change_made *made);

/* --- fields.c: values as people write and read them --- */

/* Sets a field from "name=value"; an empty value removes it. */
int brimadm_set_field(struct brimadm *a, struct record *r, const char *assignment);

/* Addresses with commas between, folded, without spaces around them; the caller frees
 * them. NULL with the reason. */
char *brimadm_fold(struct brimadm *a, const char *addresses);

/* The field's value as people read it, kept in BUF where it is not the value itself. */
const char *brimadm_show_field(
	const char *name, const char *value, char buf[AMOUNT_SIZE]);

/* The record as a JSON object. */
json_t *brimadm_json(const struct record *r);

/* --- the commands --- */

/* change/change.c */
int brimadm_add(struct brimadm *a, int argc, char **argv);
int brimadm_set(struct brimadm *a, int argc, char **argv);
int brimadm_remove(struct brimadm *a, int argc, char **argv);
int brimadm_alias(struct brimadm *a, int argc, char **argv);
int brimadm_state(struct brimadm *a, int argc, char **argv);
int brimadm_move(struct brimadm *a, int argc, char **argv);

/* change/load.c */
int brimadm_init(struct brimadm *a, int argc, char **argv);
int brimadm_load(struct brimadm *a, int argc, char **argv);

/* change/apply.c */
int brimadm_apply(struct brimadm *a, int argc, char **argv);

/* Runs one line of LENGTH bytes, which is cut up, on the change. */
int brimadm_apply_line(struct brimadm *a, char *line, size_t length);

/* The same: the command in the first word, if it may stand in apply; none is TOOL_OK. */
int brimadm_apply_words(struct brimadm *a, int count, char **words);

/* change/apply_json.c: the same for a line that is a JSON object. */
int brimadm_apply_json(struct brimadm *a, const char *text, size_t length);

/* change/stream.c: apply --interval */
int brimadm_stream(struct brimadm *a, int argc, char **argv);

/* import/ */
int brimadm_import_passwd(struct brimadm *a, int argc, char **argv);
int brimadm_import_postfix(struct brimadm *a, int argc, char **argv);
int brimadm_import_postfixadmin(struct brimadm *a, int argc, char **argv);

/* check/check.c */
int brimadm_check(struct brimadm *a, int argc, char **argv);

/* postfix/postfix.c */
int brimadm_postfix(struct brimadm *a, int argc, char **argv);

/* explain/simulate.c, explain/explain.c */
int brimadm_simulate(struct brimadm *a, int argc, char **argv);
int brimadm_explain(struct brimadm *a, int argc, char **argv);

/* trace/trace.c */
int brimadm_trace(struct brimadm *a, int argc, char **argv);

/* recount.c */
int brimadm_recount(struct brimadm *a, int argc, char **argv);

/* show.c */
int brimadm_show(struct brimadm *a, int argc, char **argv);
int brimadm_list(struct brimadm *a, int argc, char **argv);
int brimadm_dump(struct brimadm *a, int argc, char **argv);
int brimadm_config(struct brimadm *a, int argc, char **argv);

#endif
