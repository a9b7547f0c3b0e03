FORM alpine
RUN make
