/*
 * check: the attributes of a pipe service, which may change the message or refuse it, and
 * the arguments that it gives lda. Each finding's repair is the whole command as it
 * should be, so that one repairs them all.
 */
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "amount.h"
#include "check.h"
#include "privileges.h"

#define BLANKS    " \t"
#define WORDS_MAX 256

/* The flags that pipe(8) knows, those that change the lines of the message, and those
 * that lda can't do with. F is harmless: lda takes a "From " line off. */
#define FLAGS_KNOWN "BDFORXhqu.>"
#define FLAGS_LINES "B.>"
#define FLAGS_BAD   FLAGS_LINES "q"

/* The words of the service, blanks within braces their own, as they are written. */
struct words {
	char *word[WORDS_MAX];
	int count;
	int command;     /* index of the word "argv=..." */
	int lda;         /* of that which is lda's path; -1 where it is part of one */
	int null_sender; /* of the attribute; -1 without */
	int recipient, sender; /* of the values of -d and -f; -1 without */
	int conf;              /* of that of -c */
	int is_conf_wrong;     /* the command should have CONF_RIGHT there, or no -c */
	const char *conf_right;
	int recipients; /* how often -d is given */
	int refused;    /* the first behind lda that it does not take; -1 without */
	char is_refused[WORDS_MAX];
};

static void
split(struct words *w, const char *text)
{
	const char *end;

	for (const char *p = text + strspn(text, BLANKS); *p && w->count < WORDS_MAX;
		p = end + strspn(end, BLANKS)) {
		int braces = 0;

		for (end = p; *end && (braces > 0 || !strchr(BLANKS, *end)); end++)
			braces += (*end == '{') - (*end == '}');
		w->word[w->count] = strndup(p, (size_t)(end - p));
		if (!w->word[w->count])
			return;
		w->count++;
	}
}

static int
begins(const char *word, const char *with)
{
	return strncmp(word, with, strlen(with)) == 0;
}

/* Attributes' names stand in any case of letters. */
static int
names(const char *word, const char *attribute)
{
	return strncasecmp(word, attribute, strlen(attribute)) == 0;
}

/* The attributes: -o takes the next word, and argv= all the rest. */
static void
find_attributes(struct words *w)
{
	for (int i = 0; i < w->count && w->command < 0; i++) {
		if (strcmp(w->word[i], "-o") == 0)
			i++;
		else if (names(w->word[i], "null_sender="))
			w->null_sender = i;
		else if (names(w->word[i], "argv="))
			w->command = i;
	}
}

/* The value of the word I as the attribute NAME; NULL where it is none. */
static const char *
attribute(const struct words *w, int i, const char *name)
{
	const size_t length = strlen(name);

	if (i > w->command || (i > 0 && strcmp(w->word[i - 1], "-o") == 0) ||
		strncasecmp(w->word[i], name, length) != 0 || w->word[i][length] != '=')
		return NULL;
	return w->word[i] + length + 1;
}

static int
has_flag(const struct words *w, char flag)
{
	for (int i = 0; i < w->command; i++) {
		const char *flags = attribute(w, i, "flags");

		if (flags && strchr(flags, flag))
			return 1;
	}
	return 0;
}

/* lda's options, as getopt(3) takes them. */
static void
find_options(struct check *c, struct words *w)
{
	for (int i = w->command; i >= 0 && i < w->count && w->lda < 0; i++) {
		const char *path = w->word[i] + (i == w->command ? strlen("argv=") : 0);
		const char *lda = check_find_lda(c, path);

		if (lda && strcmp(lda, path) == 0)
			w->lda = i;
	}
	if (w->lda >= 0)
		w->refused = check_arguments(w->word + w->lda + 1, w->count - w->lda - 1,
			w->is_refused + w->lda + 1);
	for (int i = w->lda; i >= 0 && i + 1 < w->count; i++) {
		const char *word = w->word[i + 1];
		int letter = word[0] == '-' ? word[1] : 0;

		if (w->is_refused[i + 1] || letter == '-')
			continue;
		i += word[2] == '\0'; /* the value is the next one */
		if (letter == 'd') {
			w->recipient = i + 1;
			w->recipients++;
		} else if (letter == 'f') {
			w->sender = i + 1;
		} else {
			w->conf = i + 1;
		}
	}
}

