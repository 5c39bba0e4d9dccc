/* Children of this process, in a table. */
#include "forked.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"

#define END_MS 200 /* that a child has which was told to end */

static struct forked_child table[FORKED_MAX];
static unsigned int count;

static void
forget(pid_t pid)
{
	for (unsigned int i = 0; i < count; i++)
		if (table[i].pid == pid) {
			table[i] = table[--count];
			return;
		}
}

void
forked_reap(void)
{
	pid_t pid;

	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
		forget(pid);
}

/* Their end comes by the kernel's own timer. Where that is late, or this process has
 * another clock, they are told to end; the spawner can't tell its children, which are
 * another user's. */
static void
end_late_ones(uint64_t now)
{
	int told = 0, is_there;

	for (unsigned int i = 0; i < count; i++)
		if (now >= table[i].over_ms && !table[i].is_told) {
			table[i].is_told = 1;
			told += kill(table[i].pid, SIGKILL) == 0;
		}
	for (int ms = 0; told && ms < END_MS; ms++) {
		forked_reap();
		is_there = 0;
		for (unsigned int i = 0; i < count; i++)
			is_there += now >= table[i].over_ms;
		if (is_there == 0)
			break;
		usleep(1000);
	}
}

int
forked_may_begin(uint64_t mailbox, uint64_t uid, uint64_t disk, struct reason *why)
{
	uint64_t now = clock_now_ms();
	unsigned int stuck = 0, stuck_on_disk = 0;

	end_late_ones(now);
	if (count == FORKED_MAX)
		return reason_set(why, "%d processes are at work or stuck", FORKED_MAX);
	for (unsigned int i = 0; i < count; i++) {
		if (now < table[i].over_ms)
			continue;
		if (table[i].mailbox == mailbox)
			return reason_set(why,
				"process %d, which looked at it, is stuck: its file "
				"system does not answer",
				(int)table[i].pid);
		stuck += table[i].uid == uid;
		stuck_on_disk += disk && table[i].disk == disk;
	}
	if (stuck_on_disk >= STUCK_OF_USER)
		return reason_set(why,
			"%u processes for mailboxes on its file system, or its server's, "
			"are stuck",
			stuck_on_disk);
	if (stuck >= STUCK_OF_USER)
		return reason_set(why, "%u processes for mailboxes of uid %ju are stuck",
			stuck, (uintmax_t)uid);
	return 0;
}

void
forked_note(const struct forked_child *child)
{
	if (count < FORKED_MAX)
		table[count++] = *child;
}

void
forked_forget_all(void)
{
	count = 0;
}
