ARG A=1
RUN make
RUN make install
