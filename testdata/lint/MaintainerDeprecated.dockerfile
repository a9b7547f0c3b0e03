FROM scratch
MAINTAINER Ada <ada@example.org>
