// Runs one static Linux program on a bare x86-64 processor, with AVX-512 switched on.
//
// An emulator needs a hundredth of the time for this that it needs for a whole system. A Multiboot
// loader (ISOLINUX with mboot.c32) lays the program beside us as a module; the words of its line
// are the program's arguments, those with a "=" its environment. It runs in ring 0 as we do. Of
// system calls it gets the few that Rust's tests make when there are no threads to be had. What it
// writes goes to port E9, which Bochs shows.
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint32_t u32;
typedef uint64_t u64;

// The loader looks for three numbers, and starts us in 32 bits with paging off. On to 64 bits,
// with memory where it is: 2 GiB in pages of 2 MiB.
__asm__(
    ".text\n.balign 4\n"
    ".long 0x1badb002, 0, -0x1badb002\n"
    ".code32\n.globl start\nstart:\n"
    "  cli\n"
    "  movl %ebx, %edi\n"
    "  movl $tables + 0x1003, tables\n"
    "  movl $tables + 0x2003, tables + 0x1000\n"
    "  movl $tables + 0x3003, tables + 0x1008\n"
    "  movl $0x83, %eax\n"
    "  movl $tables + 0x2000, %ecx\n"
    "1: movl %eax, (%ecx)\n"
    "  addl $8, %ecx\n"
    "  addl $0x200000, %eax\n"
    "  jns 1b\n"
    "  movl $tables, %eax\n"
    "  movl %eax, %cr3\n"
    "  movl $0x40620, %eax\n"            // PAE, SSE and its exceptions, XSAVE
    "  movl %eax, %cr4\n"
    "  movl $0xc0000080, %ecx\n"
    "  movl $0x101, %eax\n"              // long mode, and the instruction SYSCALL
    "  xorl %edx, %edx\n"
    "  wrmsr\n"
    "  movl $0x80000003, %eax\n"         // paging; a coprocessor that is watched
    "  movl %eax, %cr0\n"
    "  lgdt gdtr\n"
    "  ljmp $8, $long\n"
    ".code64\nlong:\n"
    "  movl $16, %eax\n"
    "  movl %eax, %ds\n  movl %eax, %es\n  movl %eax, %ss\n"
    "  movl $0xe7, %eax\n"               // x87, SSE, AVX, AVX-512
    "  xorl %edx, %edx\n"
    "  xorl %ecx, %ecx\n"
    "  xsetbv\n"
    "  movl $own_stack + 0x10000, %esp\n"
    "  call run\n"
    "gdt: .quad 0, 0x00af9a000000ffff, 0x00cf92000000ffff\n"
    "gdtr: .word 23\n .long gdt\n"
    // A system call: number and arguments in registers that must stay as they are.
    ".globl gate\ngate:\n"
    "  movq %rsp, programs_stack\n"
    "  movl $own_stack + 0x10000, %esp\n"
    "  push %rcx\n  push %r11\n  push %rdi\n  push %rsi\n  push %rdx\n  push %r8\n  push %r9\n"
    "  push %r10\n"
    "  movq %r10, %rcx\n"
    "  movq %rax, %r9\n"
    "  call answer\n"
    "  pop %r10\n  pop %r9\n  pop %r8\n  pop %rdx\n  pop %rsi\n  pop %rdi\n  pop %r11\n  pop %rcx\n"
    "  movq programs_stack, %rsp\n"
    "  jmp *%rcx\n");

u8 tables[0x4000] __attribute__((aligned(4096)));
u8 own_stack[0x10000] __attribute__((aligned(16)));
u64 programs_stack;
extern u8 gate[];

enum { STACK = 0x0c000000, STACK_BYTES = 0x800000, HEAP = 0x10000000, HEAP_END = 0x7f000000 };

static u64 heap = HEAP;

static void out(uint16_t port, u8 byte) { __asm__ volatile("outb %0, %1" ::"a"(byte), "Nd"(port)); }

static void write_msr(u32 msr, u64 value) {
    __asm__ volatile("wrmsr" ::"c"(msr), "a"((u32)value), "d"((u32)(value >> 32)));
}

static u64 ticks(void) {
    u32 low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (u64)high << 32 | low;
}

static void show(const char *text, size_t length) {
    for (size_t at = 0; at < length; at++) out(0xe9, text[at]);
}

static void show_number(const char *name, u64 number) {
    char digits[20];
    int at = sizeof digits;
    do digits[--at] = '0' + number % 10;
    while (number /= 10);
    size_t length = 0;
    while (name[length]) length++;
    show(name, length);
    show(digits + at, sizeof digits - at);
    show("\n", 1);
}

