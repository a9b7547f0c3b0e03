FROM busybox
ENV A=1 B="two words" C=th\ ree
RUN echo "$A,$B,$C" > /all
