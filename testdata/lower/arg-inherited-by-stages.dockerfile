FROM debian AS base
ARG A=1
ARG A=2 B=$A
RUN one
FROM base
RUN two $A
FROM debian
RUN three