/* The value of an option with $(name) and $name as ${name}. */
static const char *
value_of(struct check *c, const struct words *w, int index)
{
	const char *p = index < w->count ? w->word[index] : "";
	const char *text = "";

	if (begins(p, "-d") || begins(p, "-f") || begins(p, "-c"))
		p += 2;
	if (*p == '{' && p[strlen(p) - 1] == '}')
		p = check_text(c, "%.*s", (int)strlen(p) - 2, p + 1);
	while (*p) {
		size_t plain = strcspn(p, "$"), name;

		text = check_text(c, "%s%.*s", text, (int)plain, p);
		p += plain;
		if (!*p++)
			break;
		p += *p == '{' || *p == '(';
		name = strcspn(p, "{}()@.+ -/$:?");
		text = check_text(c, "%s${%.*s}", text, (int)name, p);
		p += name;
		p += *p == '}' || *p == ')';
	}
	return text;
}

static int
is_one_of(const char *value, const char *const *values)
{
	while (*values && strcmp(*values, value) != 0)
		values++;
	return *values != NULL;
}

/* --- what pipe(8) does to the message ----------------------------------------------- */

/* The flag is one that lda can't do with, or pipe(8) doesn't know. */
static int
is_bad_flag(char flag)
{
	return strchr(FLAGS_BAD, flag) || !strchr(FLAGS_KNOWN, flag);
}

/* Whether the value of eol= is a newline, as Postfix unescapes it. */
static int
is_newline(const char *eol)
{
	static const char *const newlines[] = {"\\n", "\\12", "\\012", NULL};

	return is_one_of(eol, newlines);
}

/* The limit's number; 0 is no limit. */
static uint64_t
limit_of(const char *value)
{
	uint64_t n;

	return amount_count(value, &n, NULL) || n == 0 ? UINT64_MAX : n;
}

/* The largest message that Brim, and Postfix or one of its services, takes. */
static uint64_t
largest_message(const struct check *c)
{
	static const char name[] = "message_size_limit";
	const uint64_t ours = c->a->conf.message_size_limit;
	uint64_t largest = limit_of(check_postfix_value(c, name));

	for (size_t i = 0; i < c->postfix.service_count; i++) {
		const char *own =
			postconf_override(&c->postfix, &c->postfix.services[i], name);

		if (own && limit_of(own) > largest)
			largest = limit_of(own);
	}
	return ours && ours < largest ? ours : largest;
}

/* A size= below what is taken; one that is no number ends pipe(8). */
static int
is_small(const struct check *c, const char *size)
{
	uint64_t n;

	return amount_count(size, &n, NULL) || (n != 0 && n < largest_message(c));
}

/* What keeps pipe(8) from running lda at the place where it is told to; NULL where
 * nothing does. */
static const char *
find_misplaced(struct check *c, const struct words *w, int i)
{
	const char *chroot = attribute(w, i, "chroot"),
		   *directory = attribute(w, i, "directory");
	const char *lda = w->lda < 0 ? NULL : check_find_lda(c, w->word[w->lda]);
	const char *path = lda ? strchr(lda, '/') : NULL;
	struct stat st;

	if (chroot && path && stat(check_text(c, "%s/%s", chroot, path), &st))
		return check_text(c, "chroot=%s has no %s in it", chroot, path);
	if (directory && directory[0] == '/' &&
		(stat(directory, &st) || !S_ISDIR(st.st_mode)))
		return check_text(c, "directory=%s is none", directory);
	return NULL;
}

static int
is_attribute(const struct words *w, int i)
{
	static const char *const known[] = {"flags", "user", "directory", "chroot", "eol",
		"null_sender", "size", "argv", NULL};

	for (size_t n = 0; known[n]; n++)
		if (attribute(w, i, known[n]))
			return 1;
	return 0;
}

/* Neither an option of Postfix's daemons, nor an attribute: pipe(8) ends. */
static int
is_unknown(const struct words *w, int i)
{
	return i < w->command && w->word[i][0] != '-' && w->word[i][0] != '{' &&
	       !(i > 0 && strcmp(w->word[i - 1], "-o") == 0) && !is_attribute(w, i);
}

/* The attribute is better left out, or the option -c. */
static int
is_left_out(struct check *c, const struct words *w, int i)
{
	const char *eol = attribute(w, i, "eol"), *size = attribute(w, i, "size");

	if (w->is_conf_wrong && !w->conf_right &&
		(i == w->conf || (i == w->conf - 1 && strcmp(w->word[i], "-c") == 0)))
		return 1;
	return w->is_refused[i] || (eol && !is_newline(eol)) ||
	       (size && is_small(c, size)) || is_unknown(w, i) ||
	       find_misplaced(c, w, i) != NULL;
}

/* --- the command as it should be ---------------------------------------------------- */

