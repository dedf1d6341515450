// What the tests run in containers and on the host, statically linked.
//
//   tool add FILE N     adds 1, N times, to the number in a shared mapping of the file
//   tool locked FILE N  adds 1, N times, to the number in the file: reads and writes it under flock(2)
//   tool append FILE    appends numbered lines until SIGTERM; says each number when its fsync(2) has returned
//   tool hold FILE      takes an exclusive flock(2), says "held", and sleeps until SIGTERM
//   tool try FILE       says whether an exclusive flock(2) is to be had: "free" or "busy"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

static volatile sig_atomic_t ends;

static void end(int signal) { (void)signal; ends = 1; }

static void check(int is_right, const char *what) {
    if (is_right) return;
    perror(what);
    exit(1);
}

static void add(int fd, long times) {
    check(ftruncate(fd, 4096) == 0, "ftruncate");
    unsigned long *number = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    check(number != MAP_FAILED, "mmap");
    while (times-- > 0) __atomic_fetch_add(number, 1, __ATOMIC_SEQ_CST);
    check(msync(number, 4096, MS_SYNC) == 0, "msync");
    printf("%lu\n", *number);
}

static void locked(int fd, long times) {
    while (times-- > 0) {
        unsigned long number = 0;
        check(flock(fd, LOCK_EX) == 0, "flock");
        check(pread(fd, &number, sizeof number, 0) >= 0, "pread");
        number++;
        check(pwrite(fd, &number, sizeof number, 0) == sizeof number, "pwrite");
        check(flock(fd, LOCK_UN) == 0, "unlock");
    }
}

static void append(int fd) {
    char line[32];
    for (unsigned long number = 1; !ends; number++) {
        int length = snprintf(line, sizeof line, "%lu\n", number);
        check(write(fd, line, length) == length, "write");
        check(fsync(fd) == 0, "fsync");
        check(write(1, line, length) == length, "standard output");
        usleep(2000);
    }
}

static void hold(int fd) {
    check(flock(fd, LOCK_EX) == 0, "flock");
    puts("held");
    fflush(stdout);
    while (!ends) usleep(10000);
}

int main(int count, char **words) {
    struct sigaction action = {.sa_handler = end, .sa_flags = SA_RESTART};
    sigaction(SIGTERM, &action, NULL);
    check(count >= 3, "usage: tool VERB FILE [N]");
    int is_append = strcmp(words[1], "append") == 0;
    int fd = open(words[2], O_RDWR | O_CREAT | (is_append ? O_APPEND : 0), 0644);
    check(fd >= 0, words[2]);
    long times = count > 3 ? atol(words[3]) : 0;
    if (is_append) append(fd);
    else if (strcmp(words[1], "add") == 0) add(fd, times);
    else if (strcmp(words[1], "locked") == 0) locked(fd, times);
    else if (strcmp(words[1], "hold") == 0) hold(fd);
    else if (strcmp(words[1], "try") == 0) puts(flock(fd, LOCK_EX | LOCK_NB) == 0 ? "free" : "busy");
    else return 2;
    return 0;
}
