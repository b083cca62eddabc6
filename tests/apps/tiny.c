/* A tiny HTTP server in C. The tests deploy it as a compiled program: one static file without libraries that starts fast.
 *
 *   GET  /healthz      answers {"message": "ok"}
 *   GET  any path      answers {"app", "color", "release", "pid"}; /slow waits half a second first
 *   POST any path      answers with the body of the request
 *
 * The first argument is the port, the second one is the name of the app. COLOR and RELEASE are in the environment.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LONGEST = 65536 };
static char facts[512];

static int send_all(int line, const char *bytes, size_t left) {
    while (left) {
        ssize_t sent = write(line, bytes, left);
        if (sent <= 0) return -1;
        bytes += sent;
        left -= (size_t)sent;
    }
    return 0;
}

static int answer(int line, const char *body, size_t length) {
    char text[LONGEST + 256];
    int head = snprintf(text, 256, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n", length);
    memcpy(text + head, body, length);
    return send_all(line, text, (size_t)head + length);
}

static size_t body_length(const char *head) {
    for (const char *at = head; (at = strstr(at, "\r\n")); at += 2)
        if (!strncasecmp(at + 2, "content-length:", 15)) return strtoul(at + 17, NULL, 10);
    return 0;
}

static int serve(int line, const char *head, const char *body, size_t length) {
    if (!strncmp(head, "POST ", 5)) return answer(line, body, length);
    if (!strncmp(head, "GET /healthz ", 13)) return answer(line, "{\"message\": \"ok\"}", 17);
    if (!strncmp(head, "GET /slow ", 10)) usleep(500000);
    return answer(line, facts, strlen(facts));
}

/* Serves one connection. A thread reads its requests and answers them in order. */
static void *talk(void *given) {
    int line = (int)(long)given, one = 1;
    char text[LONGEST + 1];
    size_t have = 0;
    setsockopt(line, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    for (;;) {
        text[have] = 0;
        char *end = strstr(text, "\r\n\r\n");
        size_t whole = end ? (size_t)(end + 4 - text) + body_length(text) : 0;
        if (end && whole <= have) {
            size_t head = (size_t)(end + 4 - text);
            if (serve(line, text, text + head, whole - head)) break;
            memmove(text, text + whole, have - whole);
            have -= whole;
            continue;
        }
        ssize_t more = have < LONGEST && whole <= LONGEST ? read(line, text + have, LONGEST - have) : 0;
        if (more <= 0) break;
        have += (size_t)more;
    }
    close(line);
    return NULL;
}

int main(int count, char **arguments) {
    const char *color = getenv("COLOR"), *release = getenv("RELEASE");
    if (count != 3 || !color || !release) return fputs("usage: tiny PORT NAME, with COLOR and RELEASE\n", stderr), 2;
    snprintf(facts, sizeof facts, "{\"app\": \"%s\", \"color\": \"%s\", \"release\": \"%s\", \"pid\": %d}", arguments[2],
             color, release, getpid());
    signal(SIGPIPE, SIG_IGN);
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(arguments[1]))};
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int one = 1, listening = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listening, (struct sockaddr *)&here, sizeof here) || listen(listening, 512)) return perror("tiny"), 1;
    printf("%s listens on %s\n", arguments[2], arguments[1]);
    fflush(stdout);
    for (;;) {
        int line = accept(listening, NULL, NULL);
        pthread_t thread;
        if (line < 0) continue;
        if (pthread_create(&thread, NULL, talk, (void *)(long)line)) close(line);
        else pthread_detach(thread);
    }
}
