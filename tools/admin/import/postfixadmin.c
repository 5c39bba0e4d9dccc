/*
 * import-postfixadmin: the tables mailbox, alias, alias_domain and domain of
 * postfixadmin, as CSV (RFC 4180) with a line of column names, by which the tables are
 * told apart. Passwords are not read. Quotas are bytes there, as in a record.
 */
#include "import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS_MAX 64
#define ROW_MAX     (1 << 20) /* bytes; more is a quote that was left open */

/* One row; the cells lie in TEXT. */
struct row {
	char *text;
	size_t length, room;
	char *cells[COLUMNS_MAX];
	int count;
	int open;             /* a quoted cell goes on in the next line */
	unsigned long number; /* of its first line */
};

enum column { NAME, PATH, QUOTA, GOTO, ACTIVE, BACKUP, COLUMNS };

struct table {
	const char *name;
	const char *columns[COLUMNS]; /* names; NULL: it has none such */
	int (*import)(struct import *i, char *const cells[COLUMNS]);
};

/* --- rows --- */

/* Adds the line, with its end, to the row's text. */
static int
append(struct import *i, struct row *r, const struct input *in)
{
	size_t size = r->length + in->length + 2;

	if (size > r->room) {
		char *grown = realloc(r->text, 2 * size);

		if (!grown) {
			reason_set(&i->a->why, "no memory");
			return -1;
		}
		r->text = grown;
		r->room = 2 * size;
	}
	memcpy(r->text + r->length, in->line, in->length);
	r->length += in->length;
	r->text[r->length++] = '\n';
	r->text[r->length] = '\0';
	for (size_t n = 0; n < in->length; n++)
		r->open ^= in->line[n] == '"';
	return 0;
}

/* A row that makes no sense; -2, as next_row has it. */
static int
bad_row(struct import *i, const struct input *in, unsigned long line, const char *fault)
{
	reason_set(&i->a->why, "%s:%lu: %s", in->name, line, fault);
	return -2;
}

static int
status_of(int more)
{
	return more == -2 ? TOOL_USAGE : more < 0 ? TOOL_CANT : TOOL_OK;
}

/* Reads lines up to the end of a row: 1, 0 at the end, -1 (it can't be read) or -2 (it
 * makes no sense) with the reason. */
static int
next_row(struct import *i, struct input *in, struct row *r)
{
	int more;

	r->length = 0;
	r->open = 0;
	r->number = in->number + 1;
	do {
		more = input_next(i->a, in);
		if (more > 0 && strlen(in->line) != in->length)
			return bad_row(i, in, in->number, "a NUL byte");
		if (more > 0 && append(i, r, in))
			return -1;
	} while (more > 0 && r->open && r->length <= ROW_MAX);
	if (more >= 0 && r->open)
		return bad_row(i, in, r->number, "a quoted cell has no end");
	while (more > 0 && r->length && strchr("\r\n", r->text[r->length - 1]))
		r->text[--r->length] = '\0';
	return more;
}

/* Takes one cell off *text, in place; *text is NULL behind the last. */
static char *
take_cell(char **text, char delimiter)
{
	char *p = *text, *cell = p, *to = p;
	int quoted = *p == '"';

	if (quoted)
		p++;
	while (*p && (quoted || *p != delimiter)) {
		if (quoted && *p == '"' && *++p != '"')
			quoted = 0; /* what follows is the delimiter, or the end */
		else
			*to++ = *p++;
	}
	*text = *p ? p + 1 : NULL;
	*to = '\0';
	return cell;
}

static int
cut(struct import *i, struct row *r, char delimiter)
{
	char *rest = r->text;

	r->count = 0;
	while (rest && r->count < COLUMNS_MAX)
		r->cells[r->count++] = take_cell(&rest, delimiter);
	return rest ? brimadm_refuse(
			      i->a, TOOL_USAGE, "more than %d columns", COLUMNS_MAX)
		    : TOOL_OK;
}

/* --- the tables --- */

