FROM scratch AS Badly
MAINTAINER me@example.org
BADCMD