/* The word less the flags that are bad; nothing where none is left. */
static void
print_flags(FILE *to, const char *word, const char *flags)
{
	const char *first = flags;

	while (*first && is_bad_flag(*first))
		first++;
	if (!*first)
		return;
	fprintf(to, " %.*s", (int)(flags - word), word);
	for (; *flags; flags++)
		if (!is_bad_flag(*flags))
			fputc(*flags, to);
}

static void
print_word(FILE *to, const struct words *w, int i, int fix_recipient, int fix_sender)
{
	const char *word = w->word[i], *flags = attribute(w, i, "flags");

	if (i == w->command && w->null_sender < 0)
		fputs(" null_sender=", to);
	if (flags) {
		print_flags(to, word, flags);
		return;
	}
	fputc(' ', to);
	if (i == w->null_sender)
		fputs("null_sender=", to);
	else if (i == w->recipient && fix_recipient)
		fprintf(to, "%s${recipient}", begins(word, "-d") ? "-d" : "");
	else if (i == w->sender && fix_sender)
		fprintf(to, "%s${sender}", begins(word, "-f") ? "-f" : "");
	else if (i == w->conf && w->is_conf_wrong)
		fprintf(to, "%s%s", begins(word, "-c") ? "-c" : "", w->conf_right);
	else
		fputs(word, to);
	if (i == w->lda && w->recipient < 0)
		fputs(" -d ${recipient}", to);
	if (i == w->lda && w->sender < 0 && fix_sender)
		fputs(" -f ${sender}", to);
}

static const char *
command(struct check *c, const struct postconf_service *s, const struct words *w,
	int fix_recipient, int fix_sender)
{
	char *text = NULL;
	const char *word = "";
	size_t size;
	FILE *to = open_memstream(&text, &size);

	if (!to)
		return "";
	fprintf(to, "%s/%s/command=pipe", s->name, s->type);
	for (int i = 0; i < w->count; i++)
		if (!is_left_out(c, w, i))
			print_word(to, w, i, fix_recipient, fix_sender);
	if (fclose(to) == 0)
		word = check_text(c, "postconf -Fe %s%s", check_quote(c, text),
			check_postfix_reload(c));
	free(text);
	return word;
}

/* What is wrong with the file that -c names; without REPAIR the command is to change. */
struct conf_fault {
	enum check_kind kind;
	const char *what, *repair;
};

/* --- findings ----------------------------------------------------------------------- */

static const char *const recipients[] = {
	"${recipient}", "${user}@${domain}", "${mailbox}@${domain}", NULL};
static const char *const senders[] = {"${sender}", NULL};

/* What lda is not told, or told wrong; NULL where all is right. */
static const char *
find_fault(struct check *c, const struct words *w, int *fix_recipient, int *fix_sender)
{
	const char *to = w->recipient < 0 ? NULL : value_of(c, w, w->recipient);
	const char *from = w->sender < 0 ? NULL : value_of(c, w, w->sender);

	*fix_recipient = !to || !is_one_of(to, recipients);
	*fix_sender = from ? !is_one_of(from, senders) : !has_flag(w, 'R');
	if (!to)
		return "lda gets no -d, and pipe(8) sets no environment that names the "
		       "recipient";
	if (*fix_recipient)
		return check_text(c,
			"-d is %s, not ${recipient} (or ${user}@${domain}, without the "
			"extension)",
			to);
	if (*fix_sender)
		return from ? check_text(c, "-f is %s, not ${sender}", from)
			    : "neither -f nor the flag R tells the sender";
	return NULL;
}

static const char *
flag_does(char flag)
{
	switch (flag) {
	case 'B':
		return "adds an empty line at the end";
	case '.':
		return "puts a dot before each line that begins with one";
	case '>':
		return "puts a > before each line that begins with \"From \"";
	default:
		return "is none that pipe(8) knows";
	}
}

/* What changes the message's lines, and what ends pipe(8). */
static void
check_lines(struct check *c, const struct postconf_service *s, const struct words *w,
	const char *repair)
{
	for (int i = 0; i < w->command; i++) {
		const char *flags = attribute(w, i, "flags"),
			   *eol = attribute(w, i, "eol");
		const char *misplaced = find_misplaced(c, w, i);

		for (; flags && *flags; flags++)
			if (*flags != 'q' && is_bad_flag(*flags))
				check_found(c, CHECK_PIPE_FLAGS, s->name, repair,
					"the flag %c %s", *flags, flag_does(*flags));
		if (eol && !is_newline(eol))
			check_found(c, CHECK_PIPE_FLAGS, s->name, repair,
				"each line ends in eol=%s, not in \\n", eol);
		if (misplaced)
			check_found(
				c, CHECK_PIPE_COLUMNS, s->name, repair, "%s", misplaced);
		if (is_unknown(w, i))
			check_found(c, CHECK_PIPE_FLAGS, s->name, repair,
				"%s is no attribute that pipe(8) knows", w->word[i]);
	}
}

