FROM scratch
COPY a[ b /
COPY [^]x /
