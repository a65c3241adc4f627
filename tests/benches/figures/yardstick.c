/*
 * The least that it can cost to run a program: posix_spawn, pipes, poll and wait.
 *
 * yardstick GIB COUNT PROGRAM ARG…    has touched GIB GiB of memory; for each line of input it runs the program
 *                                     COUNT times at once, and prints how many nanoseconds that took
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 64 };

static char *env[] = { "LC_ALL=C", "LANG=C", NULL };
static char buffer[65536];

static pid_t start(char **argv, struct pollfd *fds)
{
    int out[2], err[2];
    pid_t pid;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    if (pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC))
        abort();
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    posix_spawn_file_actions_adddup2(&actions, err[1], 2);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    if (posix_spawn(&pid, argv[0], &actions, &attributes, argv, env))
        abort();
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    close(out[1]);
    close(err[1]);
    fds[0] = (struct pollfd) { out[0], POLLIN, 0 };
    fds[1] = (struct pollfd) { err[0], POLLIN, 0 };
    return pid;
}

static void run(int count, char **argv)
{
    struct pollfd fds[2 * MOST];
    pid_t pids[MOST];
    int open = 2 * count, status;
    for (int i = 0; i < count; i++)
        pids[i] = start(argv, fds + 2 * i);
    while (open > 0) {
        poll(fds, 2 * count, -1);
        for (int i = 0; i < 2 * count; i++)
            if (fds[i].fd >= 0 && fds[i].revents && read(fds[i].fd, buffer, sizeof buffer) <= 0) {
                close(fds[i].fd);
                fds[i].fd = -1;
                open--;
            }
    }
    for (int i = 0; i < count; i++)
        if (waitpid(pids[i], &status, 0) != pids[i] || status != 0)
            abort();
}

int main(int argc, char **argv)
{
    size_t ballast = (size_t)atoi(argv[1]) << 30;
    int count = atoi(argv[2]);
    char *memory = malloc(ballast + 1);
    if (argc < 4 || count < 1 || count > MOST || memory == NULL)
        abort();
    memset(memory, 1, ballast + 1);
    while (getchar() == '\n') {
        struct timespec before, after;
        clock_gettime(CLOCK_MONOTONIC, &before);
        run(count, argv + 3);
        clock_gettime(CLOCK_MONOTONIC, &after);
        printf("%lld\n", (after.tv_sec - before.tv_sec) * 1000000000LL + (after.tv_nsec - before.tv_nsec));
        fflush(stdout);
    }
    return memory[ballast] != 1;
}
