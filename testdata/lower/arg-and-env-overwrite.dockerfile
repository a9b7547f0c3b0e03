FROM scratch
ARG A=arg
ENV A=env
RUN ["show"]
ARG A=again
RUN ["show"]
LABEL a=$A
