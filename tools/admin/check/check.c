/*
 * check: one table of the steps, and the report of what they find. Each finding goes out
 * as it is made, so that a million mailboxes need no more memory than one.
 */
#include "check.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/quote.h"
#include "kinds.h"
#include "printable.h"

enum needs {
	CONF = 1,     /* settings that could be read */
	TABLE = 2,    /* a table that could be read */
	EVERYBODY = 4 /* not for one address */
};

static const struct step {
	const char *doing;
	unsigned needs;
	void (*look)(struct check *c);
} steps[] = {
	{"settings", 0, check_settings},
	{"settings", 0, check_settings_file},
	{"users", CONF, check_users},
	{"blocked senders", CONF, check_senders},
	{"Postfix", CONF, check_postfix_read},
	{"user table", CONF, check_table},
	{"mailboxes", CONF | TABLE, check_mailboxes},
	{"addresses", CONF | TABLE | EVERYBODY, check_addresses},
	{"local domains", CONF | EVERYBODY, check_local_names},
	{"blocked senders", CONF | TABLE | EVERYBODY, check_own_senders},
	{"quotad", CONF, check_quotad},
	{"brim-release", CONF, check_release},
	{"file systems", CONF, check_stores},
	{"accounts", CONF | TABLE | EVERYBODY, check_accounts},
	{"Postfix", CONF, check_postfix},
};

/* --- texts -------------------------------------------------------------------------- */

struct check_texts {
	struct check_texts *next;
	char *text;
};

static const char *
keep(struct check *c, char *text)
{
	struct check_texts *t = text ? malloc(sizeof *t) : NULL;

	if (!t) {
		free(text);
		c->failed = 1;
		return "";
	}
	*t = (struct check_texts){c->texts, text};
	c->texts = t;
	return text;
}

static void
forget_texts(struct check *c)
{
	struct check_texts *t;

	while ((t = c->texts)) {
		c->texts = t->next;
		free(t->text);
		free(t);
	}
}

const char *
check_text(struct check *c, const char *format, ...)
{
	va_list args;
	char *text;
	int n;

	va_start(args, format);
	n = vasprintf(&text, format, args);
	va_end(args);
	return keep(c, n < 0 ? NULL : text);
}

const char *
check_quote(struct check *c, const char *word)
{
	return keep(c, quote_word(word));
}

const char *
check_brimadm(struct check *c)
{
	if (!c->a->conf_file)
		return "brimadm";
	return check_text(c, "brimadm -c %s", check_quote(c, c->a->conf_file));
}

const char *
check_conf_file(const struct check *c)
{
	return c->a->conf_file ? c->a->conf_file : CONF_FILE;
}

/* Whether the line sets the setting. */
static int
is_setting(const char *line, const char *name)
{
	if (strncmp(line, name, strlen(name)) != 0)
		return 0;
	line += strlen(name);
	return line[strspn(line, " \t")] == '=';
}

/* The line of the settings' file that sets it; 0 where none does, -1 without a file. */
static int
find_line(const struct check *c, const char *name)
{
	FILE *from = fopen(check_conf_file(c), "re");
	char *line = NULL;
	size_t size = 0;
	int number = 0, found = 0;

	if (!from)
		return -1;
	while (!found && getline(&line, &size, from) >= 0) {
		number++;
		found = is_setting(line, name);
	}
	free(line);
	fclose(from);
	return found ? number : 0;
}

int
check_last_line(const struct check *c, int first)
{
	FILE *from = fopen(check_conf_file(c), "re");
	char *line = NULL;
	size_t size = 0;
	int last = first;

	for (int number = 1; from && getline(&line, &size, from) >= 0; number++) {
		size_t blanks = strspn(line, " \t");

		if (number <= first || strchr("#\r\n", line[blanks]))
			continue;
		if (blanks == 0)
			break;
		last = number;
	}
	free(line);
	if (from)
		fclose(from);
	return last;
}

const char *
check_setting(struct check *c, const char *name, const char *value)
{
	const char *file = check_quote(c, check_conf_file(c));
	int line = find_line(c, name);

	if (value[0] == ';' || value[strcspn(value, "|&\\'\n")])
		return check_text(c, "Write %s =%s%s into %s.", name,
			value[0] == ';' ? "" : " ", value, file);
	if (line > 0 && check_last_line(c, line) > line)
		return check_text(c,
			"sed -i '/^%s[ \\t]*=/,/^[^ \\t#]/{s|^%s[ \\t]*=.*|%s = %s|;"
			"/^[ \\t][ \\t]*[^ \\t#]/d}' %s",
			name, name, name, value, file);
	if (line > 0)
		return check_text(c, "sed -i 's|^%s[ \\t]*=.*|%s = %s|' %s", name, name,
			value, file);
	return check_text(c, "%sprintf '\\n%%s\\n' '%s = %s' >>%s",
		line < 0 && !c->a->conf_file ? "mkdir -p /etc/brim && " : "", name, value,
		file);
}

