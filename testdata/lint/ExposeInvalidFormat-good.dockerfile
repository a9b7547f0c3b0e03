FROM scratch
ARG port=8000
EXPOSE 80 9000-9010/udp $port
