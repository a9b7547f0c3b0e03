FROM debian
ARG A=1
ARG B
ARG C=x
ENV C=y
RUN make
RUN ["make", "it"]
