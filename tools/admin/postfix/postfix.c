/*
 * The command postfix: shows what a transport needs (plan.h), sets it (--apply), or takes
 * it back (--undo); files.h changes the files. It never reloads Postfix or quotad.
 */
#include "brimadm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "brim_conf.h"
#include "differences.h"
#include "files.h"
#include "plan.h"

static int
find_transport(struct brimadm *a, struct plan *p)
{
	const char *name = a->option[OPTION_TRANSPORT];

	p->transport = name ? plan_transport(name) : NULL;
	if (p->transport)
		p->transports = p->transport->bit;
	if (p->transport || (!name && p->parts))
		return plan_find_user(p) ? tool_fail(TOOL_CANT, "no memory") : TOOL_OK;
	return tool_fail(TOOL_USAGE,
		"%s%s%s--transport is mailbox_command, pipe or virtual", name ? "\"" : "",
		name ? name : "", name ? "\" is no transport: " : "");
}

/* The words that are left name what Postfix is to ask at SMTP time. */
static int
find_parts(struct plan *p, int count, char **words)
{
	for (int i = 0; i < count; i++) {
		if (strcmp(words[i], "policy") == 0)
			p->parts |= PLAN_POLICY;
		else if (strcmp(words[i], "maps") == 0)
			p->parts |= PLAN_MAPS;
		else
			return tool_fail(TOOL_USAGE,
				"\"%.40s\" is neither policy nor maps", words[i]);
	}
	return TOOL_OK;
}

/* --- showing it ------------------------------------------------------------------ */

/* ARG is what goes in front of the first. */
static int
print_setting(void *arg, const char *name, const char *value, const char *reason)
{
	char **head = arg;

	fputs(*head, stdout);
	*head = (char *)"";
	if (strchr(name, '/'))
		printf("\n# %s In master.cf:\n# postconf -P '%s=%s'\n", reason, name,
			value);
	else
		printf("\n# %s\n%s =%s%s\n", reason, name, value[0] ? " " : "", value);
	return 0;
}

static void
print_service(const struct plan *p, const char *folder)
{
	char *line =
		p->transport && p->transport->service ? plan_service(p, "\n  ") : NULL;

	if (line)
		printf("\n# --- lines for %s/master.cf\n\n"
		       "# D, R and X: Delivered-To: and Return-Path: in front, and "
		       "this is the last stop.\n%s\n",
			folder, line);
	free(line);
}

static int
print_plan(const struct plan *p, const char *conf)
{
	const char *folder = p->now.folder ? p->now.folder : "/etc/postfix";
	char *head = NULL, *none = (char *)"";
	struct reason why;

	if (plan_check_ready(p, &why))
		printf("# First: %s.\n\n", why.text);
	printf("# --- lines for %s/main.cf\n", folder);
	plan_each(p, print_setting, &none);
	print_service(p, folder);
	if (asprintf(&head, "\n# --- lines for %s\n", conf) < 0)
		return tool_fail(TOOL_CANT, "no memory");
	none = head;
	plan_each_of_brim(p, print_setting, &none);
	free(head);
	return TOOL_OK;
}

/* --- applying ------------------------------------------------------------------ */

/* Prints what the staged files change, and says how many things. */
static int
show_differences(const struct postfix_files *f, size_t *count, struct reason *why)
{
	struct postconf old, new = {0};
	int result = -1;

	if (postconf_read_folder(&old, f->postfix.folder, why) == 0 &&
		postconf_read_folder(&new, f->postfix.staged, why) == 0) {
		*count = differences_find(&old, &new, differences_print);
		result = 0;
	}
	postconf_free(&old);
	postconf_free(&new);
	return result;
}

/* Runs postconf with one option and "KEY=VALUE" on the staged files. */
static int
edit(const struct postfix_files *f, const char *option, const char *key,
	const char *value, struct reason *why)
{
	const char *arguments[] = {"-c", f->postfix.staged, option, NULL, NULL};
	char *word;
	int result;

	if (asprintf(&word, "%s=%s", key, value) < 0)
		return reason_set(why, "no memory");
	arguments[3] = word;
	result = postconf_run(arguments, NULL, why);
	free(word);
	return result;
}

