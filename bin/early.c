/* SPDX-License-Identifier: Apache-2.0 */
/* The program's entry point, in front of libc's: the protection that CVE-2019-5736 asks for (src/runtime/executable.c), while there is
 * nothing to throw away yet.
 *
 * The process comes to run from a read-only clone of its file's mount without being executed again: the program is mapped a second time,
 * from there, over itself, and the kernel is told that this is our executable now (PR_SET_MM_MAP: CAP_SYS_ADMIN or
 * CAP_CHECKPOINT_RESTORE). Where that is not possible it is executed again, from the clone.
 *
 * It is only the short cut: what it managed it says in havre_protected; whatever it does not, or does not recognize, is left to
 * rt_executable_protect in main().
 *
 * Nothing of libc works yet: no relocations, no thread-local storage (hence no stack protector), no memcmp (an indirect function). */
#include <fcntl.h>
#include <link.h>
#include <linux/mount.h>
#include <stdbool.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#if defined(__x86_64__)

static long call6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long result;
	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

/* The stack is as the kernel made it, aligned to 16: [rsp] is argc. rdx belongs to the ABI of the real entry. */
__asm__(".pushsection .text\n"
	".globl havre_start\n"
	".type havre_start, @function\n"
	"havre_start:\n"
	"	endbr64\n"
	"	xor %ebp, %ebp\n"
	"	mov %rsp, %rdi\n"
	"	push %rdx\n"
	"	sub $8, %rsp\n"
	"	call havre_early\n"
	"	add $8, %rsp\n"
	"	pop %rdx\n"
	"	jmp _start\n"
	".size havre_start, .-havre_start\n"
	".popsection\n");

#elif defined(__aarch64__)

static long call6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;
	__asm__ volatile("svc #0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
}

/* [sp] is argc. x0 belongs to the ABI of the real entry. */
__asm__(".pushsection .text\n"
	".globl havre_start\n"
	".type havre_start, %function\n"
	"havre_start:\n"
	"	mov x29, #0\n"
	"	mov x30, #0\n"
	"	mov x19, x0\n"
	"	mov x0, sp\n"
	"	bl havre_early\n"
	"	mov x0, x19\n"
	"	mov x30, #0\n"
	"	b _start\n"
	".size havre_start, .-havre_start\n"
	".popsection\n");

#else
#error "no entry point for this architecture: meson.build must not use early.c"
#endif

static long call(long nr, long a, long b, long c, long d, long e)
{
	return call6(nr, a, b, c, d, e, 0);
}

