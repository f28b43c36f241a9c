/* before-exec PID: what the children of a daemon cost before they become a compiler.
 *
 * Follows the daemon (all its threads, and workers that it forks) with ptrace. Each process that it starts is looked at once, when it
 * executes its first program, and let go. Prints a line at the start and after each: how many there were so far, and their CPU time until then
 * in nanoseconds, the system call that starts the program included. Ends with the daemon.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>

static const long options = PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC;

static uint64_t cpu_nanoseconds(pid_t pid) {
    struct timespec t;
    clockid_t clock;
    if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &t)) return 0;
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* All threads of a process and of its children, which are workers when nothing has been compiled yet. */
static void seize(pid_t pid) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", pid, pid);
    FILE *children = fopen(path, "r");
    for (int child; children && fscanf(children, "%d", &child) == 1;) seize(child);
    if (children) fclose(children);
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *tasks = opendir(path);
    if (!tasks) {
        perror(path);
        exit(1);
    }
    for (struct dirent *entry; (entry = readdir(tasks));)
        if (entry->d_name[0] != '.' && ptrace(PTRACE_SEIZE, atoi(entry->d_name), 0, options)) {
            perror("ptrace");
            exit(1);
        }
    closedir(tasks);
}

int main(int count, char **word) {
    if (count != 2) return 2;
    uint64_t processes = 0, nanoseconds = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    seize(atoi(word[1]));
    puts("0 0");
    for (;;) {
        int status;
        pid_t pid = waitpid(-1, &status, __WALL);
        if (pid < 0) {
            if (errno == EINTR) continue;
            return 0;
        }
        if (!WIFSTOPPED(status)) continue;
        int event = status >> 16, number = WSTOPSIG(status);
        if (event == PTRACE_EVENT_EXEC) {
            processes++;
            nanoseconds += cpu_nanoseconds(pid);
            printf("%lu %lu\n", (unsigned long)processes, (unsigned long)nanoseconds);
            ptrace(PTRACE_DETACH, pid, 0, 0);
        } else if (event == PTRACE_EVENT_STOP && (number == SIGSTOP || number == SIGTSTP || number == SIGTTIN || number == SIGTTOU)) {
            ptrace(PTRACE_LISTEN, pid, 0, 0);
        } else {
            /* A stop that is an event of ours has no signal to deliver. */
            ptrace(PTRACE_CONT, pid, 0, event ? 0 : number);
        }
    }
}
