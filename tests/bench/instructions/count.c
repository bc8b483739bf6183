/* A plugin of qemu's user mode that counts the instructions of a program.
 *
 *     qemu-aarch64 -plugin count.so,out=FILE PROGRAM      FILE gets the number
 *
 * Debian's qemu takes plugins but ships none, and no header: what is used of the interface
 * (docs/devel/tcg-plugins.rst in qemu's source) is declared here. Its number differs from one
 * qemu to another, so it comes from the command line that builds this: -DINTERFACE=1, 2, ...
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t plugin_id;
struct qemu_plugin_tb;

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, void (*)(unsigned, void *), int,
                                          void *);
void qemu_plugin_register_atexit_cb(plugin_id, void (*)(plugin_id, void *), void *);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);

EXPORT int qemu_plugin_version = INTERFACE;

static uint64_t instructions;
static const char *out;

static void executed(unsigned cpu, void *length)
{
    (void)cpu;
    __atomic_fetch_add(&instructions, (uintptr_t)length, __ATOMIC_RELAXED);
}

/* A block is counted whole when it begins. */
static void translated(plugin_id id, struct qemu_plugin_tb *block)
{
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_cb(block, executed, 0, (void *)qemu_plugin_tb_n_insns(block));
}

static void done(plugin_id id, void *unused)
{
    (void)id, (void)unused;
    FILE *file = fopen(out, "w");
    if (file) {
        fprintf(file, "%" PRIu64 "\n", instructions);
        fclose(file);
    }
}

EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
    (void)info;
    if (argc != 1 || strncmp(argv[0], "out=", 4) != 0) {
        fprintf(stderr, "count.so,out=FILE\n");
        return 1;
    }
    out = strdup(argv[0] + 4);
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, done, NULL);
    return 0;
}