/* As MySQL, PostgreSQL, SQLite and people write them. */
static const char *const no[] = {"0", "f", "false", "n", "no", "off", NULL};
static const char *const yes[] = {"1", "t", "true", "y", "yes", "on", "", NULL};

static int
is_one_of(const char *cell, const char *const *words)
{
	while (*words && strcasecmp(cell, *words) != 0)
		words++;
	return *words != NULL;
}

static int
is_no(const char *cell)
{
	return cell && is_one_of(cell, no);
}

/* What is neither would make an inactive mailbox take mail. */
static int
check_truth(struct import *i, const char *cell, const char *column)
{
	if (!cell || is_one_of(cell, no) || is_one_of(cell, yes))
		return TOOL_OK;
	return brimadm_refuse(
		i->a, TOOL_USAGE, "%s is \"%.80s\", neither 1 nor 0", column, cell);
}

static int
import_mailbox_row(struct import *i, char *const cells[COLUMNS])
{
	const char *quota = cells[QUOTA];
	uint64_t bytes = 0;

	/* no limit is 0; what is below is none either */
	if (quota && (quota[0] == '-' || strcmp(quota, "0") == 0 || quota[0] == '\0'))
		quota = NULL;
	if (quota && amount_count(quota, &bytes, NULL))
		return brimadm_refuse(i->a, TOOL_USAGE,
			"%.80s: the quota \"%.40s\" is no number of bytes", cells[NAME],
			quota);
	if (cells[PATH][0] && cells[PATH][strlen(cells[PATH]) - 1] != '/')
		return brimadm_refuse(i->a, TOOL_USAGE,
			"%.80s: %.80s has no / at its end: only Maildirs are delivered "
			"to",
			cells[NAME], cells[PATH]);
	return import_mailbox(i, cells[NAME], cells[PATH], quota,
		is_no(cells[ACTIVE]) ? "disabled" : NULL);
}

static int
import_alias_row(struct import *i, char *const cells[COLUMNS])
{
	if (is_no(cells[ACTIVE])) {
		i->left_out++;
		return TOOL_OK;
	}
	return import_alias(i, cells[NAME], cells[GOTO]);
}

static int
import_alias_domain_row(struct import *i, char *const cells[COLUMNS])
{
	char *alias = NULL, *target = NULL;
	int status;

	if (is_no(cells[ACTIVE])) {
		i->left_out++;
		return TOOL_OK;
	}
	if (asprintf(&alias, "@%s", cells[NAME]) < 0)
		alias = NULL;
	if (asprintf(&target, "@%s", cells[GOTO]) < 0)
		target = NULL;
	status = alias && target ? import_alias(i, alias, target)
				 : brimadm_refuse(i->a, TOOL_CANT, "no memory");
	free(alias);
	free(target);
	return status;
}

static int
import_domain_row(struct import *i, char *const cells[COLUMNS])
{
	/* ALL is a row of postfixadmin's own; mail for a backup's domain only passes */
	if (strcmp(cells[NAME], "ALL") == 0 || (cells[BACKUP] && !is_no(cells[BACKUP]))) {
		i->left_out++;
		return TOOL_OK;
	}
	if (is_no(cells[ACTIVE]))
		return brimadm_refuse(i->a, TOOL_USAGE,
			"%.80s: a domain that is not active can't be carried over: leave "
			"out its rows in all tables",
			cells[NAME]);
	return import_domain(i, cells[NAME]);
}

/* The first whose columns are there; QUOTA and ACTIVE need not be. */
static const struct table tables[] = {
	{"mailbox",
		{[NAME] = "username",
			[PATH] = "maildir",
			[QUOTA] = "quota",
			[ACTIVE] = "active"},
		import_mailbox_row},
	{"alias", {[NAME] = "address", [GOTO] = "goto", [ACTIVE] = "active"},
		import_alias_row},
	{"alias_domain",
		{[NAME] = "alias_domain", [GOTO] = "target_domain", [ACTIVE] = "active"},
		import_alias_domain_row},
	{"domain", {[NAME] = "domain", [BACKUP] = "backupmx", [ACTIVE] = "active"},
		import_domain_row},
};

