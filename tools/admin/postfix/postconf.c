/* postconf(1), run without a shell, and its output taken apart in place. */
#include "postconf.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "amount.h"

#define PATH          "PATH=/usr/sbin:/usr/bin:/sbin:/bin"
#define ARGUMENTS_MAX 32
#define OUTPUT_MAX    (16 << 20)
#define BLANKS        " \t"

/* The program, or NULL where Postfix is not installed. */
static const char *
find_program(void)
{
	static const char *const places[] = {"/usr/sbin/postconf", "/usr/bin/postconf",
		"/sbin/postconf", "/bin/postconf"};

	for (size_t i = 0; i < sizeof places / sizeof *places; i++)
		if (access(places[i], X_OK) == 0)
			return places[i];
	return NULL;
}

/* --- running ---------------------------------------------------------------------- */

static int
redirect(posix_spawn_file_actions_t *actions, int output, int errors)
{
	return posix_spawn_file_actions_addopen(
		       actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0) ||
	       posix_spawn_file_actions_adddup2(actions, output, STDOUT_FILENO) ||
	       posix_spawn_file_actions_adddup2(actions, errors, STDERR_FILENO);
}

/* Runs the program to its end; its wait status, or -1 with errno. */
static int
spawn_and_wait(const char *program, char *const *argv, int output, int errors)
{
	const char *folder = getenv("MAIL_CONFIG");
	char *config = NULL,
	     *environment[] = {(char *)PATH, (char *)"LC_ALL=C", NULL, NULL};
	posix_spawn_file_actions_t actions;
	pid_t child;
	int failed, status = -1;

	if (folder && asprintf(&config, "MAIL_CONFIG=%s", folder) < 0)
		return -1;
	environment[2] = config;
	errno = posix_spawn_file_actions_init(&actions);
	if (errno == 0) {
		failed = redirect(&actions, output, errors);
		if (!failed)
			failed = posix_spawn(
				&child, program, &actions, NULL, argv, environment);
		posix_spawn_file_actions_destroy(&actions);
		errno = failed;
		while (!failed && waitpid(child, &status, 0) < 0 && errno == EINTR)
			;
	}
	free(config);
	return status;
}

/* All that was written to the file, as a new string. */
static char *
read_back(int fd)
{
	struct stat st;
	char *text = NULL;
	ssize_t n = -1;

	if (fstat(fd, &st) == 0 && st.st_size < OUTPUT_MAX)
		text = malloc((size_t)st.st_size + 1);
	if (text)
		n = pread(fd, text, (size_t)st.st_size, 0);
	if (n < 0) {
		free(text);
		return NULL;
	}
	text[n] = '\0';
	return text;
}

/* The line that says what is wrong: the one with "fatal", else the first. */
static void
explain(int errors, struct reason *why)
{
	char *text = read_back(errors);
	const char *line = text ? strstr(text, "fatal: ") : NULL;

	if (!line)
		line = text ? text : "";
	reason_set(why, "postconf: %.*s", (int)strcspn(line, "\n"),
		*line ? line : "it failed and does not say why");
	free(text);
}

static int
run_into(const char *const *arguments, int output, int errors, struct reason *why)
{
	const char *program = find_program();
	char *argv[ARGUMENTS_MAX + 2] = {(char *)"postconf"};
	int n = 0, status;

	if (!program)
		return reason_set(why, "Postfix is not installed: there is no postconf");
	for (; arguments[n]; n++) {
		if (n == ARGUMENTS_MAX)
			return reason_set(why, "too many arguments for postconf");
		argv[n + 1] = (char *)arguments[n];
	}
	status = spawn_and_wait(program, argv, output, errors);
	if (status < 0)
		return reason_errno(why, "%s can't be run", program);
	if (status == 0)
		return 0;
	explain(errors, why);
	return -1;
}

int
postconf_run(const char *const *arguments, char **output, struct reason *why)
{
	int to = memfd_create("output", MFD_CLOEXEC),
	    errors = memfd_create("errors", MFD_CLOEXEC), result = -1;

	if (output)
		*output = NULL;
	if (to < 0 || errors < 0)
		reason_errno(why, "no room for postconf's output");
	else
		result = run_into(arguments, to, errors, why);
	if (result == 0 && output && !(*output = read_back(to)))
		result = reason_set(why, "postconf's output can't be read");
	if (to >= 0)
		close(to);
	if (errors >= 0)
		close(errors);
	return result;
}

/* --- taking it apart ---------------------------------------------------------------- */

