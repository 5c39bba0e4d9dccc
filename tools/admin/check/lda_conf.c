/*
 * check: lda's option -c, which names another brim.conf than the one that is looked at
 * here. It is wrong where lda can't read it, and where its table or its quotad is
 * another one: then what is found here is not true of that delivery.
 */
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "check.h"
#include "privileges.h"

#define BLANKS " \t"

static int
is_same_file(const char *a, const char *b)
{
	struct stat one, other;

	return stat(a, &one) == 0 && stat(b, &other) == 0 && one.st_dev == other.st_dev &&
	       one.st_ino == other.st_ino;
}

/* Reads the file as the user; USER may be NULL. */
static int
load_as(struct conf *conf, const char *file, const struct privileges_user *user,
	struct reason *why)
{
	const int acts = user && privileges_act_as(user, why) == 0;
	int result = conf_load(conf, file, why);

	if (acts && privileges_act_as(NULL, why) && result == 0) {
		conf_free(conf);
		result = -1;
	}
	return result;
}

/* The user can't read what root can. */
static const char *
let_read(struct check *c, const char *file)
{
	const char *quoted = check_quote(c, file);
	struct stat st;

	if (stat(file, &st) == 0 && !(st.st_mode & S_IROTH))
		return check_text(c, "chmod a+r %s", quoted);
	return check_text(
		c, "Let the user search the directories that namei -l %s shows.", quoted);
}

/* The first of what must be the same and is not; NULL where all is. */
static const char *
find_difference(struct check *c, const struct conf *other, const char *file)
{
	const struct {
		const char *name, *theirs, *ours;
	} same[] = {{"users_db", other->users_db, c->a->conf.users_db},
		{"socket", other->socket, c->a->conf.socket}};

	for (size_t i = 0; i < sizeof same / sizeof *same; i++)
		if (strcmp(same[i].theirs, same[i].ours) != 0)
			return check_text(c, "%s of %s is %s, and that of %s is %s",
				same[i].name, file, same[i].theirs, check_conf_file(c),
				same[i].ours);
	return NULL;
}

const char *
check_lda_conf(struct check *c, const char *lda, const char *file,
	const struct privileges_user *user, enum check_kind *kind, const char **repair)
{
	const char *path =
		file[0] == '/' ? file
			       : check_text(c, "%s/%s",
					 check_postfix_value(c, "queue_directory"), file);
	const char *fault;
	struct conf other;
	struct reason why, ignored;

	*kind = CHECK_LDA_CONF;
	*repair = NULL;
	if (check_is_virtual(lda))
		return "lda-virtual takes no -c";
	if (is_same_file(path, check_conf_file(c)))
		return NULL;
	if (load_as(&other, path, user, &why)) {
		if (conf_load(&other, path, &ignored) == 0) {
			conf_free(&other);
			*repair = let_read(c, path);
		}
		return check_text(c, "%s", why.text);
	}
	*kind = CHECK_LDA_CONF_OTHER;
	fault = find_difference(c, &other, path);
	conf_free(&other);
	return fault;
}

const char *
check_lda_conf_right(struct check *c, const char *lda)
{
	char *path = c->a->conf_file && !check_is_virtual(lda)
			     ? realpath(c->a->conf_file, NULL)
			     : NULL;
	const char *kept = path ? check_text(c, "%s", path) : NULL;

	free(path);
	return kept;
}

/* --- mailbox_command ---------------------------------------------------------------- */

/* The command with RIGHT (NULL: without it) in the place of the value of -c, which is
 * *FILE then; NULL where it has no -c. */
static const char *
replaced(struct check *c, const char *right, const char **file)
{
	const char *text = "";
	size_t n;
	int is_next = 0;

	*file = NULL;
	for (const char *p = c->command; *p; p += n) {
		int is_option;

		p += strspn(p, BLANKS);
		n = strcspn(p, BLANKS);
		is_option = !is_next && !*file && strncmp(p, "-c", 2) == 0;
		if (is_next || (is_option && n > 2)) {
			*file = check_text(c, "%.*s", (int)(is_next ? n : n - 2),
				is_next ? p : p + 2);
			if (right)
				text = check_text(c, "%s -c %s", text, right);
		} else if (n && !is_option) {
			text = check_text(
				c, "%s%s%.*s", text, *text ? " " : "", (int)n, p);
		}
		is_next = is_option && n == 2;
	}
	return *file ? text : NULL;
}

void
check_command_conf(struct check *c, const char *lda)
{
	const char *file, *text = replaced(c, check_lda_conf_right(c, lda), &file);
	const char *fault, *repair;
	struct privileges_user user;
	struct reason why;
	enum check_kind kind;
	int has_user;
	char *raw;

	if (!text)
		return;
	has_user = privileges_find_user(c->some_account ? c->some_account : "nobody",
			   &user, &why) == 0;
	fault = check_lda_conf(c, lda, file, has_user ? &user : NULL, &kind, &repair);
	if (!fault)
		return;
	raw = postconf_read_raw("mailbox_command", &why);
	if (!repair)
		repair = raw && strcmp(raw, c->command) == 0
				 ? check_postfix_setting(c, "mailbox_command", text)
				 : check_text(c, "Take -c %s out of that command.", file);
	free(raw);
	check_found(c, kind, "mailbox_command", repair, "%s", fault);
}
