FROM alpine
RUN echo one \
  # a comment is no blank line
  && echo two
