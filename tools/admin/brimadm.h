/*
 * brimadm: users, aliases, domains and quotas.
 *
 * A command that changes works on a copy of the table (lib/users); whatever it refuses,
 * the table stays as it was. Its functions return an enum tool_status, and where that is
 * not TOOL_OK the reason says what, where, and what to do.
 */
#ifndef BRIMADM_H
#define BRIMADM_H

#include "amount.h"
#include "cli/tool.h"
#include "conf.h"
#include "mailbox.h"
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
	OPTIONS
};

struct brimadm {
	struct conf conf;
	const char *conf_file;       /* -c, or NULL */
	const char *option[OPTIONS]; /* its argument, or ""; NULL if not given */
	struct users_edit *edit;     /* the copy, in a command that changes */
	struct reason why;
	/* what must be looked at before the change is made */
	char **led; /* keys of records with an alias or a catch-all */
	size_t led_count;
	int removed; /* a record is gone: others may have led to it */
	int once;    /* a record that is there is a mistake, not to be replaced */
	int large;   /* the change takes long enough that a terminal is told */
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

/* --- brimadm.c ------------------------------------------------------------------- */

/* The command of that name, with so many arguments; NULL with the reason. */
const struct command *brimadm_command(struct brimadm *a, const char *name, int argc);

/* --- brimadm_edit.c: one change of the table --------------------------------------- */

/* Begins it; brimadm_begin_new makes the table where there is none. */
int brimadm_begin(struct brimadm *a);
int brimadm_begin_new(struct brimadm *a);

/* Makes the change, if what was touched is sound, and waits until quotad has taken it. */
int brimadm_commit(struct brimadm *a);

/* Ends it: with STATUS not TOOL_OK, and with --dry-run, nothing is changed; --dry-run
 * shows the difference. Returns the status, printed. */
int brimadm_end(struct brimadm *a, int status);

/* The same without a word, and without --dry-run. */
int brimadm_settle(struct brimadm *a, int status);

/* Lets go of what must be looked at: the copy is sound now, or thrown away. */
void brimadm_forget(struct brimadm *a);

/* Puts the record in, after all checks that need no other alias. The copy is as it was
 * where that is refused. */
int brimadm_store(struct brimadm *a, const struct record *r);

/* Sets the reason; returns the status. */
int brimadm_refuse(struct brimadm *a, enum tool_status status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* --- brimadm_aliases.c: aliases and catch-alls -----------------------------------------
 */

/* Whether what is led somewhere by the touched records is there. */
int brimadm_check_aliases(struct brimadm *a);

/* --- brimadm_difference.c: the copy and the table as it is
 * ------------------------------
 */

/* Prints what the change does, and throws the copy away. */
int brimadm_show_difference(struct brimadm *a);

/* Refuses to remove more than a tenth of the records, unless --force is given. */
int brimadm_check_removed(struct brimadm *a);

/* --- brimadm_wait.c ------------------------------------------------------------------
 */

/* Waits until quotad, if one runs, has taken the new table; says so if it does not. */
void brimadm_wait(const struct brimadm *a, const struct stat *table);

/* --- brimadm_fields.c: values as people write and read them ----------------------------
 */

/* Sets a field from "name=value"; an empty value removes it. */
int brimadm_set_field(struct brimadm *a, struct record *r, const char *word);

/* Addresses with commas between, folded, without spaces around them; the caller frees
 * them. NULL with the reason. */
char *brimadm_fold(struct brimadm *a, const char *addresses);

/* The field's value as people read it, kept in BUF if need be. */
const char *brimadm_show_field(
	const char *name, const char *value, char buf[AMOUNT_SIZE]);

/* The record as a JSON object. */
json_t *brimadm_json(const struct record *r);

/* --- the commands ----------------------------------------------------------------------
 */

/* brimadm_change.c */
int brimadm_add(struct brimadm *a, int argc, char **argv);
int brimadm_set(struct brimadm *a, int argc, char **argv);
int brimadm_remove(struct brimadm *a, int argc, char **argv);
int brimadm_alias(struct brimadm *a, int argc, char **argv);
int brimadm_enable(struct brimadm *a, int argc, char **argv);
int brimadm_disable(struct brimadm *a, int argc, char **argv);
int brimadm_suspend(struct brimadm *a, int argc, char **argv);
int brimadm_move(struct brimadm *a, int argc, char **argv);

/* brimadm_load.c */
int brimadm_init(struct brimadm *a, int argc, char **argv);
int brimadm_load(struct brimadm *a, int argc, char **argv);

/* brimadm_apply.c */
int brimadm_apply(struct brimadm *a, int argc, char **argv);

/* Runs one line of LENGTH bytes, which is cut up, on the copy. */
int brimadm_apply_line(struct brimadm *a, char *line, size_t length);

/* brimadm_stream.c: apply --interval */
int brimadm_stream(struct brimadm *a, int argc, char **argv);

/* brimadm_import_passwd.c, brimadm_import_postfix.c, brimadm_import_postfixadmin.c */
int brimadm_import_passwd(struct brimadm *a, int argc, char **argv);
int brimadm_import_postfix(struct brimadm *a, int argc, char **argv);
int brimadm_import_postfixadmin(struct brimadm *a, int argc, char **argv);

/* brimadm_check.c */
int brimadm_check(struct brimadm *a, int argc, char **argv);

/* brimadm_postfix.c */
int brimadm_postfix(struct brimadm *a, int argc, char **argv);

/* brimadm_simulate.c */
int brimadm_simulate(struct brimadm *a, int argc, char **argv);

/* brimadm_explain.c */
int brimadm_explain(struct brimadm *a, int argc, char **argv);

/* brimadm_show.c */
int brimadm_show(struct brimadm *a, int argc, char **argv);
int brimadm_list(struct brimadm *a, int argc, char **argv);
int brimadm_dump(struct brimadm *a, int argc, char **argv);
int brimadm_config(struct brimadm *a, int argc, char **argv);

#endif
