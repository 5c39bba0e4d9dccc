/* What the command line tools share. */
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "record.h"

#define OPTIONS_MAX 16
#define LONG_ONLY   256 /* getopt's values of options without a letter, from here on */

static const char *tool_name = "brim";

void
tool_start(const char *name)
{
	tool_name = name;
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	umask(022);
	/* A descriptor that was closed fails when it is used, and no file of ours gets
	 * its number. */
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 &&
			open("/dev/null", fd ? O_RDONLY : O_WRONLY) < 0)
			abort();
}

/* --- messages --------------------------------------------------------------------- */

static void __attribute__((format(printf, 1, 0)))
write_message(const char *format, va_list args)
{
	char *text;

	if (vasprintf(&text, format, args) < 0)
		return;
	for (char *c = text; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	fprintf(stderr, "%s: %s\n", tool_name, text);
	free(text);
}

void
tool_warn(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	write_message(format, args);
	va_end(args);
}

int
tool_fail(enum tool_status status, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	write_message(format, args);
	va_end(args);
	return (int)status;
}

int
tool_finish(int status)
{
	int failed = ferror(stdout);

	errno = 0;
	if (fflush(stdout) || failed)
		return tool_fail(TOOL_CANT, "can't write to standard output%s%s",
			errno ? ": " : "", errno ? strerror(errno) : "");
	return status;
}

/* --- options ---------------------------------------------------------------------- */

/* Makes getopt's own tables from ours. */
static size_t
make_getopt(const struct tool_option *options, struct option *lengthy, char *letters,
	int *missing)
{
	size_t count = 0, longs = 0;

	*letters++ = ':';
	for (; options[count].value; count++) {
		const struct tool_option *o = &options[count];

		if (o->letter) {
			*letters++ = o->letter;
			if (o->argument)
				*letters++ = ':';
		}
		if (o->name)
			lengthy[longs++] = (struct option){o->name,
				o->argument ? required_argument : no_argument, missing,
				LONG_ONLY + (int)count};
	}
	*letters = '\0';
	lengthy[longs] = (struct option){0};
	return count;
}

static const struct tool_option *
find_option(const struct tool_option *options, int letter, int lengthy)
{
	if (letter == 0)
		return &options[lengthy - LONG_ONLY];
	while (options->value && options->letter != letter)
		options++;
	return options;
}

int
tool_options(int *argc, char ***argv, const struct tool_option *options)
{
	struct option lengthy[OPTIONS_MAX];
	char letters[2 * OPTIONS_MAX + 2];
	int letter, which = 0;

	if (*argc == 0)
		return 0;
	make_getopt(options, lengthy, letters, &which);
	opterr = 0;
	while ((letter = getopt_long(*argc, *argv, letters, lengthy, NULL)) != -1) {
		const char *word = (*argv)[optind - 1];

		if (letter == '?' && optopt && optopt < LONG_ONLY)
			return tool_fail(
				TOOL_USAGE, "unknown option -%c; try --help", optopt);
		if (letter == '?')
			return tool_fail(
				TOOL_USAGE, "%s: no such option; try --help", word);
		if (letter == ':')
			return tool_fail(TOOL_USAGE, "%s needs an argument", word);
		*find_option(options, letter, which)->value = optarg ? optarg : "";
	}
	*argc -= optind;
	*argv += optind;
	return 0;
}

void
tool_print_options(const struct tool_option *options, FILE *to)
{
	for (; options->value; options++) {
		char *text;
		int n = asprintf(&text, "%s%c%s%s%s%s%s", options->letter ? "-" : "",
			options->letter ? options->letter : ' ',
			options->letter && options->name ? ", " : "",
			options->name ? "--" : "", options->name ? options->name : "",
			options->argument ? " " : "",
			options->argument ? options->argument : "");

		if (n < 0)
			return;
		fprintf(to, "  %-20s %s\n", text + (options->letter ? 0 : 1),
			options->sentence);
		free(text);
	}
}

/* --- words that are nearly right ---------------------------------------------------- */

/* Edit distance, bounded by the words' first 31 bytes. */
static size_t
distance(const char *a, const char *b)
{
	size_t row[32], length = strnlen(b, 31);

	for (size_t j = 0; j <= length; j++)
		row[j] = j;
	for (size_t i = 1; i <= 31 && a[i - 1]; i++) {
		size_t corner = row[0];

		row[0] = i;
		for (size_t j = 1; j <= length; j++) {
			size_t best = corner + (a[i - 1] != b[j - 1]);

			corner = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[length];
}

const char *
tool_nearest(const char *word, const char *(*name)(size_t i))
{
	const char *candidate, *best = NULL;
	size_t least = 4; /* more is another word */

	for (size_t i = 0; (candidate = name(i)); i++) {
		/* people get the first letter right */
		size_t d = distance(word, candidate) + (word[0] != candidate[0]);

		if (d < least && d < strlen(candidate)) {
			least = d;
			best = candidate;
		}
	}
	return best;
}

/* --- tables ----------------------------------------------------------------------- */

struct tool_table {
	const struct tool_column *columns;
	size_t count; /* of columns */
	size_t *widths;
	char **cells; /* row by row */
	size_t filled, room;
};

static void
free_table(struct tool_table **t)
{
	for (size_t i = 0; i < (*t)->filled; i++)
		free((*t)->cells[i]);
	free((*t)->cells);
	free((*t)->widths);
	free(*t);
	*t = NULL;
}

struct tool_table *
tool_table_new(const struct tool_column *columns, size_t count)
{
	struct tool_table *t = calloc(1, sizeof *t);

	if (!t)
		return NULL;
	t->columns = columns;
	t->count = count;
	t->widths = calloc(count, sizeof *t->widths);
	if (!t->widths) {
		free_table(&t);
		return NULL;
	}
	for (size_t i = 0; i < count; i++)
		t->widths[i] = strlen(columns[i].title);
	return t;
}

static int
make_room(struct tool_table *t)
{
	size_t room = t->room ? 2 * t->room : 16 * t->count;
	char **grown;

	if (t->filled + t->count <= t->room)
		return 0;
	grown = reallocarray(t->cells, room, sizeof *grown);
	if (!grown)
		return -1;
	t->cells = grown;
	t->room = room;
	return 0;
}

int
tool_table_row(struct tool_table *t, const char *const *cells)
{
	if (make_room(t))
		return -1;
	for (size_t i = 0; i < t->count; i++) {
		char *cell = record_escape(cells[i] ? cells[i] : "");
		size_t width = cell ? strlen(cell) : 0;

		if (!cell)
			return -1;
		t->cells[t->filled++] = cell;
		if (width > t->widths[i])
			t->widths[i] = width;
	}
	return 0;
}

static void
print_row(const struct tool_table *t, char *const *cells)
{
	for (size_t i = 0; i < t->count; i++) {
		const char *text = cells ? cells[i] : t->columns[i].title;
		int width = (int)t->widths[i], last = i + 1 == t->count;

		if (t->columns[i].right)
			printf("%*s", width, text);
		else
			printf("%-*s", last ? 0 : width, text);
		fputs(last ? "\n" : "  ", stdout);
	}
}

void
tool_table_print(struct tool_table **t)
{
	if (!*t)
		return;
	if ((*t)->filled)
		print_row(*t, NULL); /* the titles */
	for (char **row = (*t)->cells;
		row < (*t)->cells + (*t)->filled && !ferror(stdout); row += (*t)->count)
		print_row(*t, row);
	free_table(t);
}

/* --- JSON ------------------------------------------------------------------------- */

json_t *
tool_json_text(const char *text)
{
	json_t *value = json_string(text);
	char *escaped;

	if (value)
		return value;
	escaped = record_escape(text);
	value = escaped ? json_string(escaped) : NULL;
	free(escaped);
	return value;
}

static void
dump(json_t *value)
{
	/* a failed write is told by tool_finish */
	if (value)
		json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
	json_decref(value);
}

void
tool_json_print(json_t *value)
{
	dump(value);
	putchar('\n');
}

void
tool_json_item(json_t *value, size_t *count)
{
	fputs((*count)++ ? ",\n" : "[\n", stdout);
	dump(value);
}

void
tool_json_end(size_t count)
{
	fputs(count ? "\n]\n" : "[]\n", stdout);
}
