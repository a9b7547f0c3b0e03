#: hostname build.example
FROM debian
RUN hostname
