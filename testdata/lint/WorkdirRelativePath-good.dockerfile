FROM scratch AS first
WORKDIR /app
WORKDIR src

FROM first
WORKDIR further
