/* brimadm: one table of commands, from which help.c prints the usage, too. */
#include "brimadm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHANGES     (COMMAND_CHANGES | COMMAND_ROOT)
#define BIT(option) (1U << OPTION_##option)

static const struct command commands[] = {
	{"init", "", "make an empty user table", 0, 0, COMMAND_ROOT, 0, brimadm_init},
	{"add", "ADDRESS FIELD=VALUE...", "add a mailbox or, with @DOMAIN, a domain", 1,
		-1, CHANGES, 0, brimadm_add},
	{"set", "ADDRESS FIELD=VALUE...", "change fields; an empty VALUE removes one", 2,
		-1, CHANGES, 0, brimadm_set},
	{"remove", "ADDRESS", "remove a record; the mail stays", 1, 1, CHANGES, 0,
		brimadm_remove},
	{"show", "ADDRESS", "show a record", 1, 1, 0, BIT(JSON), brimadm_show},
	{"list", "[PATTERN]", "list records, all or those that match, as *@example.org",
		0, 1, 0, BIT(JSON), brimadm_list},
	{"alias", "ADDRESS TARGET", "lead an address, or all of @DOMAIN, to another", 2,
		2, CHANGES, 0, brimadm_alias},
	{"enable", "ADDRESS", "let the mailbox take mail again", 1, 1, CHANGES, 0,
		brimadm_state},
	{"disable", "ADDRESS", "bounce mail for the mailbox", 1, 1, CHANGES, 0,
		brimadm_state},
	{"suspend", "ADDRESS", "let mail for the mailbox wait at the MTA", 1, 1, CHANGES,
		0, brimadm_state},
	{"move", "ADDRESS NEW-ADDRESS", "bounce mail and tell the new address", 2, 2,
		CHANGES, 0, brimadm_move},
	{"dump", "", "print the table as lines that load reads", 0, 0, 0, BIT(SALVAGE),
		brimadm_dump},
	{"load", "[FILE]", "put the records of a dump into the table, or in its place", 0,
		1, COMMAND_ROOT, BIT(REPLACE) | BIT(DRY_RUN) | BIT(FORCE), brimadm_load},
	{"apply", "[FILE]", "run many changes, one a line, as one change", 0, 1,
		COMMAND_ROOT, BIT(DRY_RUN) | BIT(INTERVAL), brimadm_apply},
	{"import-passwd", "[FILE]", "add a mailbox for each account of /etc/passwd", 0, 1,
		COMMAND_ROOT, BIT(DRY_RUN) | BIT(MIN_UID), brimadm_import_passwd},
	{"import-postfix", "[NAME=VALUE...] FILE...",
		"add what Postfix's virtual maps hold", 1, -1, COMMAND_ROOT, BIT(DRY_RUN),
		brimadm_import_postfix},
	{"import-postfixadmin", "[NAME=VALUE...] FILE...",
		"add what postfixadmin's tables hold, as CSV", 1, -1, COMMAND_ROOT,
		BIT(DRY_RUN), brimadm_import_postfixadmin},
	{"check", "[ADDRESS]", "find what could make a delivery fail, and its repair", 0,
		1, COMMAND_NO_CONF, BIT(JSON) | BIT(PROBE), brimadm_check},
	{"postfix", "[policy] [maps]",
		"show, make or take back Postfix's settings for Brim", 0, 2, 0,
		BIT(TRANSPORT) | BIT(APPLY) | BIT(UNDO), brimadm_postfix},
	{"simulate", "RECIPIENT", "show what a delivery would do, without one", 1, 1, 0,
		BIT(SIZE) | BIT(SENDER) | BIT(STAGE) | BIT(LOGIN) | BIT(JSON),
		brimadm_simulate},
	{"explain", "ADDRESS", "show where a mailbox's usage comes from", 1, 1, 0,
		BIT(JSON), brimadm_explain},
	{"trace", "QUEUE-ID|MESSAGE-ID", "show what the log says became of a message", 1,
		1, COMMAND_NO_CONF, BIT(LOG), brimadm_trace},
	{"recount", "ADDRESS", "count a mailbox anew", 1, 1, 0, BIT(EMPTY),
		brimadm_recount},
	{"config", "", "print all settings", 0, 0, 0, BIT(JSON), brimadm_config},
	{0},
};

static const char *
command_name(size_t i)
{
	return commands[i].name;
}

/* The command of that name, or NULL with the reason. */
static const struct command *
find_command(struct brimadm *a, const char *name)
{
	const struct command *c = commands;
	const char *near;

	while (c->name && strcmp(c->name, name) != 0)
		c++;
	if (c->name)
		return c;
	near = tool_nearest(name, command_name);
	brimadm_refuse(a, TOOL_USAGE,
		near ? "there is no command \"%.40s\"; do you mean %s?"
		     : "there is no command \"%.40s\"; see brimadm --help%s",
		name, near ? near : "");
	return NULL;
}

const struct command *
brimadm_command(struct brimadm *a, const char *name, int argc)
{
	const struct command *c = find_command(a, name);

	if (!c || (argc >= c->least && (c->most < 0 || argc <= c->most)))
		return c;
	brimadm_refuse(a, TOOL_USAGE, "usage: brimadm %s%s%s", c->name,
		c->arguments[0] ? " " : "", c->arguments);
	return NULL;
}