/* --- the report --------------------------------------------------------------------- */

static void
print_json(struct check *c, const struct check_kind_row *k, const char *subject,
	const char *what, const char *repair)
{
	json_t *o = json_object();

	json_object_set_new(o, "check", json_string(k->name));
	json_object_set_new(o, "severity", json_string(check_severity_name(k->severity)));
	json_object_set_new(o, "subject", tool_json_name(subject));
	json_object_set_new(o, "what", tool_json_text(what));
	json_object_set_new(o, "why", json_string(k->why));
	json_object_set_new(o, "mend", tool_json_text(repair)); /* for scripts, as ever */
	tool_json_item(o, &c->printed);
}

/* A command as it is to be copied; what would move the cursor is no part of it. */
static void
print_line(const char *title, const char *text)
{
	char *shown = strdup(text);

	if (shown)
		printable_text(shown);
	printf("%s%s\n", title, shown ? shown : "");
	free(shown);
}

static void
print_text(const struct check_kind_row *k, const char *subject, const char *what,
	const char *repair)
{
	printf("%s (%s) ", k->name, check_severity_name(k->severity));
	print_line(subject, "");
	print_line("  what:   ", what);
	print_line("  why:    ", k->why);
	print_line("  repair: ", repair);
}

void
check_found(struct check *c, enum check_kind kind, const char *subject,
	const char *repair, const char *format, ...)
{
	const struct check_kind_row *k = check_kind_row(kind);
	char *what = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&what, format, args) < 0)
		what = NULL;
	va_end(args);
	progress_end(&c->bar);
	c->found[k->severity]++;
	if (!what)
		c->failed = 1;
	else if (c->a->option[OPTION_JSON])
		print_json(c, k, subject, what, repair);
	else
		print_text(k, subject, what, repair);
	free(what);
}

void
check_step(struct check *c)
{
	forget_texts(c);
	c->mailboxes++;
	if (!c->bar.what)
		progress_begin(&c->bar, 0, "mailboxes");
	progress_step(&c->bar, c->mailboxes);
}

/* --- the story ---------------------------------------------------------------------- */

static void
look(struct check *c)
{
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		const struct step *s = &steps[i];

		if ((s->needs & CONF && !c->has_conf) ||
			(s->needs & TABLE && !c->users) ||
			(s->needs & EVERYBODY && c->address))
			continue;
		s->look(c);
		progress_end(&c->bar);
		forget_texts(c);
	}
}

static void
let_go(struct check *c)
{
	check_postfix_free(c);
	check_mailboxes_free(c);
	users_close(&c->users);
	forget_texts(c);
	if (c->has_conf)
		conf_free(&c->a->conf);
}

static int
sum_up(const struct check *c)
{
	size_t found = c->found[ERROR] + c->found[WARNING];

	if (c->failed)
		return tool_fail(TOOL_CANT, "no memory: the report is not whole");
	if (!c->has_conf)
		tool_warn(
			"without settings nothing else was looked at: repair them first");
	else if (!c->users)
		tool_warn("without the table no mailbox was looked at: repair it first");
	tool_warn("%zu found: %s, %s; %s looked at", found,
		AMOUNT_OF(c->found[ERROR], "error", "errors"),
		AMOUNT_OF(c->found[WARNING], "warning", "warnings"),
		AMOUNT_OF(c->mailboxes, "mailbox", "mailboxes"));
	return found ? TOOL_NO : TOOL_OK;
}

int
brimadm_check(struct brimadm *a, int argc, char **argv)
{
	struct check c = {.a = a, .address = argc ? argv[0] : NULL};
	int status;

	if (a->option[OPTION_PROBE] && !argc)
		return tool_fail(TOOL_USAGE, "--probe needs the ADDRESS of a mailbox");
	if (geteuid() != 0)
		return tool_fail(TOOL_CANT, "only root can look at every mailbox");
	if (a->conf_file && access(a->conf_file, F_OK))
		return tool_fail(TOOL_CANT, "%s is not there", a->conf_file);
	look(&c);
	if (a->option[OPTION_JSON])
		tool_json_end(c.printed);
	status = sum_up(&c);
	let_go(&c);
	return status;
}
