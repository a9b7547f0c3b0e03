FROM busybox
ENV A=1
RUN echo $A > /a
