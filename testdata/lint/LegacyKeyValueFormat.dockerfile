FROM scratch
ENV name value of several words
label name value
