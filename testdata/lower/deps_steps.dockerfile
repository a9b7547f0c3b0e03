#: platform linux/arm64
FROM scratch
ENV PATH=/opt/bin A=b
USER app
WORKDIR /srv
DEPS apt --configure six
RUN ["six"]
