/* relay CLIENT-NETNS SERVER-NETNS DEVICE DELAY-US RATE-BITS-PER-S QUEUE-BYTES
 *
 * An emulated link between two network namespaces: a TUN device of this name in each, and packets carried between them. Each direction
 * is a line of its own: a packet leaves when the one before it has left and its own bits are on the line, and arrives DELAY-US later. Packets
 * that would wait behind more than QUEUE-BYTES are dropped, as a router drops them. (This wants no kernel module, as tc's netem would.)
 * Prints "ready" when the devices are there; whoever started it gives them addresses. Runs until it is ended.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { LARGEST = 65536, SECOND = 1000000000 };

struct packet {
    struct packet *next;
    uint64_t arrives; /* nanoseconds of the monotonic clock */
    size_t length;
    char bytes[];
};

struct direction {
    int from, to;
    struct packet *first, **last;
    uint64_t line_free; /* when the line has sent all that is queued */
};

static void die(const char *what) {
    perror(what);
    exit(1);
}

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

static int device(const char *namespace, const char *name) {
    char path[256];
    snprintf(path, sizeof path, "/run/netns/%s", namespace);
    int net = open(path, O_RDONLY | O_CLOEXEC);
    if (net < 0 || setns(net, CLONE_NEWNET)) die(path);
    close(net);
    int tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (tun < 0) die("/dev/net/tun");
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    if (ioctl(tun, TUNSETIFF, &request)) die("TUNSETIFF");
    return tun;
}

/* Hands over what has arrived; returns when the next packet arrives, or UINT64_MAX. */
static uint64_t deliver(struct direction *way) {
    uint64_t time = now();
    while (way->first && way->first->arrives <= time) {
        struct packet *packet = way->first;
        if (write(way->to, packet->bytes, packet->length) < 0 && errno == EAGAIN) break;
        way->first = packet->next;
        if (!way->first) way->last = &way->first;
        free(packet);
    }
    return way->first ? way->first->arrives : UINT64_MAX;
}

static void take(struct direction *way, uint64_t delay, double rate, size_t limit) {
    char bytes[LARGEST];
    for (int n = 0; n < 64; n++) {
        ssize_t length = read(way->from, bytes, sizeof bytes);
        if (length <= 0) return;
        uint64_t time = now(), starts = way->line_free > time ? way->line_free : time;
        if ((double)(starts - time) * rate / 8 / SECOND > (double)limit) continue;
        way->line_free = starts + (uint64_t)((double)length * 8 * SECOND / rate);
        struct packet *packet = malloc(sizeof *packet + (size_t)length);
        if (!packet) die("malloc");
        *packet = (struct packet){.arrives = way->line_free + delay, .length = (size_t)length};
        memcpy(packet->bytes, bytes, (size_t)length);
        *way->last = packet;
        way->last = &packet->next;
    }
}

int main(int count, char **word) {
    if (count != 7) return 2;
    uint64_t delay = strtoull(word[4], NULL, 10) * 1000;
    double rate = strtod(word[5], NULL);
    size_t limit = strtoull(word[6], NULL, 10);
    int client = device(word[1], word[3]), server = device(word[2], word[3]);
    struct direction ways[2] = {{.from = client, .to = server}, {.from = server, .to = client}};
    for (int i = 0; i < 2; i++) ways[i].last = &ways[i].first;
    puts("ready");
    fflush(stdout);
    for (;;) {
        uint64_t next = UINT64_MAX;
        for (int i = 0; i < 2; i++) {
            uint64_t arrives = deliver(&ways[i]);
            if (arrives < next) next = arrives;
        }
        uint64_t time = now(), wait = next > time ? next - time : 50000;
        struct timespec limit_of_wait = {.tv_sec = (time_t)(wait / SECOND), .tv_nsec = (long)(wait % SECOND)};
        struct pollfd polled[2] = {{.fd = client, .events = POLLIN}, {.fd = server, .events = POLLIN}};
        if (ppoll(polled, 2, next == UINT64_MAX ? NULL : &limit_of_wait, NULL) <= 0) continue;
        for (int i = 0; i < 2; i++)
            if (polled[i].revents & POLLIN) take(&ways[i], delay, rate, limit);
    }
}
