ARG A="${NOTHING:?is needed}"
ARG B=${A}
ARG SOURCE_DATE_EPOCH=soon
FROM $A
EXPOSE http
FROM scratch
EXPOSE $B udp
