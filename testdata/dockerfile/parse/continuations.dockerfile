FROM \
  # inside
  scratch   
  RUN a \

  # between

  && b \   
  && c
RUN trailing \\
RUN wo\
rd
ENV A=1 \
    # B=2 \
    C="3 \
4"
RUN last \
