FROM busybox
ENV A=1
ENV B=$A-2 C='$A' D="$A"
RUN echo "$B $C $D" > /b