// Ends the emulator: Bochs listens at this port for this word.
static _Noreturn void end(u64 code) {
    show_number("\nprogram ended with ", code);
    for (const char *word = "Shutdown"; *word; word++) out(0x8900, *word);
    for (;;) __asm__ volatile("hlt");
}

static u64 map(u64 length) {
    u64 start = heap;
    heap += (length + 4095) & ~4095ul;
    return heap < HEAP_END ? start : (u64)-12;
}

u64 answer(u64 a, u64 b, u64 c, u64 d, u64 e, u64 number) {
    (void)d, (void)e;
    switch (number) {
    case 1:                                       // write
        show((const char *)b, c);
        return c;
    case 9: return map(b);                        // mmap
    case 12: return 0;                            // brk: never
    case 16: return -25;                          // ioctl: no terminal
    case 7: case 10: case 11: case 13: case 14:   // poll, mprotect, munmap, signals
    case 28: case 131: case 202: case 273:        // madvise, sigaltstack, futex, robust list
        return 0;
    case 56: case 435: return -11;                // clone: no threads
    case 60: case 231: end(a);                    // exit
    case 39: case 186: case 218: return 1;        // process and thread
    case 200: case 234: end(128 + 6);             // abort
    case 158:                                     // arch_prctl: the thread's own memory
        if (a != 0x1002) return -22;
        write_msr(0xc0000100, b);
        return 0;
    case 204:                                     // sched_getaffinity: one processor
        *(u64 *)c = 1;
        return 8;
    case 228:                                     // clock_gettime: of some processor
        ((u64 *)b)[0] = ticks() / 1000000000;
        ((u64 *)b)[1] = ticks() % 1000000000;
        return 0;
    case 318:                                     // getrandom
        for (u64 at = 0; at < b; at++) ((u8 *)a)[at] = ticks() >> 3;
        return b;
    case 2: case 21: case 89: case 257: case 262: return -2;    // no files
    default: return -38;
    }
}

typedef struct { u32 start, end, words, unused; } Module;

// The program's first stack: arguments, environment, and what it is told of itself.
static u64 *stack(char *words, const u8 *image) {
    static char *arguments[64], *environment[64];
    int count = 0, settings = 0;
    for (char *word = words; *word;) {
        char *end = word;
        int setting = 0;
        for (; *end && *end != ' '; end++) setting |= *end == '=';
        int last = !*end;
        *end = 0;
        if (setting) environment[settings++] = word;
        else arguments[count++] = word;
        if (last) break;
        for (word = end + 1; *word == ' '; word++) {}
    }
    u64 header = *(u64 *)(image + 32);
    const u64 facts[] = {
        3, (u64)image + header, 4, 56, 5, *(uint16_t *)(image + 56), 6, 4096, 25, (u64)image, 0, 0,
    };
    u64 *top = (u64 *)(STACK + STACK_BYTES) - 256, *at = top;
    *at++ = count;
    for (int i = 0; i < count; i++) *at++ = (u64)arguments[i];
    *at++ = 0;
    for (int i = 0; i < settings; i++) *at++ = (u64)environment[i];
    *at++ = 0;
    for (size_t i = 0; i < sizeof facts / 8; i++) *at++ = facts[i];
    return top;
}

void run(u8 *loader) {
    Module *module = (Module *)(u64) * (u32 *)(loader + 24);
    const u8 *image = (const u8 *)(u64)module->start;
    const u8 *segment = image + *(u64 *)(image + 32);
    for (int left = *(uint16_t *)(image + 56); left > 0; left--, segment += 56) {
        const u64 *fields = (const u64 *)segment;
        if ((u32)fields[0] != 1) continue;
        u8 *to = (u8 *)fields[2];
        for (u64 at = 0; at < fields[5]; at++) to[at] = at < fields[4] ? image[fields[1] + at] : 0;
    }
    write_msr(0xc0000081, 8ul << 32);   // STAR: the segment that SYSCALL goes to
    write_msr(0xc0000082, (u64)gate);   // LSTAR: the code
    write_msr(0xc0000084, 0);           // no flag is cleared
    u64 *top = stack((char *)(u64)module->words, image);
    __asm__ volatile("movq %0, %%rsp\n jmp *%1" ::"a"(top), "c"(*(u64 *)(image + 24)), "d"(0));
}