/* Which cell of a row is the column; -1. */
static int
find_column(const struct row *header, const char *name)
{
	for (int n = 0; n < header->count; n++)
		if (strcasecmp(header->cells[n], name) == 0)
			return n;
	return -1;
}

static const struct table *
find_table(struct import *i, const struct row *header, int places[COLUMNS])
{
	for (size_t t = 0; t < sizeof tables / sizeof *tables; t++) {
		int whole = 1;

		for (int c = 0; c < COLUMNS; c++) {
			const char *name = tables[t].columns[c];

			places[c] = name ? find_column(header, name) : -1;
			whole &= !name || places[c] >= 0 || c == QUOTA || c == ACTIVE;
		}
		if (whole)
			return &tables[t];
	}
	brimadm_refuse(i->a, TOOL_USAGE,
		"the first line must name the columns of postfixadmin's mailbox, alias, "
		"alias_domain or domain");
	return NULL;
}

/* --- a file --- */

static int
import_row(struct import *i, const struct table *t, const int places[COLUMNS],
	const struct row *r, int width)
{
	char *cells[COLUMNS];
	int status;

	if (r->count != width)
		return brimadm_refuse(i->a, TOOL_USAGE, "%s, where the first line has %d",
			AMOUNT_OF((uint64_t)r->count, "column", "columns"), width);
	for (int c = 0; c < COLUMNS; c++)
		cells[c] = places[c] < 0 ? NULL : r->cells[places[c]];
	status = check_truth(i, cells[ACTIVE], "active");
	if (status == TOOL_OK)
		status = check_truth(i, cells[BACKUP], "backupmx");
	return status == TOOL_OK ? t->import(i, cells) : status;
}

/* Reads the line of names: the table, and what stands between columns. */
static const struct table *
read_header(struct import *i, struct input *in, struct row *r, int places[COLUMNS],
	char *delimiter, int *status)
{
	const struct table *t = NULL;
	int more = next_row(i, in, r);

	*status = more < 0 ? status_of(more) : TOOL_USAGE;
	if (more < 0)
		return NULL;
	if (more == 0) {
		brimadm_refuse(i->a, TOOL_USAGE, "%s: it is empty", in->name);
		return NULL;
	}
	*delimiter = r->text[strcspn(r->text, ",;\t")];
	if (*delimiter == '\0')
		*delimiter = ',';
	if (cut(i, r, *delimiter) == TOOL_OK)
		t = find_table(i, r, places);
	*status = t ? TOOL_OK : input_fault(i->a, in, TOOL_USAGE);
	return t;
}

static int
import_rows(struct import *i, struct input *in)
{
	struct row r = {0};
	char delimiter = ',';
	int places[COLUMNS] = {0}, more = 0, width, status;
	const struct table *t = read_header(i, in, &r, places, &delimiter, &status);

	width = r.count;
	while (t && !status && (more = next_row(i, in, &r)) > 0) {
		if (r.length == 0)
			continue;
		status = cut(i, &r, delimiter);
		if (!status)
			status = import_row(i, t, places, &r, width);
		status = import_judge(i, in, r.number, status);
	}
	free(r.text);
	return more < 0 ? status_of(more) : status;
}

int
brimadm_import_postfixadmin(struct brimadm *a, int argc, char **argv)
{
	struct import i = {.a = a};
	int status, files = import_words(&i, argc, argv);

	if (files < 0)
		return tool_fail(TOOL_USAGE, "%s", a->why.text);
	status = import_begin(a, &i);
	for (int n = 0; n < files && !status; n++) {
		struct input in;

		status = input_open(a, &in, 1, &argv[n]);
		if (!status)
			status = import_rows(&i, &in);
		input_close(&in);
	}
	return import_end(&i, status);
}
