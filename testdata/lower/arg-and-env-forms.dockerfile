ARG TAG=1 NAME
FROM debian:${TAG} AS Base-1.x_y
ARG A B=b C="c d" D
ENV E=$B F=${A:-none} G=${D+set} H=${B:+set}
ENV I="${C#c }" J="${C%% *}" K=${C/c/x} L=${C//[cd]/_} M=\$B N='$B'
ENV legacy $B and more
LABEL a.b-c=$B d="$C"
FROM base-1.X_Y
