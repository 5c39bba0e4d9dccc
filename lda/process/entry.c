/*
 * Where the kernel enters lda, before the C library's own start.
 *
 * A fresh process touches some forty pages of its data and its stack, and a dozen of the
 * kernel's windows of code, and pays for each with a page fault: 10 to 20 us where the
 * kernel is virtualised, against 1 us for a page that is asked for together with its
 * neighbours (measured). So they are asked for here. A kernel that does not know this
 * (Linux before 5.14) refuses, and nothing is lost.
 *
 * Nothing has been relocated yet: no data with an address in it, no thread's variables,
 * and nothing of the C library.
 */
#include <elf.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "delivery/delivery.h"
#include "emergency.h"
#include "start.h"

#if defined __x86_64__ && !defined __SANITIZE_ADDRESS__ && !defined BRIM_COVERAGE

#define PAGE       4096
#define STACK_USED (5 * PAGE) /* of a delivery */

#define HIDDEN __attribute__((visibility("hidden")))

/* The linker's, in the order of their addresses; two are of layout.ld. */
extern char __ehdr_start[] HIDDEN, delivery_code_ends[] HIDDEN;
extern char etext[] HIDDEN, constants_end[] HIDDEN;
extern char __init_array_start[] HIDDEN, _end[] HIDDEN;

static inline void
populate(uintptr_t from, uintptr_t end, int how)
{
	long result;

	from &= ~(uintptr_t)(PAGE - 1);
	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "0"(SYS_madvise), "D"(from), "S"(end - from), "d"(how)
			 : "rcx", "r11", "memory");
}

/*
 * The C library would read the clock through the vDSO, whose three pages have to be made
 * ready for that: 40 us where the kernel is virtualised, against 1 us for each of the
 * dozen times that a delivery asks the kernel itself. So it's not told of it.
 */
__attribute__((no_stack_protector)) static inline void
hide_vdso(uintptr_t *stack)
{
	uintptr_t *at = stack + 1 + stack[0] + 1; /* argc, argv, NULL */

	while (*at++) /* the environment */
		;
	for (; at[0] != AT_NULL; at += 2)
		if (at[0] == AT_SYSINFO_EHDR)
			at[0] = AT_IGNORE;
}

/* All that most deliveries need: not the stack of emergencies, nor the buffer of a long
 * message. */
__attribute__((used, no_stack_protector)) static void
prepare(uintptr_t *start)
{
	const uintptr_t stack = (uintptr_t)start;
	const uintptr_t spared = (uintptr_t)emergency_stack;
	const uintptr_t buffer = (uintptr_t)the_delivery.message.buffer;

	populate((uintptr_t)__ehdr_start, (uintptr_t)delivery_code_ends,
		MADV_POPULATE_READ);
	populate((uintptr_t)etext, (uintptr_t)constants_end, MADV_POPULATE_READ);
	populate((uintptr_t)__init_array_start, spared, MADV_POPULATE_WRITE);
	populate(spared + EMERGENCY_STACK_SIZE, buffer + MESSAGE_READY,
		MADV_POPULATE_WRITE);
	populate(buffer + sizeof the_delivery.message.buffer, (uintptr_t)_end,
		MADV_POPULATE_WRITE);
	populate(stack - STACK_USED, stack, MADV_POPULATE_WRITE);
	hide_vdso(start);
}

void entry(void);

/* The C library's start finds the stack, and rdx, as the kernel left them. */
__attribute__((naked, used)) void
entry(void)
{
	__asm__("mov %rsp, %rdi\n"
		"mov %rdx, %rbx\n"
		"call prepare\n"
		"mov %rbx, %rdx\n"
		"jmp _start");
}

#endif
