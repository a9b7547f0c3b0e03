FROM scratch
ENV ONLY=1
