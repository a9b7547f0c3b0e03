# check=experimental=all

# bar is not what it is about
ARG foo=bar
# the stage
FROM scratch AS base
# some of these
ARG a=1 b=2
