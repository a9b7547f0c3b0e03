FROM scratch
ENV name="value of several words"
LABEL name=value
