#!/usr/bin/env -S flashbuild build
#escape = `
# Escape is done.
FROM base
RUN dir C:\ `
  /s
COPY <<EOF C:\x\
line
EOF
ENV A=a` b
CMD last