/* What stands against running the command, that its arguments do not show. OPTIONS begin
 * with those of the commands. */
static int
check_command(const struct brimadm *a, const struct command *c,
	const struct tool_option *options)
{
	for (int i = 0; i < OPTIONS; i++)
		if (a->option[i] && !(c->options & 1U << i))
			return tool_fail(
				TOOL_USAGE, "%s has no --%s", c->name, options[i].name);
	if (c->flags & COMMAND_ROOT && geteuid() != 0)
		return tool_fail(TOOL_CANT, "only root can change the user table");
	return TOOL_OK;
}

int
brimadm_run(struct brimadm *a, const struct command *c, int argc, char **argv)
{
	a->command = c;
	return c->run(a, argc, argv);
}

/* With the settings, and for a command that may stand in apply, within a change. */
static int
run_alone(struct brimadm *a, const struct command *c, int argc, char **argv)
{
	int status;

	if (c->flags & COMMAND_NO_CONF)
		return brimadm_run(a, c, argc, argv);
	if (conf_load(&a->conf, a->conf_file, &a->why))
		return tool_fail(TOOL_CANT, "%s", a->why.text);
	if (c->flags & COMMAND_CHANGES) {
		status = brimadm_begin(a, 0);
		if (!status)
			status = brimadm_run(a, c, argc, argv);
		status = brimadm_end(a, status);
	} else {
		status = brimadm_run(a, c, argc, argv);
	}
	conf_free(&a->conf);
	return status;
}

static int
run(struct brimadm *a, int help, const struct tool_option *options, int argc, char **argv)
{
	const struct command *c;
	int status;

	if (argc < 1) {
		brimadm_print_usage(commands, options, help ? stdout : stderr);
		return help ? TOOL_OK : TOOL_USAGE;
	}
	c = help ? find_command(a, argv[0]) : brimadm_command(a, argv[0], argc - 1);
	if (!c)
		return tool_fail(TOOL_USAGE, "%s", a->why.text);
	if (help)
		return brimadm_print_help(c, options, stdout);
	status = check_command(a, c, options);
	return status ? status : run_alone(a, c, argc - 1, argv + 1);
}

int
main(int argc, char **argv)
{
	static struct brimadm a;
	const char *help = NULL;
	const struct tool_option options[] = {
		[OPTION_JSON] = {0, "json", NULL, "print JSON", &a.option[OPTION_JSON]},
		[OPTION_REPLACE] = {0, "replace", NULL,
			"of load: remove all other records", &a.option[OPTION_REPLACE]},
		[OPTION_DRY_RUN] = {0, "dry-run", NULL,
			"show what would change, and change nothing",
			&a.option[OPTION_DRY_RUN]},
		[OPTION_FORCE] = {0, "force", NULL,
			"of load --replace: remove more than a tenth of the records",
			&a.option[OPTION_FORCE]},
		[OPTION_INTERVAL] = {0, "interval", "TIME",
			"of apply: publish as the lines come, at most so often",
			&a.option[OPTION_INTERVAL]},
		[OPTION_MIN_UID] = {0, "min-uid", "UID",
			"of import-passwd: leave out lower ones (1000)",
			&a.option[OPTION_MIN_UID]},
		[OPTION_TRANSPORT] = {0, "transport", "TRANSPORT",
			"of postfix: mailbox_command, pipe or virtual",
			&a.option[OPTION_TRANSPORT]},
		[OPTION_APPLY] = {0, "apply", NULL, "of postfix: make the settings",
			&a.option[OPTION_APPLY]},
		[OPTION_UNDO] = {0, "undo", NULL, "of postfix: take them back",
			&a.option[OPTION_UNDO]},
		[OPTION_SIZE] = {0, "size", "SIZE", "of simulate: the message's size",
			&a.option[OPTION_SIZE]},
		[OPTION_SENDER] = {0, "sender", "SENDER",
			"of simulate: the envelope sender", &a.option[OPTION_SENDER]},
		[OPTION_STAGE] = {0, "stage", "STAGE",
			"of simulate: rcpt, data, message, delivery or map",
			&a.option[OPTION_STAGE]},
		[OPTION_LOGIN] = {0, "login", "NAME",
			"of simulate --stage: who has logged in to send",
			&a.option[OPTION_LOGIN]},
		[OPTION_SALVAGE] = {0, "salvage", NULL,
			"of dump: print what a damaged table still has",
			&a.option[OPTION_SALVAGE]},
		[OPTION_EMPTY] = {0, "empty", NULL,
			"of recount: its mail is gone on purpose",
			&a.option[OPTION_EMPTY]},
		[OPTION_PROBE] = {0, "probe", NULL,
			"of check: try a delivery's calls in the mailbox of ADDRESS",
			&a.option[OPTION_PROBE]},
		[OPTION_LOG] = {0, "log", "LOG", "of trace: read LOG",
			&a.option[OPTION_LOG]},
		{'c', "config", "FILE", "read settings from FILE, not " CONF_FILE,
			&a.conf_file},
		{'h', "help", NULL, "print this, or what the command does", &help},
		{0, "way", "TRANSPORT", NULL, &a.option[OPTION_TRANSPORT]}, /* older */
		{0},
	};

	tool_start("brimadm");
	if (tool_options(&argc, &argv, options))
		return TOOL_USAGE;
	return tool_finish(run(&a, help != NULL, options, argc, argv));
}
