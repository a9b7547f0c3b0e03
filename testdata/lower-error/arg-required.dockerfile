FROM scratch
ENV A=${NAME:?must-be-given}
LABEL b=${NAME?}