static int
edit_service(const struct plan *p, const struct postfix_files *f, struct reason *why)
{
	char *line, *key = NULL;
	int result = -1;

	if (!p->transport || !p->transport->service)
		return 0;
	line = plan_service(p, " ");
	if (!line || asprintf(&key, "%s/unix", p->transport->service) < 0)
		reason_set(why, "no memory");
	else
		result = edit(f, "-Me", key, line, why);
	free(key);
	free(line);
	return result;
}

struct editing {
	const struct plan *plan;
	const struct postfix_files *files;
	struct reason *why;
};

/* What is so already stays as it is written. */
static int
edit_setting(void *arg, const char *name, const char *value, const char *reason)
{
	const struct editing *e = arg;
	const char *old = postconf_get(&e->plan->now, name);

	(void)reason;
	if (old && strcmp(old, value) == 0)
		return 0;
	return edit(e->files, strchr(name, '/') ? "-Pe" : "-e", name, value, e->why);
}

static int
edit_staged(const struct plan *p, const struct postfix_files *f, struct reason *why)
{
	struct editing e = {p, f, why};

	return plan_each(p, edit_setting, &e) ? -1 : edit_service(p, f, why);
}

/* What --apply refuses over. */
static int
check_state(const struct postfix_files *f, struct reason *why)
{
	enum postfix_state state;

	if (postfix_files_state(f, &state, why))
		return -1;
	if (state == POSTFIX_FREE)
		return 0;
	return reason_set(why,
		"other settings of brimadm postfix are in force: take them back first, "
		"with brimadm postfix --undo (and MAIL_CONFIG, where they are for "
		"another Postfix)");
}

/* How what was changed takes effect. What Postfix asks of quotad must be there first, and
 * when it is taken back, be asked no more. */
static void
print_done(const struct brim_conf_changes *of_brim, int is_undone)
{
	const int has_systemd = access("/run/systemd/system", F_OK) == 0;

	if (of_brim->restarts && has_systemd)
		puts(is_undone ? "Done; it takes effect with: postfix reload && "
				 "systemctl "
				 "restart quotad"
			       : "Done; it takes effect with: systemctl restart quotad "
				 "&& "
				 "postfix reload");
	else if (of_brim->restarts)
		puts(is_undone ? "Done; it takes effect with: postfix reload, and then a "
				 "restart of quotad"
			       : "Done; it takes effect with: a restart of quotad, and "
				 "then postfix reload");
	else
		printf("Done; it takes effect with: postfix reload%s\n",
			of_brim->count == 0 ? ""
			: has_systemd       ? " && systemctl reload quotad"
					    : ", and SIGHUP to quotad");
}

static int
apply_staged(const struct plan *p, struct postfix_files *f, const char *conf,
	struct reason *why)
{
	struct brim_conf_changes of_brim;
	size_t count = 0;

	if (postfix_files_stage(f, "", why) || edit_staged(p, f, why))
		return -1;
	postfix_files_set_back(f);
	if (brim_conf_stage(p, f, conf, why) || show_differences(f, &count, why) ||
		brim_conf_show(f, "", NULL, &of_brim, why))
		return -1;
	if (count + of_brim.count == 0) {
		puts("Nothing to change.");
		return 0;
	}
	fflush(stdout);
	if (check_state(f, why) || postfix_files_commit(f, why))
		return -1;
	print_done(&of_brim, 0);
	return 0;
}

static int
apply(const struct plan *p, const char *conf, struct reason *why)
{
	struct postfix_files f;
	int result;

	if (plan_check_ready(p, why) || postfix_files_open(&f, p->now.folder, why))
		return tool_fail(TOOL_CANT, "%s", why->text);
	result = apply_staged(p, &f, conf, why);
	postfix_files_close(&f);
	return result ? tool_fail(TOOL_CANT, "%s; nothing is changed", why->text)
		      : TOOL_OK;
}

static const char *
conf_path(const struct brimadm *a)
{
	return a->conf_file ? a->conf_file : CONF_FILE;
}

static int
show_or_apply(struct brimadm *a, struct plan *p)
{
	int found, status = find_transport(a, p);

	if (status)
		return status;
	found = postconf_read(&p->now, &a->why);
	if (found < 0 || (!found && a->option[OPTION_APPLY]))
		return tool_fail(TOOL_CANT, "%s", a->why.text);
	if (!p->transport)
		p->transports = plan_find_transports(p);
	if (p->parts & PLAN_MAPS && !p->transports)
		return tool_fail(TOOL_USAGE, "Postfix delivers nothing by Brim: which "
					     "--transport are the maps "
					     "for?");
	return a->option[OPTION_APPLY] ? apply(p, conf_path(a), &a->why)
				       : print_plan(p, conf_path(a));
}

