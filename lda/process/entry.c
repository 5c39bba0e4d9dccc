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
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "emergency.h"

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

/* All that a delivery needs: not the stack of emergencies. */
__attribute__((used, no_stack_protector)) static void
populate_all(uintptr_t stack)
{
	const uintptr_t spared = (uintptr_t)emergency_stack;

	populate((uintptr_t)__ehdr_start, (uintptr_t)delivery_code_ends,
		MADV_POPULATE_READ);
	populate((uintptr_t)etext, (uintptr_t)constants_end, MADV_POPULATE_READ);
	populate((uintptr_t)__init_array_start, spared, MADV_POPULATE_WRITE);
	populate(spared + EMERGENCY_STACK_SIZE, (uintptr_t)_end, MADV_POPULATE_WRITE);
	populate(stack - STACK_USED, stack, MADV_POPULATE_WRITE);
}

void entry(void);

/* The C library's start finds the stack, and rdx, as the kernel left them. */
__attribute__((naked, used)) void
entry(void)
{
	__asm__("mov %rsp, %rdi\n"
		"mov %rdx, %rbx\n"
		"call populate_all\n"
		"mov %rbx, %rdx\n"
		"jmp _start");
}

#endif
