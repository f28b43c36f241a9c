/* A hostile "compiler": it does what its source says, a line each, and prints what came of it. Whatever code a client could bring into a compiler
   can do no more than this program. Compiled by probe.rs. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *object = "a.o";

static void tell(const char *line, long result)
{
    if (result >= 0)
        printf("%s: ok\n", line);
    else
        printf("%s: %s\n", line, strerrorname_np(errno));
    fflush(stdout);
}

static long touch(const char *path, int flags)
{
    int fd = open(path, flags, 0666);
    char byte;
    if (fd >= 0 && (flags & O_ACCMODE) == O_RDONLY && read(fd, &byte, 1) < 0 && errno != EISDIR)
        return -1;
    return fd;
}

static long execute(const char *path)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        char *argv[] = { (char *)path, NULL };
        execv(path, argv);
        _exit(errno);
    }
    if (child < 0 || waitpid(child, &status, 0) < 0)
        return -1;
    errno = WEXITSTATUS(status);
    return WIFEXITED(status) && errno == 0 ? 0 : -1;
}

static long many_processes(long most)
{
    long count = 0;
    while (count < most) {
        pid_t child = fork();
        if (child == 0)
            for (;;)
                pause();
        if (child < 0) {
            printf("%s after %s\n", strerrorname_np(errno), count < 300 ? "few" : "many");
            return -1;
        }
        count++;
    }
    return count;
}

/* A file with a hole is as large as any other for limits, and costs a test nothing. */
static long fill(int fd, long megabytes)
{
    if (lseek(fd, megabytes << 20, SEEK_CUR) < 0)
        return -1;
    return write(fd, "x", 1);
}

static long memory(long megabytes)
{
    while (megabytes-- > 0) {
        char *block = malloc(1 << 20);
        if (!block)
            return -1;
        memset(block, 1, 1 << 20);
    }
    return 0;
}

/* So much in each of several processes at the same time, each of which then waits. */
static long together(long count, long megabytes)
{
    while (count-- > 0) {
        pid_t child = fork();
        if (child == 0) {
            if (memory(megabytes) < 0)
                _exit(1);
            for (;;)
                pause();
        }
        if (child < 0)
            return -1;
    }
    return pause();
}

/* Reads a whole file, from the disk. */
static long devour(const char *path)
{
    static char block[1 << 16];
    int fd = open(path, O_RDONLY);
    if (fd < 0 || (errno = posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED)))
        return -1;
    long length;
    while ((length = read(fd, block, sizeof block)) > 0)
        ;
    close(fd);
    return length;
}

/* A system call by i386's numbers, which are others than ours. */
static long other_architecture(void)
{
#ifdef __x86_64__
    long result = 20; /* getpid */
    __asm__ volatile("int $0x80" : "+a"(result) : : "memory");
    return result;
#else
    raise(SIGSYS);
    return 0;
#endif
}

