FROM debian AS one
RUN --mount=from=two,target=/a x
FROM one AS two
RUN --mount=from=two,target=/a x
