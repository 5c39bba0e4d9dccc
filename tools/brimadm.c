/* brimadm: one table of commands, from which the usage is printed, too. */
#include "brimadm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHANGES (COMMAND_CHANGES | COMMAND_ROOT)

static const struct command commands[] = {
	{"init", "", "make an empty user table", 0, 0, COMMAND_ROOT, brimadm_init},
	{"add", "ADDRESS FIELD=VALUE...", "add a mailbox or, with @DOMAIN, a domain", 1,
		-1, CHANGES, brimadm_add},
	{"set", "ADDRESS FIELD=VALUE...", "change fields; an empty VALUE removes one", 2,
		-1, CHANGES, brimadm_set},
	{"remove", "ADDRESS", "remove a record; the mail stays", 1, 1, CHANGES,
		brimadm_remove},
	{"show", "ADDRESS", "show a record", 1, 1, COMMAND_JSON, brimadm_show},
	{"list", "[PATTERN]", "list records, all or those that match, as *@example.org",
		0, 1, COMMAND_JSON, brimadm_list},
	{"alias", "ADDRESS TARGET", "lead an address to another", 2, 2, CHANGES,
		brimadm_alias},
	{"enable", "ADDRESS", "let the mailbox take mail again", 1, 1, CHANGES,
		brimadm_enable},
	{"disable", "ADDRESS", "bounce mail for the mailbox", 1, 1, CHANGES,
		brimadm_disable},
	{"suspend", "ADDRESS", "let mail for the mailbox wait at the MTA", 1, 1, CHANGES,
		brimadm_suspend},
	{"move", "ADDRESS NEW-ADDRESS", "bounce mail and tell the new address", 2, 2,
		CHANGES, brimadm_move},
	{"dump", "", "print the table as lines that load reads", 0, 0, 0, brimadm_dump},
	{"load", "[--replace] [FILE]",
		"put the records of a dump into the table, or in its place", 0, 1,
		COMMAND_ROOT | COMMAND_REPLACE, brimadm_load},
	{"apply", "[FILE]", "run many commands, one a line, as one change", 0, 1,
		COMMAND_ROOT, brimadm_apply},
	{"config", "", "print all settings", 0, 0, COMMAND_JSON, brimadm_config},
	{0},
};

static const char *
command_name(size_t i)
{
	return commands[i].name;
}

const struct command *
brimadm_command(struct brimadm *a, const char *name, int argc)
{
	const struct command *c = commands;
	const char *near;

	while (c->name && strcmp(c->name, name) != 0)
		c++;
	if (c->name && argc >= c->least && (c->most < 0 || argc <= c->most))
		return c;
	if (c->name) {
		brimadm_refuse(a, TOOL_USAGE, "usage: brimadm %s%s%s", c->name,
			c->arguments[0] ? " " : "", c->arguments);
		return NULL;
	}
	near = tool_nearest(name, command_name);
	brimadm_refuse(a, TOOL_USAGE,
		near ? "there is no command \"%.40s\"; do you mean %s?"
		     : "there is no command \"%.40s\"; see brimadm --help%s",
		name, near ? near : "");
	return NULL;
}

static int
usage(const struct tool_option *options, FILE *to, int status)
{
	fprintf(to, "usage: brimadm [-c FILE] COMMAND [ARGUMENT...]\n\ncommands:\n");
	for (const struct command *c = commands; c->name; c++) {
		int width = 1 + (int)strlen(c->name) + (int)strlen(c->arguments);

		fprintf(to, "  %s %s%*s%s\n", c->name, c->arguments,
			width < 28 ? 28 - width : 1, "", c->sentence);
	}
	fprintf(to, "\nfields:\n");
	for (size_t i = 0; mailbox_field_at(i); i++)
		fprintf(to, "  %-27s %s\n", mailbox_field_at(i)->name,
			mailbox_field_at(i)->sentence);
	fprintf(to, "\noptions:\n");
	tool_print_options(options, to);
	return status;
}

/* What stands against running the command, that its arguments do not show. */
static int
check_command(const struct brimadm *a, const struct command *c)
{
	if (a->json && !(c->flags & COMMAND_JSON))
		return tool_fail(TOOL_USAGE, "%s has no --json", c->name);
	if (a->replace && !(c->flags & COMMAND_REPLACE))
		return tool_fail(TOOL_USAGE, "%s has no --replace", c->name);
	if (c->flags & COMMAND_ROOT && geteuid() != 0)
		return tool_fail(TOOL_CANT, "only root can change the user table");
	return TOOL_OK;
}

static int
run(struct brimadm *a, const struct command *c, const char *conf, int argc, char **argv)
{
	int status = check_command(a, c);

	if (status)
		return status;
	if (conf_load(&a->conf, conf, &a->why))
		return tool_fail(TOOL_CANT, "%s", a->why.text);
	if (c->flags & COMMAND_CHANGES) {
		status = brimadm_begin(a);
		if (!status)
			status = c->run(a, argc, argv);
		status = brimadm_end(a, status);
	} else {
		status = c->run(a, argc, argv);
	}
	conf_free(&a->conf);
	return status;
}

int
main(int argc, char **argv)
{
	struct brimadm a = {0};
	const char *conf = NULL, *help = NULL;
	const struct tool_option options[] = {
		{'c', "config", "FILE", "read settings from FILE, not " CONF_FILE, &conf},
		{0, "json", NULL, "print JSON (show, list, config)", &a.json},
		{0, "replace", NULL, "of load: remove all other records", &a.replace},
		{'h', "help", NULL, "print this", &help},
		{0},
	};
	const struct command *c;

	tool_start("brimadm");
	if (tool_options(&argc, &argv, options))
		return TOOL_USAGE;
	if (help)
		return tool_finish(usage(options, stdout, TOOL_OK));
	if (argc < 1)
		return usage(options, stderr, TOOL_USAGE);
	c = brimadm_command(&a, argv[0], argc - 1);
	if (!c)
		return tool_fail(TOOL_USAGE, "%s", a.why.text);
	return tool_finish(run(&a, c, conf, argc - 1, argv + 1));
}
