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
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "amount.h"
#include "printable.h"
#include "record.h"

#define OPTIONS_MAX 32
#define LONG_ONLY   256 /* getopt's values of options without a letter, from here on */

static const char *tool_name = "brim";
static FILE *messages; /* NULL: standard error */

void
tool_start(const char *name)
{
	tool_name = name;
	printable_keep_utf8();
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
	printable_text(text);
	fprintf(messages ? messages : stderr, "%s: %s\n", tool_name, text);
	free(text);
}

void
tool_messages(FILE *to)
{
	messages = to;
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

static int
takes(const struct tool_option *o)
{
	if (!o->argument)
		return no_argument;
	return o->argument[0] == '[' ? optional_argument : required_argument;
}

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
			lengthy[longs++] = (struct option){
				o->name, takes(o), missing, LONG_ONLY + (int)count};
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
		int n;

		if (!options->sentence)
			continue;
		n = asprintf(&text, "%s%c%s%s%s%s%s", options->letter ? "-" : "",
			options->letter ? options->letter : ' ',
			options->letter && options->name ? ", " : "",
			options->name ? "--" : "", options->name ? options->name : "",
			takes(options) == required_argument ? " " : "",
			options->argument ? options->argument : "");

		if (n < 0)
			return;
		fprintf(to, "  %-22s %s\n", text + (options->letter ? 0 : 1),
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

/* --- the terminal ----------------------------------------------------------------- */

/* The width that the environment names, which can't be trusted with more than this. */
static int
width_elsewhere(void)
{
	const char *columns = getenv("COLUMNS");
	uint64_t n;

	if (columns && amount_count(columns, &n, NULL) == 0 && n > 0 && n <= 1000)
		return (int)n;
	return 80;
}

int
tool_terminal_width(int fd, int otherwise)
{
	struct winsize size;

	return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : otherwise;
}

void
tool_terminal_look(struct tool_terminal *t)
{
	const char *term = getenv("TERM"), *no_colour = getenv("NO_COLOR");
	struct winsize size = {0};
	int is_terminal = isatty(STDOUT_FILENO);

	if (is_terminal)
		ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	t->width = is_terminal ? tool_terminal_width(STDOUT_FILENO, width_elsewhere())
			       : width_elsewhere();
	t->height = size.ws_row ? size.ws_row : 24;
	t->is_screen = is_terminal && term && *term && strcmp(term, "dumb") != 0;
	t->has_colour = t->is_screen && !(no_colour && *no_colour);
}

/* --- tables ----------------------------------------------------------------------- */

#define ROWS_KEPT 1000 /* until the widths are settled, and at a time from then on */
#define GAP       2    /* between columns */
#define BAR_LEAST 7    /* characters, brackets included; a shorter one says nothing */
#define BAR_MOST  42

struct tool_table {
	const struct tool_column *columns;
	size_t count; /* of columns */
	struct tool_terminal terminal;
	size_t *widths;
	char **cells; /* row by row */
	enum tool_colour colours[ROWS_KEPT];
	size_t filled, room; /* rows */
	int begun;           /* widths are settled, the titles printed */
};

static void
drop_rows(struct tool_table *t)
{
	for (size_t i = 0; i < t->filled * t->count; i++)
		free(t->cells[i]);
	t->filled = 0;
}

static void
free_table(struct tool_table **t)
{
	drop_rows(*t);
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
	t->terminal.width = 80;
	t->widths = calloc(count, sizeof *t->widths);
	if (!t->widths) {
		free_table(&t);
		return NULL;
	}
	for (size_t i = 0; i < count; i++)
		t->widths[i] = strlen(columns[i].title);
	return t;
}

void
tool_table_fit(struct tool_table *t, const struct tool_terminal *to)
{
	t->terminal = *to;
}

static int
make_room(struct tool_table *t)
{
	size_t room = t->room ? 2 * t->room : 16;
	char **grown;

	if (t->filled < t->room)
		return 0;
	grown = reallocarray(t->cells, room * t->count, sizeof *grown);
	if (!grown)
		return -1;
	t->cells = grown;
	t->room = room;
	return 0;
}

static void
free_cells(char **row, size_t count)
{
	while (count > 0)
		free(row[--count]);
}

static int
copy_cells(const struct tool_table *t, char **row, const char *const *cells)
{
	for (size_t i = 0; i < t->count; i++) {
		row[i] = record_escape(cells[i] ? cells[i] : "");
		if (!row[i]) {
			free_cells(row, i);
			return -1;
		}
	}
	return 0;
}

static void
widen(struct tool_table *t, char *const *row)
{
	for (size_t i = 0; i < t->count; i++)
		if (!(t->columns[i].set & TOOL_BAR) && strlen(row[i]) > t->widths[i])
			t->widths[i] = strlen(row[i]);
}

/* The bar gets what the others leave, or nothing: width 0. */
static void
fit_bar(struct tool_table *t)
{
	size_t bar = t->count, others = 0, wide = (size_t)t->terminal.width;

	for (size_t i = 0; i < t->count; i++) {
		if (t->columns[i].set & TOOL_BAR)
			bar = i;
		else
			others += t->widths[i] + GAP;
	}
	if (bar == t->count)
		return;
	t->widths[bar] = others + BAR_LEAST > wide ? 0 : wide - others;
	if (t->widths[bar] > BAR_MOST)
		t->widths[bar] = BAR_MOST;
}

static const char *
draw_bar(const char *percent, size_t width, char bar[BAR_MOST + 1])
{
	size_t inside = width - 2, full;
	uint64_t n;

	if (!*percent || amount_count(percent, &n, NULL))
		return "";
	full = n >= 100 ? inside : (size_t)n * inside / 100;
	memset(bar, '.', width);
	memset(bar + 1, '#', full);
	bar[0] = '[';
	bar[width - 1] = ']';
	bar[width] = '\0';
	return bar;
}

/* PENDING blanks are printed only before something that is not blank. */
static void
print_cell(const char *text, int width, int right, const char *colour, int *pending)
{
	int padding = width - (int)strlen(text);

	if (padding < 0)
		padding = 0;
	*pending += right ? padding : 0;
	if (*text) {
		printf("%*s%s%s%s", *pending, "", colour, text, *colour ? "\033[m" : "");
		*pending = 0;
	}
	*pending += (right ? 0 : padding) + GAP;
}

/* CELLS NULL: the titles. */
static void
print_row(const struct tool_table *t, char *const *cells, enum tool_colour colour)
{
	static const char *const codes[] = {"", "\033[32m", "\033[33m", "\033[31m"};
	char bar[BAR_MOST + 1];
	int pending = 0;

	for (size_t i = 0; i < t->count; i++) {
		const char *text = cells ? cells[i] : t->columns[i].title;
		int set = t->columns[i].set,
		    coloured = t->terminal.has_colour && (set & TOOL_COLOURED);

		if (set & TOOL_BAR && t->widths[i] == 0)
			continue;
		if (set & TOOL_BAR && cells)
			text = draw_bar(text, t->widths[i], bar);
		print_cell(text, (int)t->widths[i], set & TOOL_RIGHT,
			codes[coloured ? colour : TOOL_PLAIN], &pending);
	}
	putchar('\n');
}

static void
print_rows(struct tool_table *t)
{
	if (t->filled && !t->begun) {
		fit_bar(t);
		print_row(t, NULL, TOOL_PLAIN);
		t->begun = 1;
	}
	for (size_t i = 0; i < t->filled && !ferror(stdout); i++)
		print_row(t, t->cells + i * t->count, t->colours[i]);
	drop_rows(t);
}

int
tool_table_coloured_row(
	struct tool_table *t, const char *const *cells, enum tool_colour colour)
{
	char **row;

	if (make_room(t))
		return -1;
	row = t->cells + t->filled * t->count;
	if (copy_cells(t, row, cells))
		return -1;
	if (!t->begun)
		widen(t, row);
	t->colours[t->filled++] = colour;
	if (t->filled == ROWS_KEPT)
		print_rows(t);
	return 0;
}

int
tool_table_row(struct tool_table *t, const char *const *cells)
{
	return tool_table_coloured_row(t, cells, TOOL_PLAIN);
}

void
tool_table_print(struct tool_table **t)
{
	if (!*t)
		return;
	print_rows(*t);
	free_table(t);
}
