FROM busybox
ARG A=1
LABEL a=$A b=${A:-2} c=${NONE:-3} d=${A:+4}