static long open_descriptors(void)
{
    long count = 0;
    for (int fd = 3; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    errno = EBADF;
    return count ? count : -1;
}

static void act(const char *line)
{
    char verb[64] = "", a[512] = "", b[512] = "", c[512] = "";
    sscanf(line, "%63s %511s %511s %511s", verb, a, b, c);
    long x = strtol(a, NULL, 0), y = strtol(b, NULL, 0), z = strtol(c, NULL, 0);
    if (!strcmp(verb, "call"))
        tell(line, syscall(x, y, z, 0, 0, 0, 0));
    else if (!strcmp(verb, "read"))
        tell(line, touch(a, O_RDONLY));
    else if (!strcmp(verb, "write"))
        tell(line, touch(a, O_WRONLY));
    else if (!strcmp(verb, "create"))
        tell(line, touch(a, O_WRONLY | O_CREAT));
    else if (!strcmp(verb, "list"))
        tell(line, opendir(a) ? 0 : -1);
    else if (!strcmp(verb, "remove"))
        tell(line, unlink(a));
    else if (!strcmp(verb, "execute"))
        tell(line, execute(a));
    else if (!strcmp(verb, "symlink"))
        tell(line, symlink(a, b));
    else if (!strcmp(verb, "link"))
        tell(line, link(a, b));
    else if (!strcmp(verb, "rename"))
        tell(line, rename(a, b));
    else if (!strcmp(verb, "device"))
        tell(line, mknod(a, S_IFCHR | 0666, 0x103));
    else if (!strcmp(verb, "fifo"))
        tell(line, mkfifo(a, 0666));
    else if (!strcmp(verb, "socket"))
        tell(line, socket((int)x, (int)y, 0));
    else if (!strcmp(verb, "signal-parent"))
        tell(line, getppid() > 0 ? kill(getppid(), (int)x) : (errno = ESRCH, -1));
    else if (!strcmp(verb, "signal"))
        tell(line, kill((pid_t)x, (int)y));
    else if (!strcmp(verb, "type"))
        tell(line, ioctl(0, TIOCSTI, "x"));
    else if (!strcmp(verb, "processes"))
        tell(line, many_processes(x));
    else if (!strcmp(verb, "bomb"))
        for (;;)
            fork();
    else if (!strcmp(verb, "memory"))
        tell(line, memory(x));
    else if (!strcmp(verb, "together"))
        tell(line, together(x, y));
    else if (!strcmp(verb, "devour"))
        tell(line, devour(a));
    else if (!strcmp(verb, "fill"))
        tell(line, fill(open(a, O_WRONLY | O_CREAT, 0666), y));
    else if (!strcmp(verb, "say"))
        tell(line, fill(1, x));
    else if (!strcmp(verb, "descriptors"))
        tell(line, open_descriptors());
    else if (!strcmp(verb, "i386"))
        tell(line, other_architecture());
    else if (!strcmp(verb, "dumpable"))
        tell(line, prctl(PR_SET_DUMPABLE, 1));
    else if (!strcmp(verb, "crash"))
        raise((int)x);
    else if (!strcmp(verb, "spin"))
        for (;;)
            ;
    else if (!strcmp(verb, "stop"))
        raise(SIGSTOP);
    else if (!strcmp(verb, "sleep"))
        execl("/bin/sleep", "sleep", a, NULL);
    else if (!strcmp(verb, "detach")) {
        /* A child that tries to be nobody's. */
        pid_t child = fork();
        if (child == 0) {
            tell("setsid", setsid());
            tell("setpgid", setpgid(0, 0));
            signal(SIGTERM, SIG_IGN);
            signal(SIGHUP, SIG_IGN);
            if (fork() == 0)
                execl("/bin/sleep", "sleep", a, NULL);
            _exit(0);
        }
        waitpid(child, NULL, 0);
    } else if (!strcmp(verb, "ignore"))
        signal((int)x, SIG_IGN);
    else if (!strcmp(verb, "no-object"))
        object = NULL;
    else if (*verb && strcmp(verb, "#"))
        printf("%s: unknown\n", line);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    const char *source = NULL;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "-E"))
            return 1; /* The daemon asks about options. */
        if (!strcmp(argv[i], "-o"))
            object = argv[++i];
        else if (!strcmp(argv[i], "-MF")) {
            FILE *rules = fopen(argv[++i], "w");
            if (rules) {
                fputs("a.o:\n", rules);
                fclose(rules);
            }
        } else if (argv[i][0] != '-')
            source = argv[i];
    }
    FILE *file = source ? fopen(source, "r") : NULL;
    if (!file)
        return 2;
    static char script[1 << 16];
    script[fread(script, 1, sizeof script - 1, file)] = 0;
    fclose(file);
    for (char *line = script, *next; line && *line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = 0;
        act(line);
    }
    if (object) {
        int fd = open(object, O_WRONLY | O_CREAT | O_NOFOLLOW, 0666);
        if (fd >= 0 && write(fd, "object", 6) == 6)
            close(fd);
    }
    return 0;
}