/* --- undoing --------------------------------------------------------------------- */

/* Prints the commands that take back what was applied and nothing else. */
static int
print_by_hand(struct postfix_files *f, struct reason *why)
{
	struct postconf after = {0}, before = {0};
	int result = -1;

	if (postfix_files_stage(f, POSTFIX_FILES_AFTER, why) == 0 &&
		postconf_read_folder(&after, f->postfix.staged, why) == 0 &&
		postfix_files_stage(f, POSTFIX_FILES_BEFORE, why) == 0 &&
		postconf_read_folder(&before, f->postfix.staged, why) == 0) {
		differences_find(&before, &after, differences_print_command);
		printf("cd %s && rm -f main.cf.brim-* master.cf.brim-*\n",
			f->postfix.folder);
		result = brim_conf_print_commands(f, why);
	}
	postconf_free(&after);
	postconf_free(&before);
	return result;
}

static int
undo_applied(struct postfix_files *f, struct reason *why)
{
	struct brim_conf_changes of_brim;
	size_t count;

	if (postfix_files_stage(f, POSTFIX_FILES_BEFORE, why) ||
		show_differences(f, &count, why) ||
		brim_conf_show(f, "", POSTFIX_FILES_BEFORE, &of_brim, why) ||
		postfix_files_undo(f, why))
		return tool_fail(TOOL_CANT, "%s", why->text);
	print_done(&of_brim, 1);
	return TOOL_OK;
}

static int
undo_files(struct postfix_files *f, struct reason *why)
{
	enum postfix_state state;

	if (postfix_files_state(f, &state, why))
		return tool_fail(TOOL_CANT, "%s", why->text);
	if (state == POSTFIX_FREE)
		return tool_fail(TOOL_NO, "there is nothing to take back in %s",
			f->postfix.folder);
	if (state == POSTFIX_APPLIED)
		return undo_applied(f, why);
	if (state == POSTFIX_LOST)
		return tool_fail(TOOL_CANT,
			"%s was removed, and without it not all can be taken back: "
			"nothing is changed. Put it back from a backup; or, to go on "
			"with "
			"the settings as they are: cd %s && rm -f main.cf.brim-* "
			"master.cf.brim-*%s%s%s",
			why->text, f->postfix.folder, f->conf ? " " : "",
			f->conf ? f->conf : "", f->conf ? ".brim-*" : "");
	if (print_by_hand(f, why))
		return tool_fail(TOOL_CANT, "%s", why->text);
	return tool_fail(TOOL_CANT,
		"main.cf, master.cf or brim.conf was edited since --apply, and those "
		"edits "
		"would be lost: nothing is changed; the commands above take back Brim's "
		"part");
}

static int
undo(struct brimadm *a)
{
	struct postfix_files f;
	struct postconf p;
	int status;

	if (postconf_read(&p, &a->why) <= 0 ||
		postfix_files_open(&f, p.folder, &a->why)) {
		status = tool_fail(TOOL_CANT, "%s", a->why.text);
	} else {
		status = postfix_files_find_conf(&f, conf_path(a), &a->why)
				 ? tool_fail(TOOL_CANT, "%s", a->why.text)
				 : undo_files(&f, &a->why);
		postfix_files_close(&f);
	}
	postconf_free(&p);
	return status;
}

int
brimadm_postfix(struct brimadm *a, int argc, char **argv)
{
	struct plan p = {.conf = &a->conf};
	int status;

	if (a->option[OPTION_UNDO] &&
		(a->option[OPTION_APPLY] || a->option[OPTION_TRANSPORT] || argc))
		return tool_fail(TOOL_USAGE, "--undo goes with nothing else");
	status = find_parts(&p, argc, argv);
	if (status)
		return status;
	if ((a->option[OPTION_UNDO] || a->option[OPTION_APPLY]) && geteuid() != 0)
		return tool_fail(TOOL_CANT, "only root can change Postfix's settings");
	if (a->option[OPTION_UNDO])
		return undo(a);
	status = show_or_apply(a, &p);
	postconf_free(&p.now);
	free(p.user);
	return status;
}
