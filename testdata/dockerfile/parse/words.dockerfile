FROM	scratch
ARG	A="1 2"	B='3 4'  C=5\ 6
COPY --exclude="*.md" --chown='a:b' -- --odd /x
COPY "a b" 'c
ENV PATH=$PATH:/x NAME="$A ${B:-c d}" E=
LABEL a=b=c  d="=" 
RUN echo ✓ | sed 's/a/"b"/'  
EXPOSE $PORTS 1000-2000/udp
