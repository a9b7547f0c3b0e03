FROM alpine
RUN echo one \

  && echo two \
  # a comment is no blank line
  && echo three
