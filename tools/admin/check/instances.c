/*
 * check: other instances of Postfix on this host (postmulti(1)). One is read, that of
 * MAIL_CONFIG or the first; of the others this says whether they are Brim's business.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "postfix/names.h"

static int
is_same_folder(const char *a, const char *b)
{
	struct stat one, other;

	return stat(a, &one) == 0 && stat(b, &other) == 0 && one.st_dev == other.st_dev &&
	       one.st_ino == other.st_ino;
}

/* Whether lda is in the settings of the instance, as they are written there: a command,
 * a map of commands, or the argv= or -o of a service. */
static int
runs_lda(struct check *c, const struct postconf *other)
{
	static const char *const names[] = {"mailbox_command", "mailbox_command_maps"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		const char *value = postconf_get(other, names[i]);

		if (value && check_find_lda(c, value))
			return 1;
	}
	for (size_t i = 0; i < other->service_count; i++)
		if (check_find_lda(c, other->services[i].arguments))
			return 1;
	return 0;
}

static void
check_instance(struct check *c, const char *folder, const char *setting, int is_brims)
{
	struct postconf other;
	struct reason why;
	const char *what = "";

	if (postconf_read_folder(&other, folder, &why))
		what = check_text(c, ", which can't be read: %s", why.text);
	else if (runs_lda(c, &other))
		what = ", which runs lda";
	else if (!is_brims)
		what = NULL;
	postconf_free(&other);
	if (what)
		check_found(c, CHECK_INSTANCE, folder,
			check_text(c, "MAIL_CONFIG=%s %s check", check_quote(c, folder),
				check_brimadm(c)),
			"of Postfix %s alone was looked at, and not this instance of "
			"%s%s",
			c->postfix.folder, setting, what);
}

void
check_instances(struct check *c, int delivers)
{
	static const char *const settings[] = {
		"multi_instance_directories", "alternate_config_directories"};
	const char *seen = "\n";
	size_t n;

	for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
		const char *list = check_postfix_value(c, settings[i]);

		for (; (list = names_next(list, &n), n); list += n) {
			const char *folder = check_text(c, "%.*s", (int)n, list);
			const char *line = check_text(c, "\n%s\n", folder);

			if (strstr(seen, line) ||
				is_same_folder(folder, c->postfix.folder) ||
				access(check_text(c, "%s/main.cf", folder), F_OK))
				continue;
			seen = check_text(c, "%s%s", seen, line);
			check_instance(c, folder, settings[i], delivers);
		}
	}
}
