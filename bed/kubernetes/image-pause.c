/* First process of every Pod: holds its namespaces and buries its orphans until it is told to go. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void go(int number) {
    (void)number;
    _exit(0);
}

static void bury(int number) {
    (void)number;
    while (waitpid(-1, 0, WNOHANG) > 0) {
    }
}

int main(void) {
    signal(SIGTERM, go);
    signal(SIGINT, go);
    signal(SIGCHLD, bury);
    for (;;) {
        pause();
    }
}