static size_t
count_lines(const char *text)
{
	size_t n = 1;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

/* "name = value", or "name =" */
static int
split_settings(struct postconf *p, char *text)
{
	char *line, *equals, *end;

	p->settings = calloc(count_lines(text), sizeof *p->settings);
	if (!p->settings)
		return -1;
	while ((line = strsep(&text, "\n"))) {
		equals = strchr(line, '=');
		if (!equals || equals == line)
			continue;
		for (end = equals; end > line && strchr(BLANKS, end[-1]); end--)
			;
		*end = '\0';
		equals += 1 + strspn(equals + 1, BLANKS);
		p->settings[p->setting_count++] = (struct postconf_setting){line, equals};
	}
	return 0;
}

/* Cuts the next word off; "" where there is none. */
static char *
take_word(char **rest)
{
	char *word = *rest + strspn(*rest, BLANKS), *end = word + strcspn(word, BLANKS);

	*rest = *end ? end + 1 : end;
	*end = '\0';
	return word;
}

static void
split_service(struct postconf_service *s, char *line)
{
	const char **const columns[] = {&s->name, &s->type, &s->private, &s->unprivileged,
		&s->chroot, &s->wakeup, &s->processes, &s->command};

	for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
		*columns[i] = take_word(&line);
	s->arguments = line + strspn(line, BLANKS);
}

static int
split_services(struct postconf *p, char *text)
{
	char *line;

	p->services = calloc(count_lines(text), sizeof *p->services);
	if (!p->services)
		return -1;
	while ((line = strsep(&text, "\n")))
		if (*line)
			split_service(&p->services[p->service_count++], line);
	return 0;
}

/* --- reading ------------------------------------------------------------------------ */

/* Whether there is a main.cf at all; the reason where there is none. */
static int
has_settings(struct reason *why)
{
	static const char *const which[] = {"-d", "-h", "config_directory", NULL};
	const char *folder = getenv("MAIL_CONFIG");
	char *told = NULL, *path = NULL;
	int there = 0;

	if (!folder && postconf_run(which, &told, why) == 0 && told) {
		told[strcspn(told, "\n")] = '\0';
		folder = told;
	}
	if (folder && asprintf(&path, "%s/main.cf", folder) >= 0) {
		there = access(path, F_OK) == 0 || errno != ENOENT;
		if (!there)
			reason_set(why, "Postfix has no settings: there is no %s", path);
		free(path);
	}
	free(told);
	return there;
}

/* Runs postconf twice, and takes apart what it says. */
static int
read_both(struct postconf *p, const char *const *settings, const char *const *services,
	struct reason *why)
{
	if (postconf_run(settings, &p->texts[0], why) ||
		postconf_run(services, &p->texts[1], why))
		return -1;
	if (split_settings(p, p->texts[0]) || split_services(p, p->texts[1]))
		return reason_set(why, "no memory");
	return 0;
}

int
postconf_read(struct postconf *p, struct reason *why)
{
	static const char *const settings[] = {"-x", NULL}, *const services[] = {
								    "-M", NULL};

	memset(p, 0, sizeof *p);
	if (!find_program()) {
		reason_set(why, "Postfix is not installed: there is no postconf");
		return 0;
	}
	if (!has_settings(why))
		return 0;
	if (read_both(p, settings, services, why))
		return -1;
	p->folder = postconf_get(p, "config_directory");
	return p->folder ? 1 : reason_set(why, "postconf tells no config_directory");
}

static void
drop_setting(struct postconf *p, const char *name)
{
	size_t kept = 0;

	for (size_t i = 0; i < p->setting_count; i++)
		/* each that is counted has a name */
		/* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker) */
		if (strcmp(p->settings[i].name, name) != 0)
			p->settings[kept++] = p->settings[i];
	p->setting_count = kept;
}

int
postconf_read_folder(struct postconf *p, const char *folder, struct reason *why)
{
	const char *const settings[] = {"-c", folder, "-n", NULL};
	const char *const services[] = {"-c", folder, "-M", NULL};

	memset(p, 0, sizeof *p);
	if (read_both(p, settings, services, why))
		return -1;
	drop_setting(p, "config_directory"); /* what -c says */
	return 0;
}

void
postconf_free(struct postconf *p)
{
	free(p->settings);
	free(p->services);
	free(p->texts[0]);
	free(p->texts[1]);
	memset(p, 0, sizeof *p);
}

const char *
postconf_get(const struct postconf *p, const char *name)
{
	for (size_t i = 0; i < p->setting_count; i++)
		if (strcmp(p->settings[i].name, name) == 0)
			return p->settings[i].value;
	return NULL;
}

const struct postconf_service *
postconf_service(const struct postconf *p, const char *name, const char *type)
{
	for (size_t i = 0; i < p->service_count; i++)
		if (strcmp(p->services[i].name, name) == 0 &&
			(!type || strcmp(p->services[i].type, type) == 0))
			return &p->services[i];
	return NULL;
}

char *
postconf_argument(const struct postconf_service *s, const char *name)
{
	size_t length = strlen(name);
	int last = strcmp(name, "argv") == 0;

	for (const char *p = s->arguments; *p; p += strspn(p, BLANKS)) {
		size_t n = strcspn(p, BLANKS);

		if (n > length && strncmp(p, name, length) == 0 && p[length] == '=')
			return last ? strdup(p + length + 1)
				    : strndup(p + length + 1, n - length - 1);
		if (strncmp(p, "argv=", 5) == 0)
			return NULL; /* all the rest is the command's */
		p += n;
	}
	return NULL;
}

int
postconf_time(const char *text, char unit, uint64_t *seconds)
{
	char with_unit[AMOUNT_SIZE];
	size_t length = strlen(text);

	if (length == 0 || length + 2 > sizeof with_unit)
		return -1;
	memcpy(with_unit, text, length + 1);
	if (strspn(text, "0123456789") == length) {
		with_unit[length] = unit;
		with_unit[length + 1] = '\0';
	}
	return amount_time(with_unit, seconds, NULL);
}