static bool same(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

/* The commands of enter_container (havre-runtime.c). */
static bool concerns(char **argv)
{
	for (; *argv; argv++)
		if (same(*argv, "run") || same(*argv, "create") || same(*argv, "exec"))
			return true;
	return false;
}

static bool executed_by_fd(char **envp)
{
	static const char prefix[] = "/dev/fd/";
	char **p = envp;
	while (*p)
		p++;
	for (unsigned long *aux = (unsigned long *)(p + 1); aux[0] != AT_NULL; aux += 2) {
		if (aux[0] != AT_EXECFN)
			continue;
		const char *name = (const char *)aux[1];
		for (int i = 0; prefix[i]; i++)
			if (name[i] != prefix[i])
				return false;
		return true;
	}
	return true;
}

/* What the kernel laid out for us. */
struct image {
	const long *stack;
	char **argv, **envp;
	unsigned long base;
	const ElfW(Phdr) * headers;
	unsigned long n_headers;
};

static struct image find_image(long *stack)
{
	struct image im = {.stack = stack, .argv = (char **)(stack + 1)};
	im.envp = im.argv + stack[0] + 1;
	char **p = im.envp;
	while (*p)
		p++;
	for (unsigned long *aux = (unsigned long *)(p + 1); aux[0] != AT_NULL; aux += 2) {
		if (aux[0] == AT_PHDR)
			im.headers = (const ElfW(Phdr) *)aux[1];
		if (aux[0] == AT_PHNUM)
			im.n_headers = aux[1];
	}
	const ElfW(Ehdr) *elf = (const ElfW(Ehdr) *)((const char *)im.headers - sizeof(ElfW(Ehdr)));
	im.base = elf->e_type == ET_DYN ? (unsigned long)elf
					: 0; /* otherwise addresses are as they are written */
	return im;
}

#define PAGE_SIZE 4096ul /* with larger pages the calls below refuse, and the long way is taken */

static unsigned long page_down(unsigned long address)
{
	return address & ~(PAGE_SIZE - 1);
}

static unsigned long page_up(unsigned long address)
{
	return page_down(address + PAGE_SIZE - 1);
}

static unsigned long text_end(const char *text)
{
	while (*text)
		text++;
	return (unsigned long)text + 1;
}

/* Maps the program anew from `fd`, the same file on another mount: over what is there, which has the same bytes, and which nobody
 * has written to yet. */
static bool map_again(const struct image *im, long fd)
{
	for (unsigned long i = 0; i < im->n_headers; i++) {
		const ElfW(Phdr) *h = &im->headers[i];
		if (h->p_type != PT_LOAD)
			continue;
		unsigned long start = im->base + h->p_vaddr, end = start + h->p_filesz;
		long prot = (h->p_flags & PF_R ? PROT_READ : 0) | (h->p_flags & PF_W ? PROT_WRITE : 0) |
			    (h->p_flags & PF_X ? PROT_EXEC : 0);
		long at = call6(SYS_mmap, (long)page_down(start), (long)(page_up(end) - page_down(start)),
				prot, MAP_PRIVATE | MAP_FIXED, fd, (long)page_down(h->p_offset));
		if (at != (long)page_down(start))
			return false;
		if (h->p_memsz > h->p_filesz)
			for (volatile char *zero = (volatile char *)end; (unsigned long)zero < page_up(end);
			     zero++)
				*zero = 0;
	}
	return true;
}

/* /proc/PID/exe leads to `fd` then. The kernel wants to know the whole layout again; it refuses while anything of the old file is mapped. */
static bool become_file(const struct image *im, long fd)
{
	struct prctl_mm_map map = {.exe_fd = (unsigned)fd};
	for (unsigned long i = 0; i < im->n_headers; i++) {
		const ElfW(Phdr) *h = &im->headers[i];
		unsigned long start = im->base + h->p_vaddr;
		if (h->p_type == PT_LOAD && h->p_flags & PF_X) {
			map.start_code = start;
			map.end_code = start + h->p_filesz;
		} else if (h->p_type == PT_LOAD && h->p_flags & PF_W) {
			map.start_data = start;
			map.end_data = start + h->p_filesz;
		}
	}
	map.start_brk = map.brk = (unsigned long)call(SYS_brk, 0, 0, 0, 0, 0); /* nobody has moved it yet */
	map.start_stack = (unsigned long)im->stack;
	map.arg_start = (unsigned long)im->argv[0];
	map.arg_end = map.env_start = map.env_end = text_end(im->argv[im->stack[0] - 1]);
	for (char **p = im->envp; *p; p++)
		map.env_end = text_end(*p);
	return call(SYS_prctl, PR_SET_MM, PR_SET_MM_MAP, (long)&map, sizeof(map), 0) == 0;
}

static void fd_name(char *to, long fd)
{
	static const char prefix[] = "/proc/self/fd/";
	for (int i = 0; prefix[i]; i++)
		*to++ = prefix[i];
	char digits[20];
	int n = 0;
	do
		digits[n++] = (char)('0' + fd % 10);
	while ((fd /= 10));
	while (n)
		*to++ = digits[--n];
	*to = '\0';
}

/* Whether we run from the clone already. Its page is written after the program was mapped anew. */
extern bool havre_protected __attribute__((visibility("hidden")));
bool havre_protected;

/* *ret_fd is the executable in the clone, or an error. */
static bool protect_in_place(const struct image *im, long tree, long *ret_fd)
{
	char name[40];
	fd_name(name, tree);
	*ret_fd = call(SYS_openat, AT_FDCWD, (long)name, O_RDONLY | O_CLOEXEC, 0, 0);
	return *ret_fd >= 0 && im->stack[0] > 0 && map_again(im, *ret_fd) && become_file(im, *ret_fd);
}

/* Protected when it returns, or not; the kernel may as well begin from the start. */
static void protect(const struct image *im)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID};
	long tree = call(SYS_open_tree, AT_FDCWD, (long)"/proc/self/exe", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC,
			 0, 0);
	if (tree < 0)
		return;
	long fd = -1;
	if (call(SYS_mount_setattr, tree, (long)"", AT_EMPTY_PATH, (long)&attr, sizeof(attr)) == 0) {
		havre_protected = protect_in_place(im, tree, &fd);
		if (!havre_protected)
			call(SYS_execveat, tree, (long)"", (long)im->argv, (long)im->envp, AT_EMPTY_PATH);
	}
	if (fd == tree + 1) {
		call(SYS_close_range, tree, fd, 0, 0, 0);
		return;
	}
	call(SYS_close, tree, 0, 0, 0, 0);
	if (fd >= 0)
		call(SYS_close, fd, 0, 0, 0, 0);
}

#ifdef HAVRE_POPULATE

#ifdef HAVRE_DATA_ONLY /* havre itself: its relocations touch all of its data, its commands little of its code */
#define HOT false
#define havre_hot_start ((const char *)0)
#define havre_hot_end ((const char *)0)
#else
#define HOT true
/* From hot.ld: the code that a container's life needs. */
extern const char havre_hot_start[] __attribute__((visibility("hidden")));
extern const char havre_hot_end[] __attribute__((visibility("hidden")));
#endif

#define STACK_PAGES 4ul

static void populate_range(unsigned long start, unsigned long end, int advice)
{
	call(SYS_madvise, (long)page_down(start), (long)(page_up(end) - page_down(start)), advice, 0, 0);
}

/* Page faults are the larger part of a start: a hundred of them, and each costs as much as ten system calls (in virtual machines
 * that shadow page tables, more). The kernel maps what is needed anyway in three calls (Linux 5.14; elsewhere they fail). */
static void populate(const struct image *im)
{
	if (HOT)
		populate_range((unsigned long)havre_hot_start, (unsigned long)havre_hot_end,
			       MADV_POPULATE_READ);
	for (unsigned long i = 0; i < im->n_headers; i++) {
		const ElfW(Phdr) *h = &im->headers[i];
		unsigned long start = im->base + h->p_vaddr;
		if (h->p_type == PT_LOAD && h->p_flags & PF_W)
			populate_range(start, start + h->p_memsz, MADV_POPULATE_WRITE);
	}
	populate_range((unsigned long)im->stack - STACK_PAGES * PAGE_SIZE, (unsigned long)im->stack,
		       MADV_POPULATE_WRITE);
}

#endif

/* From the assembly above. */
void havre_early(long *stack);

__attribute__((used, visibility("hidden"))) void havre_early(long *stack)
{
	struct image im = find_image(stack);
#ifdef HAVRE_DATA_ONLY
	bool enters_containers = false; /* the monitor does, for it */
#else
	bool enters_containers = true;
#endif
	/* Executed through an fd: that is the second execution, most likely. */
	if (enters_containers && concerns(im.argv) && !executed_by_fd(im.envp))
		protect(&im);
#ifdef HAVRE_POPULATE
	populate(&im);
#endif
}
