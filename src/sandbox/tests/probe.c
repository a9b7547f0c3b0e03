// Makes system calls that no shell makes, and prints what came of each.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#ifndef SYS_open_tree
#define SYS_open_tree 428
#endif

static void tell(const char *name, long result) {
    if (result != -1)
        printf("%s=%ld\n", name, result);
    else
        printf("%s=%s\n", name, errno == EPERM ? "EPERM" : errno == ENOSYS ? "ENOSYS" : strerror(errno));
}

static int nothing(void *unused) {
    (void)unused;
    return 0;
}

static void calls(void) {
    static char stack[16384];
    tell("unshare_user", unshare(CLONE_NEWUSER));
    tell("clone_user", clone(nothing, stack + sizeof stack, CLONE_NEWUSER | CLONE_VM, NULL));
    tell("clone3", syscall(SYS_clone3, NULL, 0));
    tell("mount", syscall(SYS_mount, "none", "/", "tmpfs", 0, NULL));
    tell("open_tree", syscall(SYS_open_tree, -1, "/", 1));
    tell("setns", setns(-1, 0));
    tell("keyctl", syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_KEYRING, 0));
    tell("bpf", syscall(SYS_bpf, 0, NULL, 0));
    tell("userfaultfd", syscall(SYS_userfaultfd, 0));
    tell("io_uring", syscall(SYS_io_uring_setup, 1, NULL));
    tell("alg", socket(AF_ALG, SOCK_SEQPACKET, 0));
    tell("vsock", socket(AF_VSOCK, SOCK_STREAM, 0));
    tell("personality", personality(ADDR_NO_RANDOMIZE));
    tell("newest", syscall(1000));
}

#ifdef __x86_64__
// The 32-bit door of the kernel, open to programs of 64 bits too.
static long i386(int number, long first) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(first), "c"(0), "d"(0), "S"(0), "D"(0) : "memory");
    if (result < 0 && result > -4096) {
        errno = -result;
        return -1;
    }
    return result;
}
#endif

static int setcap(const char *path) {
    struct vfs_cap_data data = {.magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE,
                                .data = {{.permitted = 1 << CAP_NET_BIND_SERVICE}}};
    if (setxattr(path, "security.capability", &data, sizeof data, 0) == 0)
        return 0;
    perror("setxattr");
    return 1;
}

int main(int count, char **words) {
    const char *what = count > 1 ? words[1] : "";
    if (strcmp(what, "calls") == 0)
        calls();
    if (strcmp(what, "euid") == 0)
        tell("euid", geteuid());
    if (strcmp(what, "setcap") == 0)
        return setcap(words[2]);
#ifdef __x86_64__
    if (strcmp(what, "i386") == 0) {
        tell("getpid", i386(20, 0));
        tell("mount", i386(21, 0));
    }
    if (strcmp(what, "x32") == 0)
        tell("getpid", syscall(0x40000000 + SYS_getpid));
#endif
    return 0;
}
