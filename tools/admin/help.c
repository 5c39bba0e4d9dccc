/* --help: all commands, a line each; or one of them, with its fields, options, example.
 */
#include <stdio.h>
#include <string.h>

#include "brimadm.h"

static const struct help {
	const char *command;
	const char *more; /* what the sentence has no room for; "" for nothing */
	const char *example;
} helps[] = {
	{"init", "A table that is there already is left alone.", "brimadm init"},
	{"add",
		"ADDRESS is name@domain, the bare name of an account of this host, or\n"
		"@domain. A mailbox needs uid, gid and mail; brimadm alias makes an "
		"alias.",
		"brimadm add alice@example.org uid=5000 gid=5000 \\\n"
		"      mail=/srv/mail/example.org/alice/ quota=1G"},
	{"set", "All other fields stay as they are.",
		"brimadm set alice@example.org quota=2G over_quota=bounce"},
	{"remove", "A domain must be empty. Mail for the address bounces from then on.",
		"brimadm remove alice@example.org"},
	{"show", "", "brimadm show alice@example.org"},
	{"list", "The exit status is 1 where none matches.",
		"brimadm list '*@example.org' --json"},
	{"alias", "TARGET may be several addresses with commas between.",
		"brimadm alias sales@example.org alice@example.org"},
	{"enable", "It ends disable, suspend and move.",
		"brimadm enable alice@example.org"},
	{"disable", "brimadm enable ends it.", "brimadm disable alice@example.org"},
	{"suspend", "brimadm enable ends it.", "brimadm suspend alice@example.org"},
	{"move", "brimadm enable ends it.",
		"brimadm move alice@example.org alice@example.com"},
	{"dump", "", "brimadm dump > users"},
	{"load",
		"Without FILE, standard input. All lines are one change, or none is "
		"made.",
		"brimadm load --replace --dry-run users"},
	{"apply",
		"A line is a command without brimadm, such as set, or a JSON object. "
		"Without\n"
		"FILE, standard input. All lines are one change, or none is made.",
		"brimadm list --json | jq -c '.[] | select(.uid) |\n"
		"      {set: .address, quota: \"2G\"}' | brimadm apply"},
	{"import-passwd", "The Maildir is Maildir/ in the account's home.",
		"brimadm import-passwd --dry-run"},
	{"import-postfix",
		"uid=UID and gid=GID are what the mailboxes get, base=DIRECTORY is in "
		"front\n"
		"of their paths. FILE may have the setting that it serves in front.",
		"brimadm import-postfix --dry-run uid=5000 gid=5000 \\\n"
		"      base=/var/mail/vhosts /etc/postfix/vmailbox /etc/postfix/virtual"},
	{"import-postfixadmin",
		"uid=UID and gid=GID are what the mailboxes get, base=DIRECTORY is in "
		"front\n"
		"of their paths.",
		"brimadm import-postfixadmin --dry-run uid=5000 gid=5000 \\\n"
		"      base=/var/mail/vhosts mailbox.csv alias.csv domain.csv"},
	{"check",
		"It changes nothing. The exit status is 1 where something was found. "
		"--probe\n"
		"writes a file into the mailbox, as its owner, and removes it.",
		"brimadm check --probe alice@example.org"},
	{"postfix",
		"Without --apply and --undo the settings are shown alone. With policy "
		"and "
		"maps\n"
		"Postfix asks quotad while the sender is still there.",
		"brimadm postfix --transport mailbox_command --apply policy maps"},
	{"simulate",
		"Nothing is changed by it. --stage tells what is said before: at SMTP "
		"time, and\n"
		"by each map.",
		"brimadm simulate alice@example.org --size 20M --stage rcpt"},
	{"explain", "Nothing is changed by it.", "brimadm explain alice@example.org"},
	{"trace",
		"Without --log the journal is read, or /var/log/mail.log. The exit "
		"status "
		"is 1\n"
		"where the log has nothing of the message.",
		"brimadm trace 4bXyZ0123zabc"},
	{"recount",
		"A mailbox that had mail and is missing takes none until it is back, "
		"since "
		"its\n"
		"file system may not be mounted; --empty says that its mail is gone on "
		"purpose.",
		"brimadm recount --empty alice@example.org"},
	{"config", "They are printed as brim.conf has them.", "brimadm config"},
};

static void
print_fields(FILE *to)
{
	fprintf(to, "\nfields:\n");
	for (size_t i = 0; mailbox_field_at(i); i++)
		fprintf(to, "  %-27s %s\n", mailbox_field_at(i)->name,
			mailbox_field_at(i)->sentence);
}

void
brimadm_print_usage(
	const struct command *commands, const struct tool_option *options, FILE *to)
{
	fprintf(to, "usage: brimadm [-c FILE] COMMAND [ARGUMENT...]\n"
		    "       brimadm COMMAND --help\n\ncommands:\n");
	for (const struct command *c = commands; c->name; c++) {
		int width = 1 + (int)strlen(c->name) + (int)strlen(c->arguments);

		fprintf(to, "  %s %s%*s%s\n", c->name, c->arguments,
			width < 28 ? 28 - width : 1, "", c->sentence);
	}
	print_fields(to);
	fprintf(to, "\noptions:\n");
	tool_print_options(options, to);
}

/* The options of the command, without the words that say whose they are. */
static void
print_options(const struct command *c, const struct tool_option *options, FILE *to)
{
	struct tool_option own[OPTIONS + 3] = {0};
	size_t count = 0;

	for (int i = 0; options[i].value; i++) {
		const char *sentence = options[i].sentence, *colon;

		if (!sentence || (i < OPTIONS && !(c->options & 1U << i)))
			continue;
		own[count] = options[i];
		colon = strncmp(sentence, "of ", 3) == 0 ? strstr(sentence, ": ") : NULL;
		if (colon)
			own[count].sentence = colon + 2;
		count++;
	}
	fprintf(to, "\noptions:\n");
	tool_print_options(own, to);
}

static const struct help *
find_help(const char *command)
{
	static const struct help none = {"", "", ""};

	for (size_t i = 0; i < sizeof helps / sizeof *helps; i++)
		if (strcmp(helps[i].command, command) == 0)
			return &helps[i];
	return &none;
}

int
brimadm_print_help(const struct command *c, const struct tool_option *options, FILE *to)
{
	const struct help *h = find_help(c->name);

	fprintf(to, "usage: brimadm [-c FILE] %s%s%s\n\n%s\n", c->name,
		c->arguments[0] ? " " : "", c->arguments, c->sentence);
	if (h->more[0])
		fprintf(to, "\n%s\n", h->more);
	if (strstr(c->arguments, "FIELD"))
		print_fields(to);
	print_options(c, options, to);
	fprintf(to, "\nexample:\n  %s\n", h->example);
	return TOOL_OK;
}
