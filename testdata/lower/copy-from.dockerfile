FROM debian AS build
RUN make
FROM busybox
COPY --from=build /out /a
COPY --from=BUILD /out /b
COPY --from=0 /out /c
COPY --from=nginx:1 /etc/nginx /d
COPY --from=scratch / /e
