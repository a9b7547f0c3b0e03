/*
 * Serves the files of one flat folder over HTTP/1.0:  server FOLDER
 * Asks a running server whether it is well:           server --check
 *
 * One process, one request a connection, no heap. A file that has a gzip form beside it (page.html.gz) is sent in that
 * form to whoever accepts it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PORT = 8080, BACKLOG = 64, REQUEST_MAX = 4096, PATIENCE_SECONDS = 5 };

static const struct {
    const char *suffix, *type;
} TYPES[] = {
    {".html", "text/html; charset=utf-8"},
    {".css", "text/css; charset=utf-8"},
    {".svg", "image/svg+xml"},
};

static _Noreturn void fail(const char *what) {
    fprintf(stderr, "server: %s: %s\n", what, strerror(errno));
    exit(EXIT_FAILURE);
}

static _Noreturn void stop(int signal) {
    (void)signal;
    _exit(EXIT_SUCCESS);
}

static struct sockaddr_in address(in_addr_t host) {
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = htonl(host)};
}

/* Neither a silent client nor a silent server holds us for ever. */
static void limit_patience(int socket) {
    struct timeval patience = {.tv_sec = PATIENCE_SECONDS};
    setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

/* Reads up to the blank line that ends a request's head; false if there is none in what we care to read. */
static bool read_head(int client, char head[REQUEST_MAX]) {
    size_t length = 0;
    while (length < REQUEST_MAX - 1) {
        ssize_t count = read(client, head + length, REQUEST_MAX - 1 - length);
        if (count <= 0) return false;
        length += (size_t)count;
        head[length] = '\0';
        if (strstr(head, "\r\n\r\n")) return true;
    }
    return false;
}

static const char *type_of(const char *name) {
    const char *suffix = strrchr(name, '.');
    for (size_t i = 0; suffix && i < sizeof TYPES / sizeof *TYPES; i++)
        if (strcmp(suffix, TYPES[i].suffix) == 0) return TYPES[i].type;
    return "application/octet-stream";
}

static bool accepts_gzip(const char *head) {
    const char *header = strcasestr(head, "\r\naccept-encoding:");
    const char *gzip = header ? strcasestr(header, "gzip") : NULL;
    return gzip && gzip < strstr(header + 2, "\r\n");
}

static void refuse(int client, const char *status) {
    dprintf(client, "HTTP/1.0 %s\r\nContent-Length: 0\r\n\r\n", status);
}

/* Opens a regular file of the folder, or gives -1. */
static int open_file(int folder, const char *name, struct stat *about) {
    int file = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (file < 0) return -1;
    if (fstat(file, about) == 0 && S_ISREG(about->st_mode)) return file;
    close(file);
    return -1;
}

static void send_file(int client, int folder, const char *name, bool gzip, bool with_body) {
    char packed[256];
    struct stat about;
    int file = -1;
    if (gzip && snprintf(packed, sizeof packed, "%s.gz", name) < (int)sizeof packed)
        file = open_file(folder, packed, &about);
    gzip = file >= 0;
    if (!gzip) file = open_file(folder, name, &about);
    if (file < 0) {
        refuse(client, "404 Not Found");
        return;
    }
    dprintf(client, "HTTP/1.0 200 OK\r\nContent-Type: %s\r\nContent-Length: %lld\r\nVary: Accept-Encoding\r\n%s\r\n",
            type_of(name), (long long)about.st_size, gzip ? "Content-Encoding: gzip\r\n" : "");
    off_t sent = 0;
    while (with_body && sent < about.st_size)
        if (sendfile(client, file, &sent, (size_t)(about.st_size - sent)) <= 0) break;
    close(file);
}

static void answer(int client, int folder) {
    char head[REQUEST_MAX], method[8], path[200] = "index.html";
    if (!read_head(client, head) || sscanf(head, "%7s /%199[^ ?\r\n]", method, path) < 1) {
        refuse(client, "400 Bad Request");
        return;
    }
    bool get = strcmp(method, "GET") == 0;
    if (!get && strcmp(method, "HEAD") != 0)
        refuse(client, "405 Method Not Allowed");
    else if (path[0] == '.' || strchr(path, '/'))
        refuse(client, "404 Not Found");
    else
        send_file(client, folder, path, accepts_gzip(head), get);
}

static int check(void) {
    struct sockaddr_in server = address(INADDR_LOOPBACK);
    char reply[16] = "";
    int socket_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    limit_patience(socket_);
    if (connect(socket_, (struct sockaddr *)&server, sizeof server) != 0) fail("connect");
    dprintf(socket_, "HEAD / HTTP/1.0\r\n\r\n");
    return read(socket_, reply, sizeof reply - 1) > 0 && strstr(reply, " 200") ? EXIT_SUCCESS : EXIT_FAILURE;
}

static _Noreturn void serve(int folder) {
    struct sockaddr_in everywhere = address(INADDR_ANY);
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&everywhere, sizeof everywhere) != 0) fail("bind");
    if (listen(listener, BACKLOG) != 0) fail("listen");
    printf("server: listening on port %d\n", PORT);
    fflush(stdout);
    for (;;) {
        int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (client < 0) continue;
        limit_patience(client);
        answer(client, folder);
        close(client);
    }
}

int main(int count, char **arguments) {
    if (count != 2) {
        fprintf(stderr, "usage: server FOLDER | server --check\n");
        return EXIT_FAILURE;
    }
    if (strcmp(arguments[1], "--check") == 0) return check();
    /* The first process of a container has no default handlers. */
    signal(SIGTERM, stop);
    signal(SIGINT, stop);
    signal(SIGPIPE, SIG_IGN);
    int folder = open(arguments[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) fail(arguments[1]);
    serve(folder);
}
