FROM busybox
LABEL one=1 "two words"="a b" three='3'
LABEL one=uno