static void
check_size(struct check *c, const struct postconf_service *s, const struct words *w,
	const char *repair)
{
	for (int i = 0; i < w->command; i++) {
		const char *size = attribute(w, i, "size");
		uint64_t n;

		if (!size || !is_small(c, size))
			continue;
		if (amount_count(size, &n, NULL))
			check_found(c, CHECK_PIPE_FLAGS, s->name, repair,
				"size=%s is no number of bytes", size);
		else if (largest_message(c) == UINT64_MAX)
			check_found(c, CHECK_PIPE_SIZE, s->name, repair,
				"it is size=%s, and Postfix takes messages of any size",
				size);
		else
			check_found(c, CHECK_PIPE_SIZE, s->name, repair,
				"it is size=%s, and messages of %s are taken", size,
				AMOUNT_OF(largest_message(c), "byte", "bytes"));
	}
}

/* The user and group that pipe(8) runs lda as: 0, or -1 where there is none. */
static int
find_user(const struct postconf_service *s, struct privileges_user *user)
{
	char *name = postconf_argument(s, "user"),
	     *colon = name ? strchr(name, ':') : NULL;
	const struct group *g = colon && colon[1] ? getgrnam(colon + 1) : NULL;
	struct reason why;
	int result = -1;

	if (colon)
		*colon = '\0';
	if (name)
		result = privileges_find_user(name, user, &why);
	if (g)
		user->gid = g->gr_gid;
	free(name);
	return result;
}

/* Before the repair of all is made, which may have another -c. */
static void
find_conf(struct check *c, const struct postconf_service *s, struct words *w,
	struct conf_fault *f)
{
	const char *lda = w->lda < 0 ? NULL : check_pipe_lda(c, s);
	struct privileges_user user;
	int has_user = find_user(s, &user) == 0;

	if (!lda || w->conf < 0 || w->conf >= w->count)
		return;
	f->what = check_lda_conf(c, lda, value_of(c, w, w->conf), has_user ? &user : NULL,
		&f->kind, &f->repair);
	w->is_conf_wrong = f->what && !f->repair;
	w->conf_right = check_lda_conf_right(c, lda);
}

/* What lda is told by its arguments; where a shell runs it nobody can say. */
static void
check_words(struct check *c, const struct postconf_service *s, struct words *w)
{
	struct conf_fault conf = {0};
	int fix_recipient = 0, fix_sender = 0;
	const char *fault =
		w->lda < 0 ? NULL : find_fault(c, w, &fix_recipient, &fix_sender);
	const char *repair;

	find_conf(c, s, w, &conf);
	repair = command(c, s, w, fix_recipient, fix_sender);
	if (w->recipients > 1)
		check_found(c, CHECK_PIPE_ARGUMENTS, s->name,
			"Give -d once, with ${recipient}.", "-d is given %s",
			AMOUNT_OF((uint64_t)w->recipients, "time", "times"));
	else if (fault)
		check_found(c, CHECK_PIPE_ARGUMENTS, s->name, repair, "%s", fault);
	if (w->refused >= 0)
		check_found(c, CHECK_LDA_ARGUMENTS, s->name, repair,
			"lda does not take %s there", w->word[w->lda + 1 + w->refused]);
	if (has_flag(w, 'q'))
		check_found(c, CHECK_PIPE_ARGUMENTS, s->name, repair,
			"the flag q quotes addresses, and the table has them unquoted");
	if (w->null_sender < 0 ||
		strcmp(w->word[w->null_sender] + strlen("null_sender="), "") != 0)
		check_found(c, CHECK_PIPE_NULL_SENDER, s->name, repair,
			w->null_sender < 0 ? "null_sender= is not set" : "it is %s",
			w->null_sender < 0 ? "" : w->word[w->null_sender]);
	if (conf.what)
		check_found(c, conf.kind, s->name, conf.repair ? conf.repair : repair,
			"%s", conf.what);
	check_lines(c, s, w, repair);
	check_size(c, s, w, repair);
}

void
check_pipe_arguments(struct check *c, const struct postconf_service *s)
{
	struct words w = {.command = -1,
		.lda = -1,
		.null_sender = -1,
		.recipient = -1,
		.sender = -1,
		.conf = -1,
		.refused = -1};

	split(&w, s->arguments);
	find_attributes(&w);
	if (w.command >= 0) {
		find_options(c, &w);
		check_words(c, s, &w);
	}
	for (int i = 0; i < w.count; i++)
		free(w.word[i]);
}
