FROM debian
RUN --network=wifi a
RUN --security=none b
