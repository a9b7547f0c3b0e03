FROM scratch AS builder
FROM builder AS final
