FROM debian
RUN --mount=type=cache,target=/root/.cache make
RUN --device=gpu make
RUN --security=insecure make